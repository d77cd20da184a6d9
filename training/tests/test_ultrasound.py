"""The worked example: a modality that is a configuration file, and the pictures that it trains on."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import TRAINING

from latentwire_training.config import find, read
from latentwire_training.pictures import load


def make(out: Path, *more: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(TRAINING / "make_ultrasound.py"), str(out), *more], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("ultrasound")
    done = make(out, "--train", "4", "--test", "1")
    assert done.returncode == 0 and "wrote 5 pictures" in done.stdout, done.stderr
    return out


def test_the_shipped_configuration_trains_on_them_and_leaves_the_test_picture_alone(made):
    pictures = load(made, read(find("ae224-ultrasound")))
    used = pictures.training + pictures.validation
    assert len(used) == 4 and pictures.left_out == []
    assert all(p.grey and p.licence == "CC0-1.0" and "/train/" in p.path for p in used)
    named = read(find("ae224-ultrasound")).data.attribution
    assert {p.source for p in used} <= set(named)


def test_they_look_like_speckle_in_a_scan(made):
    """Grey from black to white, and neighbours that are alike: no plain noise, no plain surface."""
    for picture in load(made, read(find("ae224-ultrasound"))).training:
        grey = picture.pixels[:, :, 0].astype(float)
        assert grey.min() == 0 and grey.max() > 230 and 30 < grey[grey > 0].mean() < 200
        middle = grey[100:-100, grey.shape[1] // 3 : -grey.shape[1] // 3]
        alike = lambda a, b: np.corrcoef(a.ravel(), b.ravel())[0, 1]
        across, along = alike(middle[:, 2:], middle[:, :-2]), alike(middle[2:], middle[:-2])
        assert 0.3 < across < 0.999 and 0.3 < along < 0.999, (across, along)


def test_the_lists_name_every_file_and_the_same_seed_gives_the_same_pictures(made, tmp_path):
    with (made / "MANIFEST.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["path"] for row in rows} == {str(p.relative_to(made)) for p in made.glob("ultrasound/*/*.png")}
    assert all(hashlib.sha256((made / row["path"]).read_bytes()).hexdigest() == row["sha256"] for row in rows)
    assert make(tmp_path / "again", "--train", "1", "--test", "0").returncode == 0
    (again,) = (tmp_path / "again").glob("ultrasound/train/*.png")
    assert again.name in {Path(row["path"]).name for row in rows}, "the name is a digest of the pixels"
    assert make(tmp_path / "other", "--train", "1", "--test", "0", "--seed", "2").returncode == 0
    assert not (tmp_path / "other/ultrasound/train" / again.name).exists()


def test_wrong_numbers_and_a_target_that_is_no_folder_are_refused_in_one_line(tmp_path):
    for wrong in (("--train", "0", "--test", "0"), ("--train", "-1"), ("--seed", "-1")):
        done = make(tmp_path / "none", *wrong)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and "at least one picture" in done.stderr, done.stderr
    (tmp_path / "file").write_text("")
    done = make(tmp_path / "file", "--train", "1", "--test", "0")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "file" in done.stderr, done.stderr
