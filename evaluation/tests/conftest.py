"""A run without services: sections that only compute, and what a section does before it sends."""

from pathlib import Path

import pytest
from latentwire_evaluation.report.context import Context
from latentwire_evaluation.services import ROOT


@pytest.fixture
def context(tmp_path) -> Context:
    def none():
        raise ValueError("this test starts no services")

    report = tmp_path / "report"
    report.mkdir()
    return Context(data=Path(tmp_path / "data"), models=ROOT / "models", report=report, start=none)
