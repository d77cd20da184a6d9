"""Every table of the rd sections out of the figures of rd.json alone, so that the page and docs/MODELS.md cannot differ from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..report.page import number, table
from .grid import BASELINE, REFERENCE
from .rates import GOALS

NAMES = {
    "jpeg2000": "JPEG 2000", "jpegxl": "JPEG XL", "avif": "AVIF", "webp": "WebP", "htj2k": "HTJ2K",
    BASELINE: "CompressAI, trained on the same pictures", "original": "the file without loss",
}  # fmt: skip


def mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def called(codec: str) -> str:
    return NAMES.get(codec, f"`{codec}`")


def percent(value: float | None, interval: Sequence[float] | None = None) -> str:
    """`31 % (27 to 35)`."""
    if value is None:
        return "–"
    return f"{100 * value:.0f} %" + (f" ({100 * interval[0]:.0f} to {100 * interval[1]:.0f})" if interval else "")


def saved(row: Mapping, name: str = "saved") -> str:
    against = row.get("ours")
    return percent(against[name], against[f"{name}_95"]) if against else "–"


def yes(value: bool) -> str:
    return "**yes**" if value else "no"


def equal(group: Mapping, title: str, models: Sequence[str]) -> str:
    """Bits per pixel at one goal, all codecs."""
    head = ["", "bits per pixel", "padded", "of sums", "known", "ours saves", "padded", "of sums", "geometric", "compared on"]
    body = []
    for codec, row in by_rate(group["goals"][title]["codecs"], models):
        cells = [f"**{called(codec)}**" if codec == models[0] else called(codec)]
        cells += [number(row[name], 3) for name in ("bpp", "bpp_padded", "bpp_of_sums")] + [f"{row['known']} of {row['of']}"]
        cells += [""] * 5 if codec == models[0] else [saved(row, name) for name in ("saved", "saved_padded", "saved_of_sums", "saved_geometric")] + [row.get("ours", {}).get("pictures", 0)]
        body.append(cells)
    return table(head, body)


def by_rate(codecs: Mapping[str, dict], models: Sequence[str]) -> list[tuple[str, dict]]:
    """Ours first, then by what ours saves, least first: the best codec stands on top."""

    def place(item: tuple[str, dict]) -> tuple[int, float]:
        codec, row = item
        if codec in models:
            return models.index(codec) - len(models), 0.0
        return (1 if codec == BASELINE else 0), row["ours"]["saved"] if "ours" in row else 1.0

    return sorted(codecs.items(), key=place)


def gate(figures: Mapping[str, Mapping]) -> str:
    """Gate and stretch of every modality, and how sure they are."""
    head = ["", "goal", "bits per pixel", "fewer than JPEG 2000", "the best of all", "fewer than the best", "gate", "in resamples", "stretch", "in resamples"]
    body = []
    for modality, one in figures.items():
        for _, _, title in GOALS:
            goal = one["groups"]["all"]["goals"][title]
            found, codecs = goal["gate"], goal["codecs"]
            if "best" not in found:
                body.append([f"{modality}, `{one['model']}`", title, *["–"] * 4, f"no: {found['why']}", "–", "no", "–"])
                continue
            note = f"; {found['why']}" if found["why"] else ""
            body.append([
                f"{modality}, `{one['model']}`", title, number(codecs[one["model"]]["bpp"], 3), saved(codecs[REFERENCE]), called(found["best"]), saved(codecs[found["best"]]),
                yes(found["holds"]) + note, percent(found["holds_in_resamples"]), yes(found["stretch"]), percent(found["stretch_in_resamples"]),
            ])  # fmt: skip
    return table(head, body)


def verdict(modality: str, one: Mapping) -> str:
    """The modality's sentence for the summary."""
    said = []
    for _, _, title in GOALS:
        goal = one["groups"]["all"]["goals"][title]
        found = goal["gate"]
        if "best" not in found:
            said.append(f"at {title} nothing can be said: {found['why']}")
            continue
        best = f"{percent(found['saved_of_best'])} fewer than {called(found['best'])}" if found["saved_of_best"] >= 0 else f"{percent(-found['saved_of_best'])} more than {called(found['best'])}"
        held = "gate and stretch hold" if found["holds"] and found["stretch"] else "the gate holds, the stretch does not" if found["holds"] else "the gate does not hold"
        less = "fewer" if found["saved_of_reference"] >= 0 else "more"
        said.append(f"at {title} {percent(abs(found['saved_of_reference']))} {less} bytes than JPEG 2000, {best}: {held}" + (f" ({found['why']})" if found["why"] else ""))
    return f"**{modality}, `{one['model']}`**: {'; '.join(said)}."


