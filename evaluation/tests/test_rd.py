"""Bytes at equal quality, the gate that can fail, BD-rate on published curves, intervals that a seed decides, tables that say what the figures do."""

import json
import re

import numpy as np
import pytest
from latentwire_evaluation.compressai_baseline import table as baseline
from latentwire_evaluation.measure import padme
from latentwire_evaluation.rd import cost, draw, fill, gate, noise, rates, tables
from latentwire_evaluation.rd.bjontegaard import bd_rate, rising, ssim_decibels
from latentwire_evaluation.rd.digest import digest
from latentwire_evaluation.rd.grid import BASELINE, BY_NAME, NOISE_SETTINGS, SETTINGS
from latentwire_evaluation.rd.pictures import Picture
from latentwire_evaluation.rd.points import Point, by_codec
from latentwire_evaluation.services import ROOT
from latentwire_evaluation.testset import trained_sources
from onnx import TensorProto, helper, numpy_helper

FILES = tuple(f"{source}_{number}.jpg" for source in ("seen", "new") for number in range(6))
AREA = dict.fromkeys(FILES, 10_000)
QUALITIES = ((0.80, 32.0), (0.90, 35.0), (0.94, 37.0), (0.96, 39.0), (0.99, 44.0))


def points(codec: str, factor: float, spread: float = 0.0, best: float = 1.0) -> list[Point]:
    """Of every file five points whose bytes are `factor` times those of factor 1; `best` cuts off what is above."""
    found = []
    for index, file in enumerate(FILES):
        weight = factor * (1 + spread * (-1) ** index) * (1 + index)
        found += [Point(file, codec, step, round(1000 * weight * 1.7**step), ssim, psnr) for step, (ssim, psnr) in enumerate(QUALITIES) if ssim <= best]
    return found


def group(ours: float, **others: float) -> dict:
    """At SSIM 0.95, all codecs level but those that are named, JPEG 2000 being 1."""
    factors = {"jpeg2000": 1.0, "jpegxl": 1.0, **others}
    everything = points("rd-brain", ours) + [point for codec, factor in factors.items() for point in points(codec, factor)]
    return rates.equal_quality(rates.curves(everything, "ssim"), 0.95, ["rd-brain"], AREA, rates.Draws.of(FILES))


def test_padding_is_the_products():
    # Of common/sealing/src/padding.rs, whose rule it is: at most 12 % more, and powers of two stay.
    assert [padme(size) for size in (0, 1, 2, 9, 100, 1000, 4096, 4097)] == [0, 1, 2, 10, 104, 1024, 4096, 4352]
    sizes = range(1, 20_000, 7)
    assert all(size <= padme(size) <= 1.12 * size + 1 and padme(padme(size)) == padme(size) for size in sizes)


def test_bytes_at_a_goal_lie_between_settings_and_are_never_extrapolated():
    curve = [(100, 0.9), (400, 0.98), (25, 0.7)]
    assert rates.bytes_at(curve, 0.94) == pytest.approx(200)
    assert rates.bytes_at(curve, 0.99) is None and rates.bytes_at(curve, 0.99, coarsest_counts=True) is None
    assert rates.bytes_at(curve, 0.6) is None and rates.bytes_at(curve, 0.6, coarsest_counts=True) == 25, "of ours alone the coarsest knob counts"


def test_bd_rate_is_that_of_published_curves():
    """The example of the `bjontegaard` package, whose PCHIP agrees with JCT-VC's sheet in ten digits, and VCEG-M33's."""
    anchor = list(zip((9487.76, 4593.60, 2486.44, 1358.24), (40.037, 38.615, 36.845, 34.851)))
    test = list(zip((9787.80, 4469.00, 2451.52, 1356.24), (40.121, 38.651, 36.970, 34.987)))
    assert 100 * bd_rate(anchor, test) == pytest.approx(-4.417485350589, abs=1e-9)
    first = list(zip((686.76, 309.58, 157.11, 85.95), (40.28, 37.18, 34.24, 31.42)))
    second = list(zip((893.34, 407.8, 204.93, 112.75), (40.39, 37.21, 34.17, 31.24)))
    assert 100 * bd_rate(first, second) == pytest.approx(31.379878202397, abs=1e-9)
    assert bd_rate(first, first) == pytest.approx(0) and bd_rate(first, [(2 * rate, quality) for rate, quality in first]) == pytest.approx(1)


