"""Paper B's autoencoder: its words *lightweight*, *exact reconstruction* and *99 % accuracy* beside what can be counted and measured,
its Figure 3 and the training time that it names as its limitation, and its Tables 2 to 6 on the 256 encoded numbers."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from ..measure import fidelity
from ..paper_a.nets import apply, net
from ..paper_a.timing import median_ms
from ..plots import grid, plt, save
from ..rate_distortion import ours
from ..report.context import Context, how_to_build
from ..report.page import Page, number, table
from ..services import NotDelivered
from . import cipher, table1

MODEL = "hd512"
# Which test pictures are measured; two of each kind are shown.
PICTURES = 20
SHOWN = 4
# Percentiles of a code that become 0 and 255: a few of its numbers lie far from the others.
OUTLIERS = (1, 99)
NET_REPEATS = 3
BUILD = how_to_build(MODEL)

TEXT = """
### Table 1 and the word "lightweight"
{layers}

{parameters:,} parameters ({megabytes:.0f} MB as f32) and {gigaflops:.1f} billion operations a picture of 512x512, there and back; paper A's net has {a_parameters:,}
parameters and {a_gigaflops:.1f} billion operations on the same picture. Most of the parameters are in the two dense layers, of which the paper's table leaves one out; its equation 3 counts
3,488 parameters for the first layer, which has 3,584.

### "Almost 99 % accuracy"
The paper gives no definition. What Keras calls *accuracy* for an output of three planes is the share of pixels whose **largest plane** is the same. Grey pictures, as its X-rays and MRI are, have
three equal planes, of which the first counts as the largest. So, on {n} test pictures of 512x512:

{accuracy}

A black picture is 100 % accurate, and one that nobody can tell from the original 33 %. The figure says nothing about what an autoencoder shows; SSIM and PSNR do.

### The picture beside "exact reconstruction"
{reconstruction}

### Figure 3 and the training time (training logs)
{training}

