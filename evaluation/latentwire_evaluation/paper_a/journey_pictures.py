"""Paper A's Figure 6: the picture at each stage, as the paper has it and as it goes over the line here."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from PIL import Image

from ..paper_b.statistics import entropy
from ..plots import grid
from ..report.context import Context
from ..report.page import Page, number, table
from ..testset import FOLDERS, MODELS, open_first, usable
from .nets import apply, net
from .pictures import is_grey, square, to_picture
from .surrogate import similarity

TEXT = """
One picture a modality, 224x224. Upper rows, as in the paper's Figure 6: the picture, its f32 latent as an image (112x112x3), the same bytes under AES-256-GCM
(150,528 bytes as 224x224x3 pixels), opened again, decoded. Lower rows, through the real services: the sealed bytes are those that a listener on the
line between the two services saw, record heads included, as grey pixels; then what the receiver gave back, and eight times its difference from the original.

![each stage of the journey](stages.png)

{table}

Entropy is that of single bytes, bits of 8; of a short record even perfect noise has less (*noise of that length*).
"""


def run(context: Context) -> Page:
    rows, lines, figures = [], [], {}
    for index, (modality, folder) in enumerate(FOLDERS.items()):
        chosen = list(usable(context.data / folder / "test", 1, context.left_out, open_first))
        if not chosen:
            context.nothing(folder)
            continue
        printed = context.model("ae224-fundus-printed") if modality == "fundus" else None
        model = printed or context.models / MODELS[modality]
        picture = square(chosen[0][1])
        rows.append(as_printed(model, picture))
        tapped, received = over_the_line(context, modality, picture)
        seen = as_pixels(tapped)
        difference = np.clip(np.abs(received.astype(int) - picture.astype(int)) * 8, 0, 255).astype(np.uint8)
        rows.append([(f"{modality}, {chosen[0][0].name}"[:34], picture), (f"on the line: {len(tapped):,} bytes", seen), ("received", received), ("difference x 8", difference)])
        noise = entropy(np.frombuffer(os.urandom(len(tapped)), np.uint8))
        figures[modality] = {"line_bytes": len(tapped), "entropy": entropy(np.frombuffer(tapped, np.uint8)), "noise_entropy": noise, "ssim": similarity(picture, received)}
        lines.append([modality, model.name, f"{len(tapped):,}", *(number(figures[modality][key], 3) for key in ("entropy", "noise_entropy")), number(figures[modality]["ssim"], 4)])
        context.tick((index + 1) / len(FOLDERS))
    if not rows:
        raise ValueError("no picture could be read")
    grid(context.report / "stages.png", rows, side=2.3)
    head = ["", "net of the upper row", "bytes on the line", "their entropy", "noise of that length", "SSIM of what was received"]
    return Page(TEXT.format(table=table(head, lines)), {"a_figure6": figures})


def as_printed(model: Path, picture: np.ndarray) -> list[tuple[str, np.ndarray]]:
    latent = apply(net(model / "encoder.onnx"), picture / 255).astype(np.float32)
    aead, nonce = AESGCM(AESGCM.generate_key(bit_length=256)), os.urandom(12)
    sealed = aead.encrypt(nonce, latent.tobytes(), None)
    opened = np.frombuffer(aead.decrypt(nonce, sealed, None), np.float32).reshape(latent.shape)
    decoded = to_picture(apply(net(model / "decoder.onnx"), opened), is_grey(picture))
    shown = np.frombuffer(sealed[: latent.nbytes], np.uint8)
    side = math.isqrt(shown.size // 3)
    return [
        ("original", picture),
        (f"f32 latent of {model.name}"[:38], as_image(latent)),
        ("sealed", shown[: side * side * 3].reshape(side, side, 3)),
        ("opened", as_image(opened)),
        (f"decoded, SSIM {similarity(picture, decoded):.4f}", decoded),
    ]


def as_image(latent: np.ndarray) -> np.ndarray:
    """Three channels, each spread over its own range."""
    low, high = latent.min(axis=(0, 1)), latent.max(axis=(0, 1))
    return np.rint((latent - low) / np.maximum(high - low, 1e-9) * 255).astype(np.uint8)[..., :3]


def as_pixels(data: bytes) -> np.ndarray:
    """Bytes as a square of grey pixels; what does not fill a row is left away."""
    side = max(1, math.isqrt(len(data)))
    return np.frombuffer(data[: side * side], np.uint8).reshape(side, side)


def over_the_line(context: Context, modality: str, picture: np.ndarray) -> tuple[bytes, np.ndarray]:
    with tempfile.TemporaryDirectory() as temporary:
        sent, received = Path(temporary) / "sent.png", Path(temporary) / "received.png"
        Image.fromarray(picture[..., 0] if is_grey(picture) else picture).save(sent)
        context.services.tap.take()
        line = context.services.send_latent(sent, modality)
        tapped = context.services.tap.take()
        context.services.get(line["transfer_id"], received)
        with Image.open(received) as image:
            return tapped, np.asarray(image.convert("RGB"))
