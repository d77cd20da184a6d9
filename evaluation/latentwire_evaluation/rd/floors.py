"""The product itself at three floors: what goes as latent, the bytes on the wire, the fidelity that really came, the trial decodes made;
beside sending the very files without loss."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

from ..measure import fidelity
from ..rate_distortion.dicom import pictures as dicom_pictures
from ..report.context import Context
from ..report.page import Page
from ..services import NotDelivered
from ..testset import FOLDERS
from . import tables
from .pictures import chosen

FLOORS = (0.90, 0.95, 0.98)
AT_ONCE = 2
# What the sender says and what is measured here may differ so much: both are SSIM, but not of one summation order.
AGREE = 1e-4

TEXT = """
Every test picture as a PNG file (scaled as above), and every uncompressed grey DICOM file of 12 bits and more, sent at each floor with the policy's own way below it: the file itself travels
where the latent would fall short. The knob is the product's choice. *Of sending the files* is all bytes on the wire over those of the same files in exact mode, handshake and padding
counted on both sides. SSIM is of what the receiver gave back, of the pictures that went as latents; for PNG it is measured here, for DICOM as the sender states it after decoding.

{table}

{trials}
"""


@dataclass(frozen=True)
class Image_:
    """One file to send, and what a request for it says beside the floor."""

    path: Path
    policy: tuple[str, ...]
    # None of DICOM.
    pixels: np.ndarray | None = None


def run(context: Context) -> Page:
    found: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as temporary:
        groups = images(context, Path(temporary))
        for index, (name, group) in enumerate(groups.items()):

            def tick(share: float, index: int = index) -> None:
                context.tick((index + share) / len(groups))

            if group:
                found[name] = measure(context, group, Path(temporary), tick)
    if not found:
        raise ValueError(f"no model of family {context.family} in {context.models}, or nothing that it could send")
    counted = any(row.get("trials") for one in found.values() for row in one["floors"].values())
    trials = "" if counted else "This version's `send --json` does not say how many trial decodes a knob took; the column stays empty."
    return Page(TEXT.format(table=tables.floors(found), trials=trials), {"rd_floors": found}, [finding(found)])


def images(context: Context, folder: Path) -> dict[str, list[Image_]]:
    """By group: the modalities' pictures written as PNG, and DICOM files where any model of the family is there."""
    found: dict[str, list[Image_]] = {}
    for modality in FOLDERS:
        models = context.family_models(modality)
        if not models:
            continue
        found[modality] = []
        for picture in chosen(context, modality):
            path = folder / f"{modality}-{picture.path.stem}.png"
            Image.fromarray(picture.pixels).save(path, optimize=True)
            found[modality].append(Image_(path, ("--model", models[0]), picture.pixels))
    if found:
        chosen_models = {"CR": "chest", "DX": "chest", "MR": "brain"}
        files = dicom_pictures(context)[0]
        for path, _ in files[: context.pictures or None]:
            modality = chosen_models.get(str(pydicom.dcmread(path, stop_before_pixels=True).get("Modality")))
            model = context.family_models(modality)[:1] if modality else []
            found.setdefault("DICOM", []).append(Image_(path, ("--model", model[0]) if model else ()))
    return found


def measure(context: Context, group: list[Image_], folder: Path, tick: Callable[[float], None]) -> dict:
    """One group at every floor."""
    whole = {one.path: line for one in group if (line := sent(context, one, "--mode", "exact"))}
    rows = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for place, floor in enumerate(FLOORS):
            lines = list(pool.map(lambda one: at_floor(context, one, floor, folder), [one for one in group if one.path in whole]))
            tick((place + 1) / len(FLOORS))
            lines = [line for line in lines if line]
            if lines:
                rows[f"{floor:.2f}"] = summary(lines, sum(whole[line["file"]]["sealed_bytes"] for line in lines))
    return {"files": len(whole), "floors": rows}


def sent(context: Context, one: Image_, *policy: str) -> dict | None:
    """The sender's line of what was delivered; what was not is told to the context."""
    try:
        line = context.services.send(one.path, *policy)
        if line["status"] != "delivered":
            raise NotDelivered(f"status {line['status']}: {line.get('error')}")
    except NotDelivered as error:
        context.left_out(one.path, str(error))
        return None
    return line


def at_floor(context: Context, one: Image_, floor: float, folder: Path) -> dict | None:
    line = sent(context, one, *one.policy, "--min-ssim", f"{floor:g}", "--below-floor", "exact")
    if line is None:
        return None
    ssim = None
    if line["mode"] == "latent":
        ssim = line["ssim"]
        if one.pixels is not None:
            received = folder / f"{one.path.stem}-{floor:g}.received.png"
            context.services.get(line["transfer_id"], received)
            with Image.open(received) as image:
                ssim = fidelity(one.pixels, np.asarray(image))["ssim"]
            received.unlink()
            if abs(ssim - line["ssim"]) > AGREE:
                context.problem(f"{one.path.name}: the sender states SSIM {line['ssim']:.5f}, what came back has {ssim:.5f}")
    return {"file": one.path, "latent": line["mode"] == "latent", "sealed_bytes": line["sealed_bytes"], "ssim": ssim, "trials": line.get("trials")}


def summary(lines: list[dict], lossless: int) -> dict:
    ssim = [line["ssim"] for line in lines if line["ssim"] is not None]
    trials = [line["trials"] for line in lines if line["trials"] is not None]
    spread = dict(zip(("least", "low", "median", "high"), map(float, np.percentile(ssim, (0, 5, 50, 95))))) if ssim else None
    return {
        "images": len(lines),
        "latent_share": tables.mean(line["latent"] for line in lines),
        "sealed_bytes": tables.mean(line["sealed_bytes"] for line in lines),
        "share_of_lossless": sum(line["sealed_bytes"] for line in lines) / lossless,
        "ssim": spread,
        "trials": {"mean": tables.mean(trials), "most": max(trials)} if trials else None,
    }


def finding(found: dict) -> str:
    said = []
    for name, one in found.items():
        if row := one["floors"].get("0.95"):
            said.append(f"{name} {tables.percent(row['latent_share'])} as latent, {tables.percent(row['share_of_lossless'])} of the bytes of the files")
    return f"**The product at its default floor of SSIM 0.95**: {'; '.join(said)}."
