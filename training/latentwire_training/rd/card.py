"""`CARD.md` and `curves.png` of an `rd` model, from its training.json alone.

    python -m latentwire_training.rd.card models/rd-chest
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import BinaryIO

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from ..card import pictures_list  # noqa: E402


def draw(training: dict, target: BinaryIO) -> None:
    """Loss over the run, and bits against SSIM of the exported halves."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    rows = [row for row in training["history"] if "loss" in row]
    left.plot([row["step"] for row in rows], [row["loss"] for row in rows])
    left.set(xlabel="step", ylabel="loss", title=f"{training['model']}: training")
    curve = training["validation"]
    right.plot([row["bpp"] for row in curve], [row["ssim"] for row in curve], marker="o")
    right.axhline(0.95, color="grey", linewidth=0.8)
    right.set(xlabel="bits a pixel", ylabel="SSIM", xscale="log", title="validation pictures, one model, knob from -48 to 64")
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.savefig(target, format="png", dpi=110, metadata={"Software": ""})
    plt.close(figure)


def card(training: dict) -> str:
    config, bpp, products = training["config"], training["validation_bpp"], training["macs_per_pixel"]
    lines = ["| knob | SSIM | PSNR dB | bits a pixel |", "|---|---|---|---|"]
    lines += [f"| {row['knob']} | {row['ssim']:.4f} | {row['psnr_db']:.2f} | {row['bpp']:.3f} |" for row in training["validation"]]
    began = training.get("began_with")
    start = f"an earlier run's weights (SHA-256 `{began[:16]}…`), which began with" if began else ""
    planes = "grey" if config["net.planes"] == 1 else "RGB"
    return f"""# {training["model"]}

Rate-distortion trained transform for {config["title"]} ({planes}, 8 to 16 bits): blocks of 16x16 to {config["net.coefficients"]} coefficients, one level a
block, integer context model. One model serves all rates by its knob. Decoder digest `{training["decoder_digest"]}`, integer and bit-identical on
the configurations of docs/MODELS.md (`certified = true`).

**Not for** {config["not_for"]} SSIM and PSNR are no evidence of diagnostic adequacy: the sender measures every picture before it sends it, and sends the
exact file where a floor is missed.

## Figures
Validation pictures (openly licensed, not trained on), scaled by {config["validation_scale"]:g}, the halves as they ship, bits by the integer tables:
{bpp["ssim_095"]:.3f} bits a pixel at SSIM 0.95, {bpp["psnr_38_db"]:.3f} at 38 dB (each picture interpolated, then the mean). Figures on test pictures, by source and beside
today's codecs: docs/MODELS.md, by `make evaluate MODELS=rd DATA=…`.

{chr(10).join(lines)}

Multiplications a pixel: encoder {products["encoder"]:,.0f} (8 bits but for {products["encoder_f32"]:,.0f}), decoder {products["decoder"]:,.0f} (int8).

## Training
{training["steps_trained"]} steps of {config["schedule.batch"]} crops of {config["crops.size"]}x{config["crops.size"]} (scaled by {config["crops.scale"][0]:g} to {config["crops.scale"][1]:g}, so that what JPEG left in the pictures is gone), seed {config["schedule.seed"]}, {training["seconds"] / 60:.0f} minutes on
{training["threads"]} thread(s) of a processor. Start: {start + ' ' if start else ''}the pictures' own Karhunen-Loeve transform. Loss: bits + {config["rate.ssim_weight"]:g} x 2^(-{config["rate.slope"]:g} knob) x (1 - SSIM). Again, or further on from
`training/weights/`: `make train MODEL={training["model"]} DATA=…`.

![Loss over the run; bits against SSIM](curves.png)

## Pictures
{training["training_pictures"]} for training, {training["validation_pictures"]} for validation (by a hash of the name); licences {", ".join(training["licences"])}.

{pictures_list(training["pictures"], {k.removeprefix("data.attribution."): v for k, v in config.items() if k.startswith("data.attribution.")} or config.get("data.attribution", {}))}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    (folder / "CARD.md").write_text(card(json.loads((folder / "training.json").read_text())))
    print(f"wrote {folder / 'CARD.md'}")


if __name__ == "__main__":
    main()
