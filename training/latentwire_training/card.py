"""Write `models/<id>/CARD.md` from `training.json`, and from figures that the product itself measured.

    python -m latentwire_training.card models/<id> --inspect FILE.jsonl --machine "NAME"     (`make train-figures` does it all)
    python -m latentwire_training.card models/<id> --quick evaluation/report/quick.json --machine "NAME"

`--inspect` takes the lines of `latentwire inspect --json --below-floor send-marked` on a test folder; `--quick` what `make evaluate-quick`
measured through the services. Without either, the figures that the card already holds stay, so long as the decoder is still theirs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np

from .config import find, read
from .noise import WORDS as NOISES
from .pictures import source_of

FLOOR = 0.95  # the default policy's least SSIM
FIGURES, TRAINING = "## Figures\n", "\n## Training\n"
WORDS = ("title", "not_for", "label", "modality", "choose", "dicom_modalities", "data.attribution", "data.validation_percent")
UNMEASURED = """Not measured by the product yet; only the validation figures below stand. With test pictures that training never saw in
DATA: `{command}`.
"""
# What the net is; of the family `ae224`, with its parameters.
NETS = {
    "ae224": "Paper A's autoencoder (Alslman et al. 2022, Table 2) to the letter, for {title}: 57,283 parameters in\nthe encoder, 58,063 in the decoder.",
    "ae224-nodense": """Paper A's autoencoder (Alslman et al. 2022, Table 2) without its two dense layers, which the paper calls a thing for
display only, for {title}: 57,184 parameters in the encoder, 66,403 in the decoder, a latent of 32 channels.""",
    "ae224-twopool": """Paper A's autoencoder (Alslman et al. 2022, Table 2) with a second max pooling and a second upsampling, for
{title}: 57,283 parameters in the encoder, 58,063 in the decoder, a latent of a quarter of the side.""",
}
PURPOSES = {
    "research": "It is for **research** (`purpose`): only a request that names it gets it, both ends must allow it, and what it gives is marked.",
    "denoising": """It is for **denoising** (`purpose`): it takes noise away, so what it gives is no copy of what was sent. Only a request that
names it gets it, both ends must allow it, and what it gives is marked.""",
}
CURVES = {
    "rate": "Loss, rate, and SSIM and PSNR of the validation pictures over the steps",
    "printed": "Loss of training and validation, and SSIM and PSNR of the validation pictures over the epochs",
}
UNSERVED_FIGURES = "The product cannot measure it; `make evaluate DATA=…` puts the two halves to test pictures.\n"
UNSERVED = "Its latent has more channels than the entropy coder takes, so there is no model to serve: the folder holds the two halves alone."


def figures_table(rows: list[dict]) -> str:
    lines = [
        "| split | source | pictures | SSIM | PSNR dB | MSE (0..1) | bits per pixel | exact under the default policy |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['split']} | {r['source']} | {r['n']} | {r['ssim']:.4f} | {r['psnr_db']:.2f} | {r['mse']:.6f} | {r['bpp']:.3f} | {r['exact_share']:.0%} |"
        )
    return "\n".join(lines) + "\n"


def quick_figures(rows: list[dict], machine: str) -> str:
    how = f"Through the real services, `SEND_MARKED`, on pictures that training never saw ({machine}; `make evaluate-quick DATA=…`):"
    return f"{how}\n\n{figures_table(rows)}"


def inspect_figures(lines: list[dict], training: dict, machine: str) -> str:
    """Means over the lines of `latentwire inspect --json`, whole and by source; the split is the folder's name."""
    trained = {Path(p["path"]).name for p in training["pictures"]} | {p["sha256"] for p in training["pictures"]}
    rows = []
    for line in lines:
        path = Path(line["path"])
        if line.get("status") != "would_send" or line.get("mode") != "latent" or line.get("model") != training["model"]:
            raise SystemExit(f"{path}: status {line.get('status')}, mode {line.get('mode')}, model {line.get('model')}: {line.get('error')}")
        if path.name in trained or (path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() in trained):
            raise SystemExit(f"{path} was trained or validated with: a card's figures are of other pictures")
        psnr = line["psnr_db"] if line["psnr_db"] is not None else 99.0
        bpp = 8 * line["coded_bytes"] / (line["width"] * line["height"] * line["frames"])
        rows.append({"split": path.parent.name, "source": source_of(line["path"]), "ssim": line["ssim"], "psnr_db": psnr, "mse": 10 ** (-psnr / 10), "bpp": bpp})
    if not rows:
        raise SystemExit("no line of `latentwire inspect --json`: is the test folder empty?")
    out = []
    for split in sorted({r["split"] for r in rows}):
        here = [r for r in rows if r["split"] == split]
        for source in ["all", *sorted({r["source"] for r in here})]:
            group = [r for r in here if source in ("all", r["source"])]
            mean = {key: float(np.mean([r[key] for r in group])) for key in ("ssim", "psnr_db", "mse", "bpp")}
            share = float(np.mean([r["ssim"] < FLOOR for r in group]))
            out.append({"split": split, "source": source, "n": len(group), **mean, "exact_share": share})
    how = f"By `latentwire inspect --below-floor send-marked`, on pictures that training never saw ({machine}; `{command('train-figures', training)}`):"
    return f"{how}\n\n{figures_table(out)}"


