"""Which pictures train: the licence list decides, and a broken or small one is left out by name."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import add_picture, replaced, wave
from PIL import Image

from latentwire_training.config import read
from latentwire_training.pictures import crops, load, write_scaled


def names(pictures):
    return sorted(p.path.split("/")[-1] for p in pictures.training + pictures.validation)


def test_every_listed_picture_is_in_one_part_and_the_split_stays(data, config_file):
    config = read(config_file)
    found = load(data, config)
    assert len(found.training) + len(found.validation) == 10 and found.validation
    assert all(p.grey and p.pixels.shape == (48, 64, 3) and p.source == "sine" for p in found.training)
    again = load(data, config)
    assert [p.path for p in again.validation] == [p.path for p in found.validation]
    assert again.digest == found.digest
    add_picture(data, "sine_more.png", wave(99))
    assert load(data, config).digest != found.digest


def test_only_listed_pictures_under_an_allowed_licence_are_read(data, config_file):
    add_picture(data, "secret_1.png", wave(20), licence=None)
    add_picture(data, "closed_1.png", wave(21), licence="LicenseRef-research-only")
    found = load(data, read(config_file))
    assert not [n for n in names(found) if not n.startswith("sine")]
    replaced(config_file, 'licences = ["CC0-1.0"]', 'licences = ["CC0-1.0", "LicenseRef-research-only"]')
    assert "closed_1.png" in names(load(data, read(config_file)))


def test_pictures_of_the_test_split_are_not_read(data, config_file):
    (data / "waves/test").mkdir()
    (data / "waves/test/sine_t.png").write_bytes((data / "waves/train/sine_1.png").read_bytes())
    with (data / "OPEN.tsv").open("a") as file:
        file.write("waves/test/sine_t.png\tCC0-1.0\n")
    assert "sine_t.png" not in names(load(data, read(config_file)))


def test_no_allowed_licence_is_refused_and_tells_those_that_are_there(data, config_file):
    replaced(config_file, 'licences = ["CC0-1.0"]', 'licences = ["CC-BY-4.0"]')
    with pytest.raises(SystemExit, match=r"CC-BY-4.0.*lists pictures there under CC0-1.0"):
        load(data, read(config_file))


def test_a_missing_or_crooked_licence_list_is_refused(data, config_file):
    listing = data / "OPEN.tsv"
    listing.write_text(listing.read_text() + "waves/train/sine_1.png CC0-1.0\n")
    with pytest.raises(SystemExit, match=r"OPEN.tsv, line 12: must be `path<TAB>licence`"):
        load(data, read(config_file))
    listing.unlink()
    with pytest.raises(SystemExit, match=r"OPEN.tsv is missing.*path<TAB>licence"):
        load(data, read(config_file))


def test_a_licence_list_that_is_no_text_or_leaves_the_folder_is_refused(data, config_file):
    listing = data / "OPEN.tsv"
    good = listing.read_text()
    listing.write_text(good + "waves/train/../test/sine_t.png\tCC0-1.0\n")
    with pytest.raises(SystemExit, match=r"OPEN.tsv, line 12: 'waves/train/../test/sine_t.png' must not hold `..`"):
        load(data, read(config_file))
    listing.write_bytes(good.encode("utf-16"))
    with pytest.raises(SystemExit, match=r"OPEN.tsv: cannot be read.*must be UTF-8 text"):
        load(data, read(config_file))


def test_a_test_picture_under_another_name_does_not_train(data, config_file):
    (data / "waves/test").mkdir()
    (data / "waves/test/other_name.png").write_bytes((data / "waves/train/sine_1.png").read_bytes())
    found = load(data, read(config_file))
    assert len(names(found)) == 9 and "sine_1.png" not in names(found)
    assert found.left_out == [("waves/train/sine_1.png", "the very same file lies in a test split: it must not train")]


def test_what_is_no_picture_is_passed_over_unless_the_list_names_it(data, config_file):
    (data / "waves/train/notes.txt").write_text("no picture")
    assert load(data, read(config_file)).left_out == []
    with (data / "OPEN.tsv").open("a") as file:
        file.write("waves/train/notes.txt\tCC0-1.0\n")
    ((path, why),) = load(data, read(config_file)).left_out
    assert path == "waves/train/notes.txt" and "no picture of a format" in why


def test_an_empty_or_missing_folder_is_refused(data, config_file, tmp_path):
    config = read(config_file)
    for picture in (data / "waves/train").iterdir():
        picture.unlink()
    with pytest.raises(SystemExit, match=r"waves/train: no picture there.*`data.folders`"):
        load(data, config)
    (data / "waves/train").rmdir()
    with pytest.raises(SystemExit, match=r"waves/train: no picture there"):
        load(data, config)
    with pytest.raises(SystemExit, match=r"there is no such folder"):
        load(tmp_path / "nowhere", config)


def test_broken_small_and_deep_pictures_are_left_out_by_name(data, config_file):
    broken = data / "waves/train/sine_3.png"
    broken.write_bytes(broken.read_bytes()[:200])
    (data / "waves/train/sine_4.png").unlink()
    add_picture(data, "small_1.png", wave(30, 31, 64))
    add_picture(data, "deep_1.png", (wave(31).astype(np.uint16) << 8))
    found = load(data, read(config_file))
    assert len(names(found)) == 8
    text = "\n".join(found.report_left_out())
    assert text.startswith("left out 4 pictures:")
    for path, why in (("sine_3.png", "cannot be read"), ("sine_4.png", "No such file"), ("small_1.png", "64x31 is smaller than a crop of 32x32"), ("deep_1.png", "convert it first")):
        line = next(line for line in text.splitlines() if path in line)
        assert why in line, line


def test_too_few_usable_pictures_are_refused_with_the_reasons(data, config_file):
    replaced(config_file, "size = 32", "size = 64")
    with pytest.raises(SystemExit, match=r"0 usable picture\(s\).*at least two[\s\S]*64x48 is smaller than a crop of 64x64[\s\S]*and 2 more"):
        load(data, read(config_file))


def test_more_pictures_than_memory_holds_are_refused(data, config_file, monkeypatch):
    """A machine of 50 KiB: each picture takes 64 x 48 x 3 bytes, and three of them fit into seven tenths of it."""
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 1024, "SC_PHYS_PAGES": 50}.__getitem__)
    with pytest.raises(SystemExit, match=r"data: the first 4 pictures take 0 MiB decoded, and this machine has 0 MiB: shrink or cut"):
        load(data, read(config_file))


def test_two_pictures_are_enough_for_one_to_validate(tmp_path, config_file):
    for seed in (1, 2):
        add_picture(tmp_path / "two", f"sine_{seed}.png", wave(seed))
    found = load(tmp_path / "two", read(config_file))
    assert (len(found.training), len(found.validation)) == (1, 1)


def test_crops_have_their_size_and_range_and_follow_the_seed(data, config_file):
    config = read(config_file)
    pictures = load(data, config).training
    batch = crops(pictures, config.crops, 5, np.random.default_rng(7))
    assert batch.shape == (5, 3, 32, 32) and batch.dtype == np.float32
    assert 0.0 <= batch.min() < batch.max() <= 1.0
    assert np.array_equal(batch, crops(pictures, config.crops, 5, np.random.default_rng(7)))
    assert not np.array_equal(batch, crops(pictures, config.crops, 5, np.random.default_rng(8)))


def test_numbers_that_are_none_and_a_single_colour_are_left_out_and_the_rest_stays(data, config_file):
    values = wave(40).astype(np.float32)
    values[3, 5] = np.nan
    add_picture(data, "nan_1.tif", values)
    add_picture(data, "float_1.tif", wave(41).astype(np.float32))
    add_picture(data, "black_1.png", np.zeros((48, 64), np.uint8))
    add_picture(data, "red_1.png", np.full((48, 64, 3), (200, 10, 20), np.uint8))
    add_picture(data, "row_1.png", wave(42)[:1])
    add_picture(data, "column_1.png", wave(43)[:, :1])
    found = load(data, read(config_file))
    assert names(found) == sorted(f"sine_{i}.png" for i in range(10))
    assert {path.split("/")[-1]: why for path, why in found.left_out} == {
        "nan_1.tif": "cannot be read: it holds values that are no numbers (NaN) or infinite",
        "float_1.tif": "cannot be read: mode F, and training reads 8-bit pictures: convert it first",
        "black_1.png": "is of a single colour: there is nothing to learn from it",
        "red_1.png": "is of a single colour: there is nothing to learn from it",
        "row_1.png": "64x1 is smaller than a crop of 32x32",
        "column_1.png": "1x48 is smaller than a crop of 32x32",
    }


def test_nothing_but_what_cannot_train_is_refused_with_the_reasons(tmp_path, config_file):
    folder = tmp_path / "useless"
    add_picture(folder, "black_1.png", np.zeros((48, 64), np.uint8))
    add_picture(folder, "white_1.png", np.full((48, 64), 255, np.uint8))
    with pytest.raises(SystemExit, match=r"0 usable picture\(s\).*at least two[\s\S]*black_1.png: is of a single colour"):
        load(folder, read(config_file))


def test_scaled_copies_for_a_net_of_one_size_leave_out_what_is_broken(data, tmp_path, capsys):
    (data / "waves/train/sine_3.png").write_bytes(b"no picture")
    (tmp_path / "small").mkdir()
    (tmp_path / "small/old.png").write_bytes(b"")
    assert write_scaled([data / "waves/train"], tmp_path / "small", 24) == 9
    assert {p.name for p in (tmp_path / "small").iterdir()} == {f"sine_{i}.png" for i in range(10) if i != 3}
    with Image.open(tmp_path / "small/sine_1.png") as image:
        assert (image.size, image.mode) == ((24, 24), "L")
    assert "sine_3.png: cannot be read" in capsys.readouterr().out