def test_bd_rate_needs_curves_that_rise_and_meet():
    curve = [(1.0, 30.0), (2.0, 33.0), (4.0, 36.0), (8.0, 39.0)]
    assert rising([*curve, (5.0, 35.0), (8.0, 40.0)]) == curve
    assert bd_rate(curve[:3], curve) is None, "three points are no curve"
    assert bd_rate(curve, [(rate, quality + 20) for rate, quality in curve]) is None
    assert bd_rate(curve, curve, (38.5, 60.0), least=1.0) is None and bd_rate(curve, curve, (38.5, 60.0)) == pytest.approx(0)
    assert ssim_decibels(0.9) == pytest.approx(10) and ssim_decibels(1.0) == pytest.approx(120)


@pytest.mark.parametrize(
    ("ours", "others", "holds", "stretch"),
    [
        (0.69, {}, True, True),
        (0.71, {}, False, True),
        (0.65, {"avif": 0.66}, True, False),
        (0.65, {"avif": 0.64}, False, False),
        (0.50, {"avif": 0.66}, True, True),
        (1.20, {}, False, False),
    ],
)
def test_the_gate_holds_and_fails(ours, others, holds, stretch):
    found = group(ours, **others)["gate"]
    assert (found["holds"], found["stretch"]) == (holds, stretch)
    assert found["saved_of_reference"] == pytest.approx(1 - ours, abs=0.01)
    if others:
        assert found["best"] == "avif" and found["saved_of_best"] == pytest.approx(1 - ours / others["avif"], abs=0.01)
    # Every picture saves the same share: all resamples agree.
    assert found["holds_in_resamples"] == float(holds) and found["stretch_in_resamples"] == float(stretch)


def test_a_gate_is_not_passed_by_pictures_on_which_ours_falls_short():
    ours = [point for point in points("rd-brain", 0.5) if point.file != FILES[0] or point.ssim < 0.95]
    everything = ours + points("jpeg2000", 1.0)
    found = rates.equal_quality(rates.curves(everything, "ssim"), 0.95, ["rd-brain"], AREA, rates.Draws.of(FILES))
    assert found["codecs"]["rd-brain"]["known"] == 11 and found["codecs"]["rd-brain"]["reached"] == 11
    assert found["gate"]["saved_of_reference"] == pytest.approx(0.5, abs=0.01)
    assert not found["gate"]["holds"] and not found["gate"]["stretch"] and "92%" in found["gate"]["why"]


def test_nothing_holds_where_ours_and_jpeg2000_never_meet():
    everything = points("rd-brain", 0.5, best=0.9) + points("jpeg2000", 1.0)
    found = rates.equal_quality(rates.curves(everything, "ssim"), 0.95, ["rd-brain"], AREA, rates.Draws.of(FILES))["gate"]
    assert not found["holds"] and not found["stretch"] and found["why"]


def test_the_baseline_is_measured_but_is_no_codec_of_the_gate():
    found = group(0.6, **{BASELINE: 0.3})
    assert found["codecs"][BASELINE]["ours"]["saved"] == pytest.approx(-1, abs=0.02) and found["gate"]["best"] != BASELINE and found["gate"]["holds"]


def test_means_sums_and_ratios_differ_as_they_should():
    """One picture of ours is worth nothing, and it is the largest: sums suffer most."""
    own = {"small": 100.0, "large": 8000.0}
    other = {"small": 200.0, "large": 8000.0}
    area = {"small": 1000, "large": 10_000}
    found = rates.compare(own, other, area, rates.Draws.of(("small", "large")))
    assert found["saved"] == pytest.approx(1 - (0.1 + 0.8) / (0.2 + 0.8)) and found["saved_of_sums"] == pytest.approx(1 - 8100 / 8200)
    assert found["saved_geometric"] == pytest.approx(1 - 0.5**0.5) and found["ours_bpp"] == pytest.approx(8 * 0.45)
    assert rates.compare(own, {}, area, rates.Draws.of(("small", "large"))) is None


def test_intervals_are_of_the_seed_and_hold_the_mean():
    everything = points("rd-brain", 0.6, spread=0.3) + points("jpeg2000", 1.0)
    curves = rates.curves(everything, "ssim")
    first, again, other = (rates.equal_quality(curves, 0.95, ["rd-brain"], AREA, rates.Draws.of(FILES, seed))["codecs"]["jpeg2000"]["ours"] for seed in (1, 1, 2))
    assert first == again and first["saved_95"] != other["saved_95"]
    for name in ("saved", "saved_padded", "saved_of_sums", "saved_geometric"):
        low, high = first[f"{name}_95"]
        assert low < first[name] < high and high - low < 0.4
    draws = rates.Draws.of(FILES)
    assert draws.counts.shape == (rates.RESAMPLES, len(FILES)) and (draws.counts.sum(axis=1) == len(FILES)).all()


def pictures() -> list[Picture]:
    return [Picture(ROOT / file, np.zeros((100, 100), np.uint8), file.startswith("new")) for file in FILES]


