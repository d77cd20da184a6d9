"""Every model of ours through the services, at several quantiser steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..report.context import Context
from ..services import Services
from ..testset import MODELS
from ..measure import bits_per_pixel, fidelity

# Per cent of the model's own quantiser step; the modality's own model, and the others.
STEPS = (1600, 800, 400, 200, 100, 50, 25)
OTHER_STEPS = (400, 100)
# Of research models only the step that they were made for; each goes by name alone.
RESEARCH_STEPS = (100,)


def plan(context: Context, modality: str) -> list[tuple[str, int]]:
    """Model and step, coarse to fine: the modality's own model, the other product models, the research models that are there."""
    own = [(MODELS[modality], step) for step in STEPS]
    others = [(model, step) for model in MODELS.values() if model != MODELS[modality] for step in OTHER_STEPS]
    research = ["hd512"] if modality in ("chest", "brain") else ["ae224-fundus-printed"]
    return own + others + [(model, step) for model in research if context.servable(model) for step in RESEARCH_STEPS]


def once(services: Services, folder: Path, pixels: np.ndarray, model: str, step: int, modality: str | None = None) -> dict[str, float]:
    """There and back. `encode_ms` is the encoder net and the entropy coder, `decode_ms` what the receiver takes to rebuild the file,
    `check_ms` what the sender takes besides, most of it to decode and measure before it sends."""
    line, back, decode_ms = there_and_back(services, folder, pixels, model, step, modality)
    taken = line["timings_ms"]
    return {
        "bpp": bits_per_pixel(line["coded_bytes"], pixels),
        **fidelity(pixels, back),
        "encode_ms": taken["encode"] + taken["code"],
        "decode_ms": decode_ms,
        "check_ms": taken["prepare"],
    }


def there_and_back(services: Services, folder: Path, pixels: np.ndarray, model: str, step: int, modality: str | None = None) -> tuple[dict, np.ndarray, float]:
    """Sent as PNG, marked whatever its fidelity, and fetched: the sender's JSON line, the pixels that came back, the milliseconds that
    the receiver took to rebuild the file."""
    sent, received = folder / "sent.png", folder / "received.png"
    Image.fromarray(pixels).save(sent)
    line = services.send_latent(sent, modality, "--model", model, "--quality-step", str(step))
    decode_ms = services.get(line["transfer_id"], received)["decode_ms"]
    with Image.open(received) as image:
        return line, np.asarray(image), decode_ms
