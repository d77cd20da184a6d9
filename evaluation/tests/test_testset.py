"""What cannot be measured is named, and the rest goes on."""

import numpy as np
import pytest
from latentwire_evaluation import testset
from PIL import Image

RANDOM = np.random.default_rng(3)


def pixels(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, shape, np.uint8)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "data/fundus/test"
    made.mkdir(parents=True)
    for name in ("a", "c", "e", "g"):
        Image.fromarray(pixels(20, 24, 3)).save(made / f"{name}.png")
    return made


def test_each_unusable_picture_is_named_with_its_reason_and_the_others_are_given(folder):
    (folder / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    Image.fromarray(pixels(1, 300)).save(folder / "b1.png")
    Image.fromarray(pixels(300, 1)).save(folder / "b2.png")
    Image.fromarray(np.full((64, 64), 7, np.uint8)).save(folder / "d.png")
    Image.fromarray(np.full((64, 64), np.nan, np.float32)).save(folder / "d1.tiff")
    Image.fromarray(RANDOM.random((64, 64)).astype(np.float32)).save(folder / "d2.tiff")
    Image.fromarray(pixels(64, 64, 4), "RGBA").save(folder / "f.png")
    whole = (folder / "a.png").read_bytes()
    (folder / "f1.png").write_bytes(whole[: len(whole) // 2])
    said = {}
    found = list(testset.usable(folder, left_out=lambda path, why: said.update({path.name: why})))
    assert [path.name for path, _ in found] == ["a.png", "c.png", "e.png", "g.png"]
    expected = {
        "b.png": "cannot be read", "b1.png": "300x1 pixels: a side below 16", "b2.png": "1x300 pixels", "d.png": "a single value throughout",
        "d1.tiff": "4096 of its values are no numbers (NaN", "d2.tiff": "its values are floating point", "f.png": "its mode is RGBA", "f1.png": "cannot be read",
    }  # fmt: skip
    assert said.keys() == expected.keys() and all(said[name].startswith(why) for name, why in expected.items()), said


def test_a_picture_that_cannot_be_used_makes_room_for_the_next(folder):
    (folder / "a.png").write_bytes(b"")
    assert [path.name for path, _ in testset.usable(folder, 2, lambda path, why: None)] == ["c.png", "e.png"]


def test_spread_takes_at_even_distances():
    found = [testset.Path(f"{number:02}.png") for number in range(10)]
    assert [int(path.stem) for path in testset.spread(found, 5)[:5]] == [0, 2, 4, 6, 8]
    assert sorted(testset.spread(found, 3)) == found and testset.spread(found, 20) == found


def test_only_what_open_tsv_names_may_be_shown_and_it_comes_first(folder):
    data = folder.parents[1]
    assert not testset.may_be_shown(data)(folder / "e.png"), "nothing is known of a folder without the list"
    testset._open_names.cache_clear()
    (data / "OPEN.tsv").write_text("path\tlicence\nfundus/test/e.png\tCC-BY-4.0\n")
    assert [testset.may_be_shown(data)(path) for path in testset.files(folder)] == [False, False, True, False]
    assert [path.name for path, _ in testset.usable(folder, 2, order=testset.open_first)] == ["e.png", "a.png"]
    assert not testset.only_open_is_shown(data)
    testset._open_names.cache_clear()
    (data / "OPEN.tsv").write_text("path\tlicence\n" + "".join(f"fundus/test/{name}.png\tCC0-1.0\n" for name in "aceg"))
    assert testset.only_open_is_shown(data)
    samples = testset.ROOT / "samples"
    assert testset.only_open_is_shown(samples)
    assert all(testset.may_be_shown(samples)(path) for path in testset.files(samples / "fundus/test"))
