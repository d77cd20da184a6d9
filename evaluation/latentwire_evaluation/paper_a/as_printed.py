"""Paper A's net by itself: SSIM and MSE as the paper measures them (f32 latent, nothing coded), with one and two max pools, with and
without its dense layer; its Figure 5, the loss curves, from the training logs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..measure import mean_square_error
from ..plots import plt, save
from ..report.context import Context, how_to_build
from ..report.page import Page, table
from ..testset import usable
from .nets import apply, net
from .pictures import SIDE, is_grey, square, to_picture
from .surrogate import similarity

# As called on the page, and the model.
NETS = {
    "as printed: one pool, dense(3)": "ae224-fundus-printed",
    "as printed, without dense(3)": "ae224-fundus-nodense",
    "as printed, two pools": "ae224-fundus-twopool",
    "the product's": "ae224-fundus",
}
PRINTED = {"ssim": 0.9528, "mse": 0.0019}

TEXT = """
{count} fundus pictures of {side}x{side}, the whole test split; encoder and decoder on f32 latents as the paper has them, nothing quantised or coded. Messidor-2 may not be
redistributed: openly licensed fundus pictures stand in for it in training. The paper prints SSIM 0.9528 and MSE 0.0019 (0.19 %) on its own pictures.
{missing}
{table}

The paper says that a second max pool would blur. It is computed here with everything else equal, the latent of 56x56x3 numbers being a quarter as large.

### Figure 5: loss curves (training logs)
![mean square error over the training steps](loss-curves.png)

*Training logs*: the only figures on this page that were not computed in this run; they are from `models/*/training.json`. Loss on training crops or pictures; dots are validation
pictures. The product's nets see noise for rounding and a rate term half way through, which is where their curves step.
"""


def run(context: Context) -> Page:
    pictures = [square(values) for _, values in usable(context.data / "fundus/test", None, context.left_out)]
    if not pictures:
        raise ValueError(f"{context.data / 'fundus/test'} has no pictures that can be measured")
    there = {said: folder for said, name in NETS.items() if (folder := context.model(name)) is not None}
    figures = {}
    for index, (said, folder) in enumerate(there.items()):
        figures[said] = fidelity(folder, pictures)
        context.tick((index + 1) / len(there))
    missing = [
        f"\n**Not there yet: the net {said}.** {how_to_build(NETS[said])}.\n" for said in NETS if said not in there
    ]
    rows = [[said, "x".join(map(str, one["latent"])), f"{one['ssim']:.4f}", f"{one['mse']:.6f}"] for said, one in figures.items()]
    rows.append(["*as printed in the paper, its own pictures*", "112x112x3", f"{PRINTED['ssim']}", f"{PRINTED['mse']}"])
    drawn = draw_curves(context.report / "loss-curves.png", context.models)
    findings = []
    if (one := figures.get("as printed: one pool, dense(3)")) and (two := figures.get("as printed, two pools")):
        findings.append(f"**A's one pool**: SSIM {one['ssim']:.3f} with one max pool, {two['ssim']:.3f} with two: the claim {'holds' if two['ssim'] < one['ssim'] else 'does not hold'}.")
    if one:
        findings.append(f"**A's fidelity**: the net as printed reaches SSIM {one['ssim']:.4f} and MSE {one['mse']:.5f} here (printed 0.9528 and 0.0019), before anything is coded.")
    text = TEXT.format(count=len(pictures), side=SIDE, missing="".join(missing), table=table(["net", "latent", "SSIM", "MSE (0..1)"], rows))
    return Page(text, {"a_fidelity": {"n": len(pictures), "nets": figures, "printed": PRINTED}, "a_figure5_training_logs": drawn}, findings)


def fidelity(model: Path, pictures: list[np.ndarray]) -> dict:
    encoder, decoder = net(model / "encoder.onnx"), net(model / "decoder.onnx")
    outcome, shape = [], ()
    for picture in pictures:
        latent = apply(encoder, picture / 255)
        shape = latent.shape
        outcome.append(to_picture(apply(decoder, latent), is_grey(picture)))
    pairs = list(zip(pictures, outcome))
    return {"latent": shape, "ssim": float(np.mean([similarity(*pair) for pair in pairs])), "mse": float(np.mean([mean_square_error(*pair) for pair in pairs]))}


def history(path: Path) -> list[dict]:
    """Rows with a mean square error out of a training log; empty where there is none."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8")).get("history", [])
    except (OSError, ValueError, AttributeError):
        return []
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get("step"), int | float)]


def draw_curves(path: Path, models: Path) -> list[str]:
    """One panel a model; returns which."""
    logs = {file.parent.name: rows for file in sorted(models.glob("*/training.json")) + sorted(models.glob("research/*/training.json")) if (rows := history(file))}
    logs = {name: rows for name, rows in logs.items() if any("mse" in row for row in rows)}
    columns = min(3, max(1, len(logs)))
    lines = -(-max(1, len(logs)) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(4 * columns, 2.9 * lines), squeeze=False)
    for axis in axes.ravel()[len(logs) :]:
        axis.set_axis_off()
    for axis, (name, rows) in zip(axes.ravel(), logs.items()):
        axis.plot(*zip(*((row["step"], row["mse"]) for row in rows if "mse" in row)), color="#0072B2", linewidth=1.2, label="training")
        checks = [(row["step"], row["validation"]["mse"]) for row in rows if isinstance(row.get("validation"), dict) and "mse" in row["validation"]]
        if checks:
            axis.plot(*zip(*checks), ".", color="#D55E00", markersize=5, label="validation")
        axis.set(yscale="log", title=name, xlabel="step")
        axis.title.set_fontsize(9)
        axis.grid(True, color="0.92")
        axis.tick_params(labelsize=8)
    axes[0][0].set_ylabel("mean square error")
    axes[0][0].legend(fontsize=8, frameon=False)
    save(figure, path)
    return list(logs)
