"""The whole command on tiny pictures: pictures to model folder, and what the product makes of it.

The last tests need a built `latentwire` (LATENTWIRE, or target/{debug,ci,release}) and ONNX Runtime's library; without, they are skipped.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import CONFIG, TRAINING, add_picture, wave
from PIL import Image

from latentwire_training import card, curves

ROOT = TRAINING.parent
MODEL = "ae224-tiny"


def command(config: Path, data: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "latentwire_training.train", "--model", str(config), "--data", str(data),
            "--work", str(out / "work"), "--models", str(out / "models"), "--threads", "1", *more]  # fmt: skip


def start(arguments: list[str], **options) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(TRAINING)}
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model trained by the command, with a broken picture among its data."""
    out = tmp_path_factory.mktemp("trained")
    (out / "tiny.toml").write_text(CONFIG.replace("steps = 12", "steps = 60"))
    data = out / "data"
    for seed in range(10):
        add_picture(data, f"sine_{seed}.png", wave(seed, 96, 128))
    (data / add_picture(data, "sine_broken.png", wave(50))).write_bytes(b"\x89PNG\r\n\x1a\n")
    process = start(command(out / "tiny.toml", data, out))
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return out, stdout


def test_the_command_tells_its_course_and_names_the_broken_picture_at_the_end(trained):
    out, stdout = trained
    lines = stdout.splitlines()
    assert any("training and" in line and "60 steps" in line for line in lines)
    assert any(line.startswith("step 60/60, epoch") and "0:00 left" in line for line in lines)
    assert any("validation SSIM" in line and "PSNR" in line for line in lines)
    assert lines[-2] == "left out 1 picture:" and "waves/train/sine_broken.png: cannot be read" in lines[-1]


def test_the_folder_holds_what_its_manifests_name(trained):
    folder = trained[0] / "models" / MODEL
    assert {p.name for p in folder.iterdir()} == {
        "manifest.toml", "decode.toml", "encoder.onnx", "decoder.onnx", "tables.bin", "training.json", "CARD.md", "curves.png",
    }  # fmt: skip
    digest = lambda name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
    manifest, decode = (tomllib.loads((folder / name).read_text()) for name in ("manifest.toml", "decode.toml"))
    assert manifest["id"] == MODEL and manifest["decode_sha256"] == digest("decode.toml")
    assert (manifest["modality"], manifest["label"], manifest["choose"], manifest["dicom_modalities"]) == ("other", "waves", "by-name", ["US"])
    assert manifest["encoder"]["sha256"] == digest("encoder.onnx")
    assert decode["decoder"]["sha256"] == digest("decoder.onnx") and decode["tables"]["sha256"] == digest("tables.bin")
    assert decode["decoder"]["certified"] is False and len(decode["latent"]["steps"]) == 3


def test_the_card_says_what_it_must(trained):
    folder = trained[0] / "models" / MODEL
    text = (folder / "CARD.md").read_text()
    training = json.loads((folder / "training.json").read_text())
    for part in (
        training["decoder_digest"], "waves that were computed for a test", "**Not for** anything.", "curves.png", "seed 1", "60 steps",
        "Left out: waves/train/sine_broken.png", "make train-figures", "certified = false", "or a DICOM file says Modality US", "by-name",
    ):  # fmt: skip
        assert part in text, part
    for picture in training["pictures"]:
        assert f"| {picture['path']} | CC0-1.0 | {picture['sha256']} |" in text


def test_the_curves_can_be_looked_at_and_drawn_again(trained, tmp_path):
    folder = trained[0] / "models" / MODEL
    first = Image.open(folder / "curves.png")
    assert first.width > 900 and first.height > 250 and len(np.unique(np.asarray(first.convert("L")))) > 20
    curves.draw_for(json.loads((folder / "training.json").read_text()), tmp_path / "again.png")
    assert np.array_equal(np.asarray(first), np.asarray(Image.open(tmp_path / "again.png")))


@pytest.mark.parametrize("model", ["ae224-fundus", "ae224-chest", "ae224-brain"])
def test_the_shipped_models_cards_can_be_written_again_with_their_figures(model, tmp_path):
    folder = ROOT / "models" / model
    training = json.loads((folder / "training.json").read_text())
    figures = card.kept_figures(folder / "CARD.md", training)
    assert figures is not None and "| test | all |" in figures
    assert card.card(training, figures) == (folder / "CARD.md").read_text()
    curves.draw_for(training, tmp_path / "curves.png")


