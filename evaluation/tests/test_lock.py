"""The lock file holds what requirements.txt names, by hash, and these tests run with it."""

import re
from importlib.metadata import version

from latentwire_evaluation.services import ROOT

FOLDER = ROOT / "evaluation"
NAMED = dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", (FOLDER / "requirements.txt").read_text(), re.MULTILINE))
LOCK = (FOLDER / "requirements.lock").read_text()
LOCKED = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}", LOCK, re.MULTILINE))


def test_what_is_named_is_locked_at_that_version():
    assert len(NAMED) >= 10 and NAMED == {name: LOCKED.get(name) for name in NAMED}, "run `make evaluation-lock`"


def test_every_locked_package_has_hashes():
    assert set(re.findall(r"^([a-z0-9-]+)==", LOCK, re.MULTILINE)) == set(LOCKED)


def test_what_is_locked_is_what_runs():
    assert {name: version(name).split("+")[0] for name in NAMED} == NAMED
