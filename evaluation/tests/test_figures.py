"""The README's plots come from a whole report that shows open pictures only."""

import json
import sys

import pytest
from latentwire_evaluation import figures
from PIL import Image


def test_plots_are_shrunk_and_closed_pictures_refused(tmp_path, monkeypatch):
    report, into = tmp_path / "report", tmp_path / "figures"
    report.mkdir()
    monkeypatch.setattr(sys, "argv", ["figures", "--report", str(report), "--into", str(into)])
    with pytest.raises(SystemExit, match="run `make evaluate DATA=…` first"):
        figures.main()
    (report / "report.json").write_text(json.dumps({"shows_open_pictures_only": False}))
    with pytest.raises(SystemExit, match="not openly licensed"):
        figures.main()
    assert not into.exists()
    (report / "report.json").write_text(json.dumps({"shows_open_pictures_only": True}))
    with pytest.raises(SystemExit, match="no rate-distortion.png"):
        figures.main()
    for name in figures.FIGURES:
        Image.effect_noise((2000, 500), 40).convert("RGB").save(report / name)
    figures.main()
    assert {path.name: Image.open(path).width for path in into.iterdir()} == figures.FIGURES
