"""What was measured of the baseline, as it lies in evaluation/compressai; read without PyTorch."""

from __future__ import annotations

import json
from pathlib import Path

from ..services import ROOT

FOLDER = ROOT / "evaluation/compressai"


def read(modality: str, folder: Path | None = None) -> dict[str, list[dict]]:
    """By the digest of a picture's pixels: {step, bytes, ssim, psnr_db}, coarse to fine. Empty where nothing was measured."""
    try:
        held = json.loads(((folder or FOLDER) / f"{modality}-points.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    found: dict[str, list[dict]] = {}
    for picture, values in held["pictures"].items():
        found[picture] = [dict(zip(held["columns"], row)) for row in values]
    return found