### Tables 2 to 6 on the encoded matrix
{matrix}
"""


def run(context: Context) -> Page:
    pictures = cipher.pictures(context.data, cipher.SIDE, PICTURES, context.left_out)
    if not pictures:
        raise ValueError(f"no pictures that can be measured in {' or '.join(f'{folder}/test' for folder in cipher.FOLDERS)}")
    model = context.model(MODEL)
    outcome = decoded(model, pictures) if model else []
    reconstruction, figures = reconstructed(context, model, pictures, outcome)
    context.tick(0.7)
    training, log = trained(context, model)
    matrix, matrices = encoded_matrix(context, model, pictures)
    encoder, decoder, paper_a = (table1.total(layers) for layers in (table1.ENCODER, table1.DECODER, table1.PAPER_A))
    accuracies = accuracy_rows(pictures, outcome)
    text = TEXT.format(
        layers=table(["layer", "output", "parameters", "million operations"], layer_rows()),
        parameters=encoder[0] + decoder[0], megabytes=(encoder[0] + decoder[0]) * 4 / 1e6, gigaflops=(encoder[1] + decoder[1]) / 1e9,
        a_parameters=paper_a[0], a_gigaflops=paper_a[1] / 1e9, n=len(pictures), reconstruction=reconstruction, training=training, matrix=matrix,
        accuracy=table(["output", "\"accuracy\"", "SSIM", "PSNR, dB"], accuracies),
    )  # fmt: skip
    findings = [
        f"**B's \"lightweight\"**: {(encoder[0] + decoder[0]) / 1e6:.0f} million parameters, {(encoder[1] + decoder[1]) / 1e9:.0f} billion operations a picture "
        f"({(encoder[0] + decoder[0]) / paper_a[0]:.0f} times paper A's parameters). **Its \"99 % accuracy\"**: a black picture has 100 %."
    ]
    if figures:
        findings.append(f"**B's \"exact reconstruction\"**: SSIM {figures['ssim']:.3f}, {figures['psnr_db']:.1f} dB from 256 numbers on pictures that the net has not seen.")
    content = {"b_autoencoder": {"n": len(pictures), "parameters": encoder[0] + decoder[0], "operations": encoder[1] + decoder[1], "measured": figures or None, "training_log": log}}
    return Page(text, {**content, "b_matrix": matrices}, findings)


def layer_rows() -> list[list[str]]:
    rows = []
    for half, layers in (("encoder", table1.ENCODER), ("decoder", table1.DECODER)):
        rows += [[f"{half}: {layer.name}", layer.shape, f"{layer.parameters:,}", f"{layer.operations / 1e6:,.0f}"] for layer in layers]
        parameters, operations = table1.total(layers)
        rows.append([f"**{half}**", "", f"**{parameters:,}**", f"**{operations / 1e6:,.0f}**"])
    return rows


def planes(picture: np.ndarray) -> np.ndarray:
    """A grey picture as the net takes it: [512, 512, 3] in 0..1."""
    return np.repeat(picture[..., None], 3, axis=2) / 255


def decoded(model: Path, pictures: list[tuple[str, np.ndarray]]) -> list[np.ndarray]:
    """What the two nets by themselves make of each picture, [512, 512, 3] in 0..1 or beyond, no quantisation between."""
    encoder, decoder = net(model / "encoder.onnx"), net(model / "decoder.onnx")
    return [apply(decoder, apply(encoder, planes(picture))) for _, picture in pictures]


def keras_accuracy(target: np.ndarray, output: np.ndarray) -> float:
    """The share of pixels whose largest plane is the same one, percent; ties go to the first, as in Keras."""
    return float((target.argmax(axis=2) == output.argmax(axis=2)).mean() * 100)


def accuracy_rows(pictures: list[tuple[str, np.ndarray]], outcome: list[np.ndarray]) -> list[list[str]]:
    grey = [planes(picture) for _, picture in pictures]
    ways = {"a black picture": [np.zeros_like(picture) for picture in grey], "one grey throughout": [np.full_like(picture, 0.5) for picture in grey]}
    ways["another picture of the set"] = grey[1:] + grey[:1]
    rng = np.random.default_rng(1)
    ways["the same picture, a thousandth of noise added to each plane"] = [picture + rng.normal(0, 1e-3, picture.shape) for picture in grey]
    if outcome:
        ways["the net's output"] = outcome
    rows = []
    for name, outputs in ways.items():
        accuracy = np.mean([keras_accuracy(*pair) for pair in zip(grey, outputs)])
        found = [fidelity(picture, to_grey(output)) for (_, picture), output in zip(pictures, outputs)]
        rows.append([name, f"{accuracy:.1f} %", *(f"{np.mean([one[key] for one in found]):.{digits}f}" for key, digits in (("ssim", 4), ("psnr_db", 2)))])
    return rows


def to_grey(output: np.ndarray) -> np.ndarray:
    """The mean of the planes in 8 bits, as the product does."""
    return np.clip(np.rint(output.mean(axis=2) * 255), 0, 255).astype(np.uint8)


def reconstructed(context: Context, model: Path | None, pictures: list[tuple[str, np.ndarray]], outcome: list[np.ndarray]) -> tuple[str, dict]:
    if model is None:
        return f"**Not there yet.** {BUILD}; the picture beside the reconstruction then stands here.", {}
    found = [fidelity(picture, to_grey(output)) for (_, picture), output in zip(pictures, outcome)]
    figures = {key: float(np.mean([one[key] for one in found])) for key in ("ssim", "psnr_db")}
    rows = []
    for (name, picture), output in list(zip(pictures, outcome))[:SHOWN]:
        grey = to_grey(output)
        difference = np.clip(np.abs(grey.astype(int) - picture) * 4, 0, 255).astype(np.uint8)
        rows.append([(name[:30], picture), (f"from 256 numbers, SSIM {fidelity(picture, grey)['ssim']:.3f}", grey), ("difference x 4", difference)])
    # Two pictures side by side.
    grid(context.report / "exact-reconstruction.png", [sum(rows[place : place + 2], []) for place in range(0, len(rows), 2)], side=2.6)
    encoder, decoder = net(model / "encoder.onnx"), net(model / "decoder.onnx")
    code = apply(encoder, planes(pictures[0][1]))
    figures["encode_ms"] = median_ms(lambda: apply(encoder, planes(pictures[0][1])), NET_REPEATS)
    figures["decode_ms"] = median_ms(lambda: apply(decoder, code), NET_REPEATS)
    lines = [
        f"{len(pictures)} test pictures (chest X-ray and brain MRI, openly licensed ones first): mean SSIM {figures['ssim']:.4f}, PSNR {figures['psnr_db']:.2f} dB by the two nets alone.",
        f"Encoder {figures['encode_ms']:.0f} ms, decoder {figures['decode_ms']:.0f} ms on one core.",
        through_services(context, pictures, figures),
        "",
        "![pictures, what 256 numbers keep of them, and the difference](exact-reconstruction.png)",
    ]
    return "\n".join(lines), figures


def through_services(context: Context, pictures: list[tuple[str, np.ndarray]], figures: dict) -> str:
    """The same net in the product: its 256 numbers quantised, coded, sealed, sent, marked as research."""
    if not context.servable(MODEL):
        return "The folder has no manifest: the services do not know it."
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for name, picture in pictures[:SHOWN]:
            try:
                rows.append(ours.once(context.services, Path(temporary), picture, MODEL, 100))
            except NotDelivered as error:
                context.problem(f"{MODEL}, {name}: {error}")
    if not rows:
        return "Through the services nothing was delivered; why stands at the end."
    figures["services"] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    one = figures["services"]
    return (
        f"Through the services, marked (mean of {len(rows)}): SSIM {one['ssim']:.4f}, {one['bpp'] * 512 * 512 / 8:.0f} bytes a picture, "
        f"encode {one['encode_ms']:.0f} ms, decode {one['decode_ms']:.0f} ms."
    )


def trained(context: Context, model: Path | None) -> tuple[str, list[dict] | None]:
    """Figure 3 and the time of 25, 50 and 100 % of the pictures, from the training log."""
    runs = runs_of(model / "training.json") if model else []
    if not runs:
        return f"**Not there yet.** {BUILD} and writes the log.", None
    draw_training(context.report / "hd512-training.png", runs)
    rows = []
    for one in runs:
        epochs = one["epochs"]
        last = epochs[-1]["validation"]
        seconds, processor = (sum(row.get(key) or 0 for row in epochs) for key in ("seconds", "processor_seconds"))
        rows.append([f"{one['percent']} %", one.get("pictures", "–"), len(epochs) - 1, f"{seconds / 60:.1f}", f"{processor / 60:.1f}", f"{last['loss']:.5f}", f"{last['ssim']:.4f}", f"{last['accuracy'] * 100:.1f} %"])
    head = ["share of the data", "pictures", "epochs", "minutes", "of one processor", "validation loss", "SSIM", "\"accuracy\""]
    text = f"""![loss and accuracy over the epochs](hd512-training.png)

