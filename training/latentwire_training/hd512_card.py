"""`CARD.md` of `hd512`, from its training.json alone.

    python -m latentwire_training.hd512_card models/research/hd512
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .card import pictures_list
from .hd512 import summary, totals


def fractions_table(runs: list[dict]) -> str:
    lines = ["| share of the pictures | pictures | start, s | epochs, s | wall, min | processor, min | validation loss | SSIM | PSNR dB |", "|---|---|---|---|---|---|---|---|---|"]
    for run in runs:
        first, *rest = run["epochs"]
        last = run["epochs"][-1]["validation"]
        wall, processor = (sum(row[key] for row in run["epochs"]) / 60 for key in ("seconds", "processor_seconds"))
        lines.append(
            f"| {run['percent']} % | {run['pictures']} | {first['seconds']:.0f} | {sum(r['seconds'] for r in rest):.0f} | {wall:.1f} | {processor:.1f} "
            f"| {last['loss']:.5f} | {last['ssim']:.4f} | {last['psnr_db']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def figures_table(rows: dict[str, dict], heading: str) -> str:
    lines = [f"| {heading} | pictures | SSIM | PSNR dB | MSE (0..1) | bits per pixel |", "|---|---|---|---|---|---|"]
    for name, row in rows.items():
        lines.append(f"| {name} | {row['n']} | {row['ssim']:.4f} | {row['psnr_db']:.2f} | {row['mse']:.6f} | {row['bpp']:.4f} |")
    return "\n".join(lines) + "\n"


def cost_table(cost: dict) -> str:
    lines = ["| half | file | operations a picture | processor time, one thread | peak memory |", "|---|---|---|---|---|"]
    for half, sums in totals().items():
        row = cost[half]
        lines.append(
            f"| {half} | {row['file_bytes'] / 1e6:.1f} MB | {sums['operations'] / 1e9:.1f} GFLOP | {row['milliseconds']:.0f} ms | {row['peak_mib']:.0f} MiB |"
        )
    return "\n".join(lines) + "\n"


def card(training: dict) -> str:
    config = training["config"]
    both = sum(sums["parameters"] for sums in totals().values())
    last = training["fractions"][-1]["epochs"][-1]["validation"]
    seen = [row["validation"]["accuracy"] for row in training["fractions"][-1]["epochs"]]
    lowest, highest = min(seen), max(seen)
    start = training["fractions"][-1]["start"]
    judged = training["test"].get("all", training["validation"]["small/small"])
    return f"""# hd512

Paper B's autoencoder (Alqahtani 2024, Table 1) to the letter, for research: {config["title"]} -> 256 numbers -> 512x512. Decoder digest
`{training["decoder_digest"]}`. `purpose = "research"`: services take it only where they are told to, and only by name.

**Not for** {config["not_for"]} SSIM and PSNR are no evidence of diagnostic adequacy. The decoder is f32 and not bit-identical across
processors (`certified = false`).

## The paper's words, and figures
- "Lightweight": {both:,} parameters, nearly all in the two dense layers; the product's `ae224` nets have 115,346 together. Table 1 leaves
  the decoder's dense layer (256 -> 131,072, 33,685,504 parameters) out; equation 12 has it. Equation 3 gives the first convolution 3,488
  parameters; 128 x (3 x 3 x 3 + 1) is 3,584.
- "Exact reconstruction of input images": SSIM {judged["ssim"]:.3f} and {judged["psnr_db"]:.1f} dB on {"test" if training["test"] else "validation"} pictures. 786,432 bytes do not fit in 256 numbers.
- "Almost 99 % accuracy": Keras' `accuracy` on pictures is the share of pixels whose largest colour plane is the same in input and output. This
  net reaches {last["accuracy"]:.1%} on the validation pictures, at a loss of {last["loss"]:.4f}; between epochs the figure moved from {lowest:.0%} to {highest:.0%} while the loss hardly
  did. One grey everywhere reaches {training["constant_grey"]["accuracy"]:.1%}, at a loss of {training["constant_grey"]["loss"]:.4f}. The figure says nothing about an autoencoder.

{summary()}
## Figures
Both halves as they ship, latent quantised and counted by the integer tables, by ONNX Runtime in the trainer; pictures scaled to 512x512
(both sides, whatever their shape, as the paper does), measured at 512x512. The test pictures were read once, after all choices:

{figures_table(training["test"], "test pictures of") if training["test"] else "(DATA held no test pictures.)"}
Validation by precision of the dense layers (encoder/decoder; small: four bits a weight, of the decoder's first 8 inputs eight); quantiser step {training["step"]:.4f}, which costs {training["step_loss_db"]:.3f} dB:

{figures_table(training["validation"], "halves")}
Of each half as it ships ({training["machine"]}, one thread, a process of its own):

{cost_table(training["cost"])}
## Training
Optimiser, loss and epochs are not in the paper: these are ours. Mean square error, Adam, {config["schedule.epochs"]} epochs of batches of {config["schedule.batch"]} after a start in
closed form: the code begins as the 256 principal components (whitened; {start["views"]} looks at the pictures), which the ReLU of equation 11
does not clip because they are shifted by {start["shift"]:.1f} standard deviations; the encoder's dense layer begins as the ridge regression to them.
Every weight is trained from there. Rates: encoder convolutions {config["schedule.encoder_rate"]:g}, decoder convolutions {config["schedule.decoder_rate"]:g}, dense layers {config["schedule.dense_rate"]:g}, cosine.
Each step sees whole pictures (mirrored, shifted to {config["start.shift"]:.0%}, zoomed to {config["start.zoom"]:.0%}) and is judged on a window of {8 * config["schedule.window"]}x{8 * config["schedule.window"]} pixels. Pictures smaller
than 512x512 were scaled up. {training["training_pictures"]} pictures for training, {training["validation_pictures"]} for validation (by a hash of the name, about {config["data.validation_percent"]} %); seed {config["schedule.seed"]}.
Again: `make train MODEL=hd512 DATA=… MODELS=models/research`.

The paper's stated limitation is that training takes longer as data grows. The same recipe on parts of the pictures ({training["machine"]},
one thread, bf16; the machine was shared, so processor time tells more than wall time; validation not counted):

{fractions_table(training["fractions"])}
![Loss, "accuracy", SSIM and training time of the three runs](curves.png)

## Pictures
The paper trained on two sets from Kaggle (COVID-19 Pakistani Patients X-Ray Image Dataset; Brain MRI Images for Brain Tumor Detection). The first was
not to be found, the second states no licence; in their place, openly licensed:

{pictures_list(training["pictures"], config["data.attribution"])}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    (folder / "CARD.md").write_text(card(json.loads((folder / "training.json").read_text())))
    print(f"wrote {folder / 'CARD.md'}")


if __name__ == "__main__":
    main()