def modality() -> dict:
    everything = points("rd-brain", 0.6, spread=0.1) + points("jpeg2000", 1.0) + points("avif", 0.7) + points(BASELINE, 0.8)
    return gate.summary(pictures(), everything, ["rd-brain"])


def test_a_modality_is_said_whole_by_source_and_unseen_apart():
    one = modality()
    assert {name: group["pictures"] for name, group in one["groups"].items()} == {"all": 12, "unseen sources": 6, "seen sources": 6, "seen": 6, "new": 6}
    assert one["sources"] == {"seen": False, "new": True}
    assert one["groups"]["all"]["bd"]["psnr_db"]["jpeg2000"]["bd_rate"] == pytest.approx(-0.4, abs=0.02)
    assert one["groups"]["unseen sources"]["goals"]["PSNR 38 dB"]["codecs"]["rd-brain"]["known"] == 6
    assert [line["setting"] for line in one["curves"]["avif"]] == [0, 1, 2, 3, 4]
    text = gate.part("brain", one)
    assert "| **`rd-brain`** |" in text and "new (unseen)" in text and "12 of 12" in text
    assert "the gate holds, the stretch does not" in tables.verdict("brain", one)
    json.dumps(one, allow_nan=False)


def test_a_modality_without_the_reference_is_said_too():
    one = gate.summary(pictures(), points("rd-brain", 0.6), ["rd-brain"])
    assert "meet at the goal on no picture" in tables.verdict("brain", one) and "no: ours and jpeg2000" in tables.gate({"brain": one})
    assert gate.part("brain", one)


def test_documents_are_filled_again_and_again_and_a_wrong_name_is_refused():
    figures = {"rd_gate": {"brain": modality()}}
    text = "Before.\n<!-- rd:gate -->\nold\n<!-- /rd:gate -->\nbetween\n<!-- rd:bd -->\n<!-- /rd:bd -->\nAfter."
    once = fill.filled(text, figures)
    assert fill.filled(once, figures) == once and "old" not in once and once.startswith("Before.\n") and once.endswith("After.")
    assert "| brain, `rd-brain` | SSIM 0.95 |" in once and "JPEG 2000" in once
    with pytest.raises(fill.Unfilled, match="no such part; there are machine, "):
        fill.filled("<!-- rd:nothing -->\n<!-- /rd:nothing -->", figures)
    with pytest.raises(fill.Unfilled, match="rd_speed.*MODELS=rd"):
        fill.filled("<!-- rd:speed -->\n<!-- /rd:speed -->", figures)


def test_documents_say_what_the_kept_figures_say():
    kept = ROOT / "docs/figures/rd.json"
    text = (ROOT / "docs/MODELS.md").read_text()
    named = re.findall(r"<!-- rd:([a-z-]+) -->\n(.*?)<!-- /rd:\1 -->", text, re.DOTALL)
    assert named and {name for name, _ in named} <= fill.PARTS.keys()
    if kept.is_file():
        assert fill.filled(text, json.loads(kept.read_text())) == text, "run `make evaluate-rd-docs`"
    else:
        assert not any(inside for _, inside in named), "figures that nothing measured"


def test_plots_are_pictures_for_light_and_dark_pages(tmp_path):
    one = modality()
    draw.modality(tmp_path / "rd-brain.svg", "brain", one)
    svg = (tmp_path / "rd-brain.svg").read_text()
    assert "prefers-color-scheme: dark" in svg and "rd-brain (ours)" in svg and "JPEG 2000" in svg
    for light in draw.DARK:
        assert re.search(rf'style="[^"]*(fill|stroke): {light}', svg), f"nothing is drawn in {light}: the dark page has no use for its rule"
    first = svg
    draw.modality(tmp_path / "rd-brain.svg", "brain", one)
    assert (tmp_path / "rd-brain.svg").read_text() == first, "the same figures draw the same file"


def test_every_codec_has_its_settings_and_finer_ones_show_more():
    assert set(SETTINGS) == set(NOISE_SETTINGS) == set(BY_NAME) == {"jpeg2000", "jpegxl", "avif", "webp", "htj2k"}
    y, x = np.mgrid[:64, :80]
    pixels = (100 + 60 * np.sin(x / 5) * np.cos(y / 7) + np.random.default_rng(1).normal(0, 6, (64, 80))).clip(0, 255).astype(np.uint8)
    for codec, settings in SETTINGS.items():
        found = by_codec("a", codec, (settings[0], settings[-1]), pixels, pixels)
        assert found[0].size < found[1].size and found[0].psnr_db < found[1].psnr_db and found[0].clean_ssim == found[0].ssim


def test_quality_at_a_rate_is_linear_in_its_logarithm():
    curve = [(4.0, 0.9), (1.0, 0.5)]
    assert noise.quality_at(curve, 2.0) == pytest.approx(0.7) and noise.quality_at(curve, 1.0) == pytest.approx(0.5)
    assert noise.quality_at(curve, 0.9) is None and noise.quality_at(curve, 4.1) is None and noise.quality_at([], 1.0) is None


