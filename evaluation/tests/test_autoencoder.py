"""Paper B's Table 1 as counted by hand, its accuracy on what has none, the page without and with a training log."""

import json

import numpy as np
import pytest
from latentwire_evaluation.paper_b import autoencoder, table1
from latentwire_evaluation.services import ROOT
from PIL import Image


def test_the_table_has_67_million_parameters_and_the_first_layer_3584():
    assert table1.ENCODER[0].parameters == 3584
    assert table1.ENCODER[-1].parameters == 131_072 * 256 + 256 and table1.DECODER[0].parameters == 131_072 * 256 + 131_072
    assert table1.total(table1.ENCODER)[0] + table1.total(table1.DECODER)[0] == pytest.approx(67.5e6, rel=0.01)
    assert table1.ENCODER[1].operations == 2 * 9 * 128 * 64 * 256 * 256
    assert table1.total(table1.PAPER_A)[0] == 57_283 + 58_063, "as the trained nets have"


def test_a_black_picture_is_wholly_accurate_and_noise_below_notice_is_not():
    grey = autoencoder.planes(np.random.default_rng(1).integers(0, 256, (32, 32), np.uint8))
    assert autoencoder.keras_accuracy(grey, np.zeros_like(grey)) == 100
    assert autoencoder.keras_accuracy(grey, grey[..., ::-1] * [0.999, 1, 1]) == pytest.approx(0, abs=2)


def test_without_the_net_the_page_says_what_builds_it_and_with_a_log_it_has_the_times(context, monkeypatch):
    monkeypatch.setattr("latentwire_evaluation.paper_b.cipher.SIDE", 64)
    folder = context.data / "brain_mri/test"
    folder.mkdir(parents=True)
    with Image.open(sorted((ROOT / "samples/brain_mri/test").glob("*.jpg"))[0]) as image:
        image.save(folder / "one.png")
    context.models = context.report / "models"
    page = autoencoder.run(context)
    assert page.text.count("`make train MODEL=hd512 DATA=… MODELS=models/research` builds") == 3 and "67.4" not in page.text
    assert "| a black picture | 100.0 % |" in page.text
    noise = page.figures["b_matrix"]["noise"]["entropy"]
    assert noise["mean"] == pytest.approx(7.18, abs=0.01), "256 random bytes"
    model = context.models / "research/hd512"
    model.mkdir(parents=True)
    validation = {"loss": 0.01, "ssim": 0.6, "accuracy": 1.0}
    epochs = [{"epoch": number, "loss": 0.02 if number else None, "seconds": 60.0, "processor_seconds": 30.0, "validation": validation} for number in range(3)]
    (model / "training.json").write_text(json.dumps({"model": "hd512", "pictures": [{"path": "x"}], "runs": [{"percent": p, "pictures": 4 * p, "epochs": epochs} for p in (25, 50, 100)]}))
    text, log = autoencoder.trained(context, model)
    assert "| 25 % | 100 | 2 | 3.0 | 1.5 | 0.01000 | 0.6000 | 100.0 % |" in text and len(log) == 3
    assert (context.report / "hd512-training.png").is_file()
    (model / "training.json").write_text("{broken")
    assert autoencoder.runs_of(model / "training.json") == []