def bd(group: Mapping) -> str:
    codecs = sorted({codec for found in group["bd"].values() for codec in found}, key=lambda codec: (codec == BASELINE, list(NAMES).index(codec) if codec in NAMES else -1))
    head = ["", *(f"BD-rate, {title}" for title in ("SSIM", "PSNR")), "pictures"]
    body = []
    for codec in codecs:
        cells = [group["bd"][measure].get(codec) for measure, _, _ in GOALS]
        counts = ", ".join(str(cell["pictures"]) if cell else "0" for cell in cells)
        body.append([called(codec), *(percent(cell["bd_rate"], cell["bd_rate_95"]) if cell else "–" for cell in cells), counts])
    return table(head, body)


def sources(one: Mapping) -> str:
    """Every source apart, unseen ones said."""
    head = ["", "pictures"]
    for _, _, title in GOALS:
        head += [f"bits per pixel, {title}", "known", "fewer than JPEG 2000", "fewer than the best"]
    body = []
    for name, group in one["groups"].items():
        said = f"{name} (unseen)" if one["sources"].get(name) else name
        cells = [said, group["pictures"]]
        for _, _, title in GOALS:
            goal = group["goals"][title]
            own, found = goal["codecs"].get(one["model"]), goal["gate"]
            cells += [number(own["bpp"], 3) if own else "–", own["known"] if own else 0]
            cells += [saved(goal["codecs"][REFERENCE]), f"{called(found['best'])}: {saved(goal['codecs'][found['best']])}"] if "best" in found else ["–", "–"]
        body.append(cells)
    return table(head, body)


def noise(figures: Mapping[str, Mapping], modality: str) -> str:
    """One modality under each noise."""
    one = figures[modality]
    head = ["noise", "SSIM of noisy and clean", "codec", f"SSIM at {one['rate']:g} bpp", "PSNR there, dB", "SSIM with the clean picture", "bpp at SSIM 0.95", "known", "ours: BD-rate, SSIM", "ours: BD-rate, PSNR"]
    body = []
    for name, found in one["noises"].items():
        for index, (codec, row) in enumerate(found["codecs"].items()):
            cells = [name if index == 0 else "", number(found["noisy_ssim"], 3) if index == 0 else "", f"**{called(codec)}**" if codec == one["model"] else called(codec)]
            cells += [number(row["ssim"], 3), number(row["psnr_db"], 2), number(row["clean_ssim"], 3), number(row["bpp"], 2), f"{row['known']} of {one['pictures']}"]
            cells += [percent(cell["bd_rate"], cell["bd_rate_95"]) if (cell := found["bd"][measure].get(codec)) else "" if codec == one["model"] else "–" for measure, _, _ in GOALS]
            body.append(cells)
    return table(head, body)


def floors(figures: Mapping[str, Mapping]) -> str:
    head = ["", "floor", "images", "as latent", "bytes on the wire, a file", "of sending the files", "SSIM: least", "5 %", "median", "95 %", "trial decodes", "most"]
    body = []
    for name, one in figures.items():
        for floor, row in one["floors"].items():
            trials = row.get("trials")
            spread = row["ssim"] or {}
            body.append([
                name, floor, row["images"], percent(row["latent_share"]), f"{row['sealed_bytes']:,.0f}", percent(row["share_of_lossless"]),
                *(number(spread.get(key), 4) for key in ("least", "low", "median", "high")), number(trials["mean"], 2) if trials else "–", trials["most"] if trials else "–",
            ])  # fmt: skip
    return table(head, body)


def speed(figures: Mapping) -> str:
    head = ["", "encoder, ms", "floor", "times", "decoder, ms", "floor", "times", "entropy coder, ms", "entropy decoder, ms"]
    body = []
    for model, one in figures["models"].items():
        cells = [f"`{model}`"]
        for half in ("encoder", "decoder"):
            cells += [number(one[half]["median_ms"], 2), number(one[half]["floor_ms"], 2), number(one[half]["times_floor"], 2)]
        body.append([*cells, number(one.get("code_ms"), 2), number(one.get("decode_ms"), 2)])
    return table(head, body)


def codec_speed(figures: Mapping) -> str:
    return table(["", "setting", "encode, ms", "decode, ms"], [[called(codec), f"{row['setting']:g}", number(row["encode_ms"], 1), number(row["decode_ms"], 1)] for codec, row in figures["codecs"].items()])