{table(head, rows)}

*Training logs*, from `models/research/{MODEL}/training.json`; optimiser, loss and epochs are ours, for the paper prints none; the time of the closed-form start is
included. The paper's stated limitation is that training takes more time with more data: here {longest(runs)}."""
    return text, runs


def longest(runs: list[dict]) -> str:
    """The run over most of the data beside the one over least."""
    few, many = min(runs, key=lambda one: one["percent"]), max(runs, key=lambda one: one["percent"])
    taken = [sum(row.get("processor_seconds") or row.get("seconds") or 0 for row in one["epochs"]) for one in (few, many)]
    if few is many or not taken[0]:
        return "there is one run only"
    return f"{many['percent']} % of the data took {taken[1] / taken[0]:.1f} times as long as {few['percent']} %"


def runs_of(path: Path) -> list[dict]:
    """The logs of the runs, by share of the data; wherever in the file they stand."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    lists = [value for value in content.values() if isinstance(value, list)] if isinstance(content, dict) else []
    for value in lists:
        if value and all(isinstance(one, dict) and "percent" in one and one.get("epochs") for one in value):
            return value
    return []


def draw_training(path: Path, runs: list[dict]) -> None:
    figure, (loss, accuracy) = plt.subplots(1, 2, figsize=(10, 4.2))
    for one, colour in zip(runs, ("#56B4E9", "#E69F00", "#D55E00", "#000000")):
        rows = one["epochs"]
        trained_ = [(row["epoch"], row["loss"]) for row in rows if row.get("loss") is not None]
        if trained_:
            loss.plot(*zip(*trained_), "--", color=colour, linewidth=1, label=f"{one['percent']} %, training")
        loss.plot(*zip(*((row["epoch"], row["validation"]["loss"]) for row in rows)), color=colour, label=f"{one['percent']} %, validation")
        accuracy.plot(*zip(*((row["epoch"], row["validation"]["accuracy"] * 100) for row in rows)), color=colour, label=f"{one['percent']} %")
    loss.set(title="loss (mean square error)", xlabel="epoch", yscale="log")
    accuracy.set(title='Keras\' "accuracy", validation, percent', xlabel="epoch")
    accuracy.axhline(100, color="0.5", linestyle=":", linewidth=1)
    accuracy.annotate("a black picture", (0.5, 101), xycoords=("axes fraction", "data"), fontsize=8, va="bottom", ha="center")
    accuracy.set_ylim(0, 109)
    for axis in (loss, accuracy):
        axis.grid(True, color="0.92")
        axis.legend(fontsize=8, frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    save(figure, path)


def encoded_matrix(context: Context, model: Path | None, pictures: list[tuple[str, np.ndarray]]) -> tuple[str, dict]:
    """The statistics of 16x16 bytes: the code where the net is there; uniform noise of that size in any case."""
    noises = [np.random.default_rng(seed).integers(0, 256, (16, 16), np.uint8) for seed in range(1000)]
    found = [{**cipher.measures(noise, noise)} for noise in noises]
    spread = {key: (float(np.mean([one[key] for one in found])), float(np.std([one[key] for one in found]))) for key in found[0]}
    expected = "; ".join(f"{cipher.TITLES[key].split(', ', 1)[1]} {mean:.3f} ± {deviation:.3f}" for key, (mean, deviation) in spread.items())
    said = (
        f"n = 256 values. A thousand matrices of uniform noise of that size have: {expected} (mean ± standard deviation). Its printed entropies of 7.98 to 8.00 bits cannot "
        "have come from 256 numbers."
    )
    figures: dict = {"n": 256, "noise": {key: {"mean": mean, "deviation": deviation} for key, (mean, deviation) in spread.items()}}
    if model is None:
        return f"{said}\n\n**Not there yet: the encoded matrices.** {BUILD}.", figures
    encoder, rows = net(model / "encoder.onnx"), []
    for name, picture in pictures[: cipher.PICTURES]:
        code = apply(encoder, planes(picture)).reshape(16, 16)
        low, high = np.percentile(code, OUTLIERS)
        matrix = np.rint((code - low) / max(float(high - low), 1e-9) * 255).clip(0, 255).astype(np.uint8)
        rows.append({kind: cipher.measures(matrix, image) for kind, image in cipher.versions(name, matrix).items()})
    figures["by_picture"] = rows
    return f"The code of {len(rows)} pictures as 16x16 bytes, their percentiles {OUTLIERS[0]} to {OUTLIERS[1]} spread over 0..255 because a few numbers lie far out. {said}\n\n{cipher.table(rows)}", figures
