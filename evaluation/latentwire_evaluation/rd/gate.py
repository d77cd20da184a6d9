"""Clean pictures: every test picture at every setting of the codecs and every knob of ours; bytes at equal quality, BD-rates, the gate."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..compressai_baseline import table as baseline
from ..measure import bits_per_pixel
from ..report.context import Context
from ..report.page import Page
from ..testset import FOLDERS, SCALE
from . import draw, tables
from .digest import digest
from .grid import BASELINE, KNOBS, SETTINGS
from .pictures import Picture, chosen
from .points import Point, all_points, rows
from .rates import GATE, GOALS, LEAST_REACHED, RESAMPLES, STRETCH, Draws, bd_rates, curves, equal_quality

TEXT = """
All test pictures, JPEG-born and therefore scaled by {scale} (Lanczos) first; grey is coded as grey. Ours goes through the running services at {knobs} knobs
and is measured on what the receiver gives back; its bytes are the whole coded image, with its head and the source file's container. Of the codecs the whole stream
or file counts. *Padded* is after Padmé, which every sealed image gets. Intervals are of 95 %, over {resamples} resamples of the pictures.

**The gate**: at SSIM 0.95 at least {gate:.0%} fewer bytes than JPEG 2000 and no more than the best of all; **the stretch**: {stretch:.0%} fewer than the
best; both again at 38 dB. The best is the codec against which ours saves least. A gate does not hold where ours reaches the goal on fewer than {reached:.0%} of
the pictures on which a codec does.

{tables}

### How to read it
On each picture the bytes at a goal are interpolated between the two settings around it, the logarithm of the rate being linear in the
quality; nothing is extrapolated, and *known* says on how many pictures a codec is so placed. Where even our coarsest knob is above the goal, that knob's bytes
count as ours. *Saved* is one less the mean of our bits per pixel over the mean of the codec's, on the pictures on which both are known; *of sums* has the
sums of bytes in place of the means of bits per pixel; *geometric* is of the geometric mean of the ratios, in which no picture weighs more than another. BD-rate
is Bjøntegaard's with piecewise cubic Hermite polynomials, of each picture between SSIM 0.85 and 0.99 (on a scale of -10 log10(1 - SSIM)) or 32 and 46 dB as far as both
curves reach, and the mean of the logarithms; negative is fewer bytes. A source is *unseen* where OPEN.tsv names no training picture of it.
"""


def run(context: Context) -> Page:
    found, everything = {}, {}
    for index, modality in enumerate(FOLDERS):
        pictures = chosen(context, modality)
        models = context.family_models(modality) if pictures else []
        if pictures and not models:
            context.problem(f"{modality}: no model {context.family}-{modality} in {context.models}")
            continue
        if not pictures:
            continue

        def tick(share: float, index: int = index) -> None:
            context.tick((index + share) / len(FOLDERS))

        points = all_points(context, pictures, models, SETTINGS, KNOBS, tick)
        points += trained_baseline(context, modality, pictures)
        found[modality] = summary(pictures, points, models)
        everything[modality] = rows(points)
        draw.modality(context.report / f"rd-{modality}.png", modality, found[modality])
    if not found:
        raise ValueError(f"no model of family {context.family} in {context.models} and no picture that fits one: nothing was measured")
    (context.report / "rd-points.json").write_text(json.dumps(everything) + "\n", encoding="utf-8")
    text = TEXT.format(
        scale=SCALE, knobs=len(KNOBS), resamples=RESAMPLES, gate=GATE, stretch=STRETCH, reached=LEAST_REACHED,
        tables="\n\n".join(part(modality, one) for modality, one in found.items()),
    )  # fmt: skip
    return Page(text, {"rd_gate": found}, [tables.verdict(modality, one) for modality, one in found.items()])


def trained_baseline(context: Context, modality: str, pictures: Sequence[Picture]) -> list[Point]:
    """Of the CompressAI baseline what was measured on these very pixels; the page says how it is made where there is none."""
    held = baseline.read(modality)
    found = []
    for picture in pictures:
        for row in held.get(digest(picture.pixels), []):
            found.append(Point(picture.name, BASELINE, row["step"], row["bytes"], row["ssim"], row["psnr_db"]))
    if not found:
        context.problem(f"{modality}: no figures of the CompressAI baseline on these pictures; `make evaluate-compressai DATA=…` makes them")
    return found


def summary(pictures: Sequence[Picture], points: Sequence[Point], models: Sequence[str]) -> dict:
    """Of one modality everything that the page and docs/MODELS.md say."""
    groups = {"all": list(pictures)}
    if any(picture.unseen is not None for picture in pictures):
        groups["unseen sources"] = [picture for picture in pictures if picture.unseen]
        groups["seen sources"] = [picture for picture in pictures if not picture.unseen]
    for source in dict.fromkeys(picture.source for picture in pictures):
        groups[source] = [picture for picture in pictures if picture.source == source]
    return {
        "model": models[0],
        "models": list(models),
        "sources": {source: next(p.unseen for p in group) for source, group in groups.items() if source in {p.source for p in pictures}},
        "groups": {name: group_figures(group, points, models) for name, group in groups.items() if group},
        "curves": mean_curves(pictures, points),
    }


def group_figures(pictures: Sequence[Picture], points: Sequence[Point], models: Sequence[str]) -> dict:
    area = {picture.name: picture.area for picture in pictures}
    draws = Draws.of(list(area))
    return {
        "pictures": len(area),
        "goals": {title: equal_quality(curves(points, measure), goal, models, area, draws) for measure, goal, title in GOALS},
        "bd": {measure: bd_rates(points, models[0], draws, measure) for measure, _, _ in GOALS},
    }


def mean_curves(pictures: Sequence[Picture], points: Sequence[Point]) -> dict[str, list[dict]]:
    """By codec, coarse to fine: means over the pictures at each setting that all of its pictures have."""
    by_name = {picture.name: picture for picture in pictures}
    groups: dict[str, dict[float, list[Point]]] = {}
    for point in points:
        if point.file in by_name:
            groups.setdefault(point.codec, {}).setdefault(point.setting, []).append(point)
    found = {}
    for codec, settings in groups.items():
        lines = []
        for setting, group in settings.items():
            bpp = [bits_per_pixel(point.size, by_name[point.file].pixels) for point in group]
            lines.append({"setting": setting, "n": len(group), "bpp": tables.mean(bpp), "ssim": tables.mean(p.ssim for p in group), "psnr_db": tables.mean(p.psnr_db for p in group)})
        most = max(line["n"] for line in lines)
        found[codec] = sorted((line for line in lines if line["n"] == most), key=lambda line: line["bpp"])
    return found


def part(modality: str, one: dict) -> str:
    """The modality's part of the page."""
    lines = [f"### {modality.capitalize()}: `{one['model']}`", f"![{modality}: SSIM and PSNR over bits per pixel](rd-{modality}.png)"]
    for _, _, title in GOALS:
        lines += [f"**At {title}**, {one['groups']['all']['pictures']} pictures:", tables.equal(one["groups"]["all"], title, one["models"])]
    lines += ["**BD-rate of ours against each codec**:", tables.bd(one["groups"]["all"]), "**By source**:", tables.sources(one)]
    return "\n\n".join(lines)