def model_of(nodes: list, inputs: dict, outputs: dict, weights: dict) -> bytes:
    values = [[helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in one.items()] for one in (inputs, outputs)]
    graph = helper.make_graph(nodes, "net", *values, [numpy_helper.from_array(value, name) for name, value in weights.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10).SerializeToString()


def test_multiplications_are_counted_by_kind_on_free_sides(tmp_path):
    """A convolution of f32, one whose weights are of 8 bits, and an integer product behind a reshape that depends on the picture."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1]),
        helper.make_node("DequantizeLinear", ["v8", "scale"], ["v"]),
        helper.make_node("Conv", ["y", "v"], ["z"]),
        helper.make_node("QuantizeLinear", ["z", "scale", "zero"], ["z8"]),
        helper.make_node("Shape", ["x"], ["sides"]),
        helper.make_node("Div", ["sides", "four"], ["target"]),
        helper.make_node("Concat", ["minus", "two"], ["flat"], axis=0),
        helper.make_node("Reshape", ["z8", "flat"], ["rows"]),
        helper.make_node("MatMulInteger", ["rows", "m"], ["out"]),
    ]
    weights = {
        "w": np.zeros((4, 3, 3, 3), np.float32), "v8": np.zeros((2, 4, 1, 1), np.int8), "scale": np.float32(1), "zero": np.uint8(0), "four": np.int64([4]),
        "minus": np.int64([-1]), "two": np.int64([2]), "m": np.zeros((2, 5), np.int8),
    }  # fmt: skip
    inputs = {"x": (TensorProto.FLOAT, [1, 3, "h", "w"])}
    (tmp_path / "net.onnx").write_bytes(model_of(nodes, inputs, {"out": (TensorProto.INT32, ["n", 5])}, weights))
    counted = cost.products(tmp_path / "net.onnx", {"x": np.zeros((1, 3, 8, 6), np.float32)})
    assert counted == cost.Products(int8=48 * 2 * 4 + 48 * 2 * 5, f32=48 * 4 * 27)
    upwards = model_of([helper.make_node("ConvTranspose", ["x", "w"], ["y"])], inputs, {"y": (TensorProto.FLOAT, None)}, {"w": np.zeros((3, 1, 2, 2), np.float32)})
    (tmp_path / "up.onnx").write_bytes(upwards)
    with pytest.raises(cost.NotCounted, match="ConvTranspose"):
        cost.products(tmp_path / "up.onnx", {"x": np.zeros((1, 3, 8, 6), np.float32)})


def test_the_baselines_figures_are_taken_by_pixels_and_of_nothing_else(tmp_path, context, monkeypatch):
    here, gone = (Picture(ROOT / name, np.full((20, 20), value, np.uint8), None) for name, value in (("here.png", 3), ("gone.png", 4)))
    held = {"columns": ["step", "bytes", "ssim", "psnr_db"], "pictures": {digest(here.pixels): [[2.0, 90, 0.9, 33.0], [1.0, 150, 0.96, 38.0]]}}
    (tmp_path / "brain-points.json").write_text(json.dumps(held))
    assert baseline.read("brain", tmp_path)[digest(here.pixels)][1] == {"step": 1.0, "bytes": 150, "ssim": 0.96, "psnr_db": 38.0}
    assert baseline.read("chest", tmp_path) == {}
    monkeypatch.setattr(baseline, "FOLDER", tmp_path)
    found = gate.trained_baseline(context, "brain", [here, gone])
    assert found == [Point("here.png", BASELINE, 2.0, 90, 0.9, 33.0), Point("here.png", BASELINE, 1.0, 150, 0.96, 38.0)] and not context.problems
    assert gate.trained_baseline(context, "brain", [gone]) == [] and "make evaluate-compressai" in context.problems[0]


def test_sources_that_trained_are_those_of_the_list(tmp_path):
    assert trained_sources(tmp_path, "brain_mri") is None
    listed = tmp_path / "listed"
    listed.mkdir()
    (listed / "OPEN.tsv").write_text("path\tlicence\nbrain_mri/train/one_1.jpg\tCC0-1.0\nbrain_mri/test/two_2.jpg\tCC0-1.0\nfundus/train/three_3.jpg\tCC0-1.0\n")
    assert trained_sources(listed, "brain_mri") == {"one"}


def test_a_digest_names_pixels_and_their_shape():
    pixels = np.arange(12, dtype=np.uint8)
    assert digest(pixels.reshape(3, 4)) != digest(pixels.reshape(4, 3)) and len(digest(pixels)) == 16