def kept_figures(card_file: Path, training: dict) -> str | None:
    """The figures of an earlier card of the same decoder."""
    if not card_file.is_file():
        return None
    text = card_file.read_text()
    if training.get("decoder_digest", "no digest") not in text or FIGURES not in text or TRAINING not in text:
        return None
    return text[text.index(FIGURES) + len(FIGURES) : text.index(TRAINING)]


def described(training: dict) -> dict:
    """The configuration of a model; of one trained before configurations were files, the words of today's file."""
    if "config" in training:
        return training["config"]
    today = read(find(training["model"])).flat()
    return {key: today[key] for key in WORDS} | {"schedule.seed": training["seed"], "schedule.batch": training["batch"], "crops.size": training["crop"]}


def command(target: str, training: dict) -> str:
    """The `make` command that does it to this model; those that are no product's have a folder of their own."""
    models = "" if described(training).get("purpose", "product") == "product" else " MODELS=models/research"
    return f"make {target} MODEL={training['model']} DATA=…{models}"


def choice(config: dict) -> str:
    """For which pictures the product uses the model."""
    codes = f" or a DICOM file says Modality {' or '.join(config['dicom_modalities'])}" if config["dicom_modalities"] else ""
    if config["choose"] == "by-name":
        return f"The services use it only where a request names it{codes} (`choose = \"by-name\"`)."
    of = f" or its modality `{config['modality']}`" if config["modality"] != "other" else ""
    return f"The services use it where a request names it{of}{codes}, where a DICOM header points to it, and where it wins the trial among all models."


def course(training: dict) -> str:
    """How long, how often, and what was changed on the way."""
    config = described(training)
    recipe = printed_course if config.get("schedule.recipe") == "printed" else rate_course
    lines = recipe(training, config)
    if training.get("note"):
        lines += f"\n{training['note']}\n"
    if training.get("changes"):
        lines += "\nChanged on the way: " + "; ".join(training["changes"]) + ".\n"
    if training.get("left_out"):
        lines += f"\nLeft out: {', '.join(p['path'] + ' (' + p['why'] + ')' for p in training['left_out'])}.\n"
    return lines


def printed_course(training: dict, config: dict) -> str:
    took = f", {training['seconds'] / 60:.0f} minutes" if training.get("seconds") else ""
    side = config["schedule.side"]
    return f"""The recipe that the paper prints: {training["training_pictures"]} pictures for training, {training["validation_pictures"]} for validation ({config["data.validation_percent"]} % by a hash of the name, from
the training split; pictures of the test split neither train nor validate), whole and scaled to {side}x{side}. {config["schedule.epochs"]} epochs in
batches of {config["schedule.batch"]}, {training["steps_trained"]} steps{took}; Adamax at a constant {config["schedule.learning_rate"]:g}, mean square error and nothing else: no quantisation noise, no rate,
no augmentation, no average of weights. Random weights as Keras draws them, seed {config["schedule.seed"]}. Again: `{command("train", training)}`.
"""


def rate_course(training: dict, config: dict) -> str:
    epochs = training["steps_trained"] * int(config["schedule.batch"]) / training["training_pictures"]
    took = f", {training['seconds'] / 60:.0f} minutes" if training.get("seconds") else ""
    begun = f" The weights of `{config['start']}` stood at the beginning." if config.get("start") else ""
    shown = ""
    if config.get("noise.share"):
        levels = ", ".join(f"{NOISES[kind]} {config[f'noise.{kind}']:g}" for kind in NOISES if config.get(f"noise.{kind}"))
        shown = f"\n{config['noise.share']:.0%} of the crops entered with one noise of a level up to {config['noise.spread']:g} times lower or higher than these ({levels}), and were compared with the clean crop."
    plain = "mean square error, then additive" if config.get("schedule.plain_share", 1) else "mean square error, additive"
    return f"""{training["training_pictures"]} pictures for training, {training["validation_pictures"]} for validation ({config["data.validation_percent"]} % by a hash of the name, from
the training split; pictures of the test split neither train nor validate). {training["steps_trained"]} steps of {config["schedule.batch"]} crops of
{config["crops.size"]}x{config["crops.size"]}, about {epochs:.0f} epochs{took}; Adamax, {plain} uniform noise for rounding and a
rate term under the context model and a small SSIM term; weights averaged exponentially; seed {config["schedule.seed"]}. Again: `{command("train", training)}`.{begun}{shown}
"""