def test_figures_of_pictures_that_were_trained_with_are_refused(trained, tmp_path):
    training = json.loads((trained[0] / "models" / MODEL / "training.json").read_text())
    line = {"path": training["pictures"][0]["path"], "status": "would_send", "mode": "latent", "model": MODEL,
            "ssim": 0.9, "psnr_db": 30.0, "coded_bytes": 10, "width": 10, "height": 10, "frames": 1}  # fmt: skip
    with pytest.raises(SystemExit, match="trained or validated with"):
        card.inspect_figures([line], training, "here")
    renamed = tmp_path / "renamed_1.png"
    renamed.write_bytes((trained[0] / "data" / training["pictures"][0]["path"]).read_bytes())
    with pytest.raises(SystemExit, match="renamed_1.png was trained or validated with"):
        card.inspect_figures([{**line, "path": str(renamed)}], training, "here")
    with pytest.raises(SystemExit, match="mode exact"):
        card.inspect_figures([{**line, "path": "waves/test/x_1.png", "mode": "exact"}], training, "here")
    text = card.inspect_figures([{**line, "path": "waves/test/x_1.png"}, {**line, "path": "waves/test/y_1.png", "ssim": 0.98}], training, "here")
    assert "| test | all | 2 | 0.9400 | 30.00 | 0.001000 | 0.800 | 50% |" in text and "| test | y | 1 | 0.9800 |" in text
    other = card.card(training, text)
    assert text in other and "not measured" not in other.lower()


def test_ctrl_c_keeps_a_checkpoint_and_the_same_command_goes_on(data, tmp_path):
    config = tmp_path / "long.toml"
    config.write_text(CONFIG.replace("steps = 12", "steps = 1000000"))
    checkpoint = tmp_path / "work" / f"{MODEL}.pt"
    process = start(command(config, data, tmp_path))
    try:
        deadline = time.monotonic() + 120
        while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert checkpoint.exists(), process.communicate(timeout=10)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1 and "of 1000000; the same command goes on from" in stderr, stderr
    process = start(command(config, data, tmp_path, "--steps", "1"))
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0 and f"goes on from {checkpoint}, step " in stdout, stderr


@pytest.fixture(scope="module")
def latentwire():
    named = [os.environ["LATENTWIRE"]] if os.environ.get("LATENTWIRE") else [str(ROOT / "target" / p / "latentwire") for p in ("debug", "ci", "release")]
    found = [Path(p) for p in named if Path(p).is_file()]
    if not found:
        pytest.skip("no built latentwire: `cargo build -p latentwire-cli`, or set LATENTWIRE")
    if not (os.environ.get("ORT_DYLIB_PATH") or list((ROOT / ".onnxruntime").glob("libonnxruntime*"))):
        pytest.skip("no ONNX Runtime library: `make setup`")
    return max(found, key=lambda p: p.stat().st_mtime)


def inspect(latentwire: Path, models: Path, *arguments: str) -> tuple[int, list[dict], str]:
    done = subprocess.run([str(latentwire), "inspect", "--json", "--models", str(models), *arguments], capture_output=True, text=True, cwd=ROOT, timeout=300)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_the_product_codes_with_the_trained_model_and_finds_the_figures_that_training_found(trained, latentwire):
    out = trained[0]
    training = json.loads((out / "models" / MODEL / "training.json").read_text())
    validation = [p["path"] for p in training["pictures"][training["training_pictures"] :]]
    code, lines, stderr = inspect(latentwire, out / "models", "--model", MODEL, "--below-floor", "send-marked", *(str(out / "data" / p) for p in validation))
    assert code == 0 and len(lines) == len(validation) == training["validation_pictures"], stderr
    assert all((line["mode"], line["model"], line["modality"]) == ("latent", MODEL, "other") for line in lines)
    kind = training["kind"]
    expected = training["validation"][f"{kind['encoder']}/{kind['decoder']}"]
    mean = lambda key: float(np.mean([line[key] for line in lines]))
    assert mean("ssim") == pytest.approx(expected["ssim"], abs=2e-3)
    assert mean("psnr_db") == pytest.approx(expected["psnr_db"], abs=0.1)
    # The product's range coder spends what the tables promised, plus a header.
    payload = expected["bpp"] * 96 * 128 / 8
    assert payload * 0.995 < mean("coded_bytes") < payload * 1.01 + 400


def test_without_its_name_the_product_does_not_use_it(trained, latentwire):
    picture = str(trained[0] / "data/waves/train/sine_1.png")
    code, lines, stderr = inspect(latentwire, trained[0] / "models", picture)
    assert code != 0 and lines[0]["status"] == "rejected", (lines, stderr)
    assert "1 wait to be asked for by id" in lines[0]["error"]["message"]


def test_the_product_refuses_the_model_once_a_file_is_changed(trained, latentwire, tmp_path):
    source, target = trained[0] / "models" / MODEL, tmp_path / MODEL
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    tables = bytearray((target / "tables.bin").read_bytes())
    tables[-1] ^= 1
    (target / "tables.bin").write_bytes(tables)
    code, _, stderr = inspect(latentwire, tmp_path, "--model", MODEL, str(trained[0] / "data/waves/train/sine_1.png"))
    assert code != 0 and "tables.bin is not the file its manifest names" in stderr, stderr
