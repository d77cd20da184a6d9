"""Rate and distortion a modality: every model of ours beside today's codecs, pictures of 8 bits."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from ..report.context import Context
from ..report.page import Page, number, table
from ..services import NotDelivered
from ..testset import FOLDERS, MODELS, SCALE, scaled, spread, usable
from . import draw, ours
from .codecs import CODECS, once
from .equal import bpp_at, mean_ratio, reached
from ..measure import bits_per_pixel, fidelity

PICTURES = 10
# Ratios this near to 1 are called level.
LEVEL = 0.03
GOALS = (("ssim", 0.95, "SSIM 0.95"), ("psnr_db", 40.0, "40 dB"))

TEXT = """
Test pictures, {count} a modality, JPEG-born and therefore scaled by {scale} (Lanczos) first; grey is coded as grey. SSIM and PSNR of
what came back, bits per pixel of the coded image (of ours with its head and the source file's container). One thread each;
codecs in this process, ours in the running services. *Encode* of ours is the encoder net and the entropy coder; before it sends, the sender
also decodes and measures (`check_ms` in report.json), about as long as a decode. Of ours every quantiser step of the modality's own model is
a point, of the other models the steps of 400 and 100 %.

![SSIM over bits per pixel, ours beside today's codecs](rate-distortion.png)

{pages}

### How to read it
A codec is compared at equal quality by interpolation between its two settings around the goal, picture by picture; nothing is extrapolated, and
a picture on which a codec's coarsest setting is above the goal, or its finest below it, does not count for it (*pictures*). *Ours needs* is the
geometric mean of our bits over the codec's on the pictures where both are known: above 1 we lose.
"""


def run(context: Context) -> Page:
    found = {modality: measure(context, modality, index) for index, modality in enumerate(FOLDERS)}
    found = {modality: rows for modality, rows in found.items() if rows}
    if not found:
        raise ValueError("no picture could be measured")
    pages, findings = [], []
    for modality, rows in found.items():
        draw.curves(context.report / f"rate-{modality}.png", modality, means(rows), MODELS[modality])
        text, finding = describe(modality, rows)
        pages.append(text)
        findings.append(finding)
    draw.overview(context.report / "rate-distortion.png", {modality: means(rows) for modality, rows in found.items()}, MODELS)
    text = TEXT.format(count=PICTURES, scale=SCALE, pages="\n\n".join(pages))
    array = [{"modality": modality, **row} for modality, rows in found.items() for row in means(rows)]
    return Page(text, {"rate_distortion": array, "equal_quality": {m: equal(m, rows) for m, rows in found.items()}}, findings)


def measure(context: Context, modality: str, index: int) -> list[dict]:
    """One row a picture, codec and setting."""
    folder = context.data / FOLDERS[modality] / "test"
    chosen = [(path, scaled(pixels)) for path, pixels in usable(folder, PICTURES, context.left_out, spread)]
    rows: list[dict] = []
    if not chosen:
        context.nothing(FOLDERS[modality])
    with tempfile.TemporaryDirectory() as temporary:
        for number_, (path, pixels) in enumerate(chosen):
            try:
                rows += of_picture(context, Path(temporary), modality, path.name, pixels)
            except (NotDelivered, ValueError) as error:
                context.left_out(path, str(error))
            context.tick((index + (number_ + 1) / len(chosen)) / len(FOLDERS))
    return rows


def of_picture(context: Context, folder: Path, modality: str, name: str, pixels: np.ndarray) -> list[dict]:
    rows = []
    for codec in CODECS:
        for setting in codec.settings:
            size, back, encode_ms, decode_ms = once(codec, pixels, setting)
            figures = {"bpp": bits_per_pixel(size, pixels), **fidelity(pixels, back), "encode_ms": encode_ms, "decode_ms": decode_ms}
            rows.append({"file": name, "codec": codec.name, "setting": f"{setting:g}", **figures})
    for model, step in ours.plan(context, modality):
        rows.append({"file": name, "codec": model, "setting": f"{step} %", **ours.once(context.services, folder, pixels, model, step)})
    return rows


def means(rows: list[dict]) -> list[dict]:
    """One row a codec and setting: means over the pictures. A lossless setting's PSNR is infinite; it stands as null."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["codec"], row["setting"]].append(row)
    out = []
    for (codec, setting), group in groups.items():
        mean = {key: float(np.mean([row[key] for row in group])) for key in group[0] if key not in ("file", "codec", "setting")}
        if all(row["psnr_db"] >= 120 for row in group):
            mean["psnr_db"] = None
        out.append({"codec": codec, "setting": setting, "n": len(group), **mean})
    return out


def points(rows: list[dict], measure_: str) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """By codec and picture: (bits per pixel, quality)."""
    out: dict = defaultdict(lambda: defaultdict(list))
    for row in rows:
        out[row["codec"]][row["file"]].append((row["bpp"], row[measure_]))
    return out


def equal(modality: str, rows: list[dict]) -> dict[str, dict[str, dict]]:
    """By goal and codec: mean bits per pixel, on how many pictures it is known and on how many the goal is reached at all; ours over
    the codec's."""
    out: dict = {}
    for measure_, goal, title in GOALS:
        curves = points(rows, measure_)
        known = {codec: {file: bpp_at(values, goal) for file, values in files.items()} for codec, files in curves.items()}
        own = known[MODELS[modality]]
        out[title] = {}
        for codec, files in known.items():
            values = [value for value in files.values() if value is not None]
            ratio = mean_ratio([(own.get(file), value) for file, value in files.items()])
            out[title][codec] = {
                "bpp": float(np.mean(values)) if values else None,
                "pictures": len(values),
                "reached": sum(reached(curve, goal) for curve in curves[codec].values()),
                "of": len(files),
                "ours_over_it": ratio[0] if ratio else None,
                "compared_on": ratio[1] if ratio else 0,
            }
    return out


def describe(modality: str, rows: list[dict]) -> tuple[str, str]:
    """The modality's part of the page and its sentence for the summary."""
    own, found = MODELS[modality], equal(modality, rows)
    mean = means(rows)
    lines = [f"### {modality.capitalize()}", "", f"![{modality}: SSIM and PSNR over bits per pixel](rate-{modality}.png)", ""]
    head = ["codec"]
    for _, _, title in GOALS:
        head += [f"bpp at {title}", "pictures", "ours needs"]
    head += ["encode ms", "decode ms"]
    body = []
    for codec in dict.fromkeys(row["codec"] for row in mean):
        cells = [f"**{codec}**" if codec == own else codec]
        for _, _, title in GOALS:
            entry = found[title][codec]
            times = "" if codec == own else f"{entry['ours_over_it']:.2f}×" if entry["ours_over_it"] else "–"
            cells += [number(entry["bpp"], 3), f"{entry['pictures']} of {entry['of']}", times]
        cells += [number(value, 1) for value in middle(mean, codec)]
        body.append(cells)
    lines += [table(head, body), "", "Milliseconds are means over the pictures and settings that lose something, one core."]
    lines += ["", *coarser_but_larger(mean, own)]
    verdict = []
    for _, _, title in GOALS:
        entries = {codec.name: found[title][codec.name]["ours_over_it"] for codec in CODECS if codec.name in found[title]}
        entries = {codec: ratio for codec, ratio in entries.items() if ratio}
        lose = [f"{codec} ({ratio:.1f}×)" for codec, ratio in sorted(entries.items(), key=lambda e: -e[1]) if ratio > 1 + LEVEL]
        win = [f"{codec} ({ratio:.2f}×)" for codec, ratio in sorted(entries.items(), key=lambda e: e[1]) if ratio < 1 - LEVEL]
        level = [codec for codec, ratio in entries.items() if abs(ratio - 1) <= LEVEL]
        own_entry = found[title][own]
        said = f"{title} at {number(own_entry['bpp'], 2)} bpp"
        if own_entry["reached"] < own_entry["of"]:
            said = f"{title} is reached on {own_entry['reached']} of {own_entry['of']} pictures only, there at {number(own_entry['bpp'], 2)} bpp"
        said += f"; more bits than {', '.join(lose)}" if lose else ""
        said += f"; fewer than {', '.join(win)}" if win else ""
        said += f"; level with {', '.join(level)}" if level else ""
        verdict.append(said)
    return "\n".join(lines), f"**{modality}, `{own}`**: {'; '.join(verdict)}."


def coarser_but_larger(mean: list[dict], own: str) -> list[str]:
    """Steps of our model that cost more than a finer one: they are of no use, and that is said."""
    steps = sorted(((int(row["setting"].split()[0]), row["bpp"]) for row in mean if row["codec"] == own and row["setting"].endswith("%")), reverse=True)
    useless = [f"{step} % costs {bpp:.3f} bpp, {finer} % {less:.3f}" for (step, bpp), (finer, less) in zip(steps, steps[1:]) if bpp > less]
    return [f"Coarser steps of `{own}` do not always save: {'; '.join(useless)}."] if useless else []


def middle(mean: list[dict], codec: str) -> tuple[float, float]:
    lossy = [row for row in mean if row["codec"] == codec and row["psnr_db"] is not None]
    return tuple(float(np.mean([row[key] for row in lossy])) for key in ("encode_ms", "decode_ms"))