def denoising_table(training: dict) -> str:
    """SSIM and MSE with the clean validation pictures, by noise; empty for other nets."""
    if "denoising" not in training:
        return ""
    lines = [
        "",
        f"Noise on the validation pictures, scaled to 224x224, at the levels above; structural similarity and mean square error (0..1) with the clean picture, of the noisy picture, of this net's output and of `{described(training)['start']}`'s:",
        "",
        "| noise | level | SSIM noisy | SSIM output | SSIM plain net | MSE noisy | MSE output | MSE plain net |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, row in training["denoising"].items():
        cells = [f"{row[way][key]:{form}}" if way in row else "–" for key, form in (("ssim", ".4f"), ("mse", ".6f")) for way in ("noisy", "output", "start")]
        lines.append(f"| {NOISES[kind]} | {row['level']:.3g} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def validation_heading(training: dict, config: dict) -> str:
    """What the table of validation figures holds."""
    if config.get("purpose", "product") == "product":
        return f"""Validation by precision of the two halves (encoder/decoder; an int8 half ships where it loses at most {config.get("quantiser.int8_tolerance_db", 0.15):g} dB; shipped: encoder
{training["kind"]["encoder"]}, decoder {training["kind"]["decoder"]}):"""
    size = f" at {config['schedule.side']}x{config['schedule.side']}" if config.get("schedule.recipe") == "printed" else ""
    lines = f"Validation{size}, both halves in f32; `f32/f32` with the latent quantised and coded, `f32 latent` with the latent as it leaves the encoder:"
    if "largest_channel" in (last := last_validation(training)):
        lines += f"\n(The largest channel of a pixel is the original's in {last['largest_channel']:.0%}: what Keras calls accuracy. The paper says 83 %.)"
    return lines


def last_validation(training: dict) -> dict:
    return next((row["validation"] for row in reversed(training["history"]) if "validation" in row), {})


def pictures_list(pictures: list[dict], attribution: dict[str, str]) -> str:
    """How many pictures came from where, and each with its licence and digest."""
    sources = Counter(source_of(p["path"]) for p in pictures)
    lines = [f"- {n} from {attribution.get(s, s)}" for s, n in sorted(sources.items())]
    lines += ["", "| file | licence | SHA-256 |", "|---|---|---|"]
    lines += [f"| {p['path']} | {p['licence']} | {p['sha256']} |" for p in pictures]
    return "\n".join(lines) + "\n"


def card(training: dict, figures: str | None) -> str:
    """The whole card."""
    model, config = training["model"], described(training)
    validation = "\n".join(
        f"| {name} | {row['ssim']:.4f} | {row['psnr_db']:.2f} | {row['bpp']:.3f} |" for name, row in training["validation"].items()
    )
    net = NETS[config.get("family", "ae224")].format(title=config["title"])
    digest = f"Decoder digest `{training['decoder_digest']}`." if "decoder_digest" in training else UNSERVED
    return f"""# {model}

{net} {digest}
{PURPOSES.get(config.get("purpose"), choice(config))}

**Not for** {config["not_for"]}
SSIM and PSNR are no evidence of diagnostic adequacy. The decoder is `{training["kind"]["decoder"]}` and not declared bit-identical
across processors (`certified = false`).

{FIGURES}{figures or (UNMEASURED.format(command=command("train-figures", training)) if "decoder_digest" in training else UNSERVED_FIGURES)}{TRAINING}{course(training)}
![{CURVES.get(config.get("schedule.recipe"), CURVES["rate"])}](curves.png)

{validation_heading(training, config)}

| halves | SSIM | PSNR dB | bits per pixel |
|---|---|---|---|
{validation}
{denoising_table(training)}
## Pictures
{pictures_list(training["pictures"], config["data.attribution"])}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", help="model folders that hold a training.json")
    parser.add_argument("--quick", type=Path, help="quick.json of make evaluate-quick")
    parser.add_argument("--inspect", type=Path, help="lines of latentwire inspect --json")
    parser.add_argument("--machine", default="machine not named", help="the processor that measured the figures")
    arguments = parser.parse_args()
    for folder in arguments.folders:
        source = folder / "training.json"
        if not source.is_file():
            raise SystemExit(f"{source} is missing: {folder} is not a model that this trainer wrote")
        training = json.loads(source.read_text())
        figures = kept_figures(folder / "CARD.md", training)
        if arguments.inspect:
            lines = [json.loads(line) for line in arguments.inspect.read_text().splitlines() if line.strip()]
            figures = inspect_figures(lines, training, arguments.machine)
        elif arguments.quick:
            rows = [r for r in json.loads(arguments.quick.read_text()) if r["model"] == training["model"]]
            if rows:
                figures = quick_figures(rows, arguments.machine)
            else:
                print(f"{arguments.quick} has no figures of {training['model']}")
        (folder / "CARD.md").write_text(card(training, figures))
        print(f"wrote {folder / 'CARD.md'}")


if __name__ == "__main__":
    main()
