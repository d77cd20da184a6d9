"""Pictures that were never compressed: DICOM of 12 and 16 bits. The exact path beside lossless codecs; the latent beside the same codecs
where they lose as much."""

from __future__ import annotations

import hashlib
import tempfile
import time
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from ..report.context import Context
from ..report.page import Page, number, table
from ..services import NotDelivered
from ..testset import LEAST_SIDE
from .equal import bpp_at, mean_ratio
from ..measure import fidelity

UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
LEAST_BITS = 12
PLACES = ("dicom/test", "dicom/train", "dicom")
STEPS = (400, 100, 25)

LOSSLESS = {
    "jpegls": (lambda p: imagecodecs.jpegls_encode(p, level=0), imagecodecs.jpegls_decode),
    "jpeg2000": (lambda p: imagecodecs.jpeg2k_encode(p, level=0, reversible=True, codecformat="j2k", numthreads=1), lambda d: imagecodecs.jpeg2k_decode(d, numthreads=1)),
    "jpegxl": (lambda p: imagecodecs.jpegxl_encode(p, lossless=True, usecontainer=False, numthreads=1), lambda d: imagecodecs.jpegxl_decode(d, numthreads=1)),
    "htj2k": (lambda p: imagecodecs.htj2k_encode(p, reversible=True), imagecodecs.htj2k_decode),
}  # fmt: skip
# Share of the largest value by which JPEG-LS may be wrong; PSNR in dB asked of JPEG 2000, relative to 16 bits.
NEAR = (1 / 1000, 1 / 400, 1 / 150, 1 / 60, 1 / 25, 1 / 12)
PSNR = (40, 50, 60, 70, 80, 95)

TEXT = """
{count} grey pictures ({names}) of {least} bits and more whose files are uncompressed and hold one frame, as they came; {duplicates} others show the same pixels and are left out. Codecs get the stored values
less the smallest one, in 16 bits; bits per pixel are of the compressed pixels, ours of the whole coded image, which holds the DICOM header too. No model was trained on such pictures:
the product's nets take 8-bit X-rays, MRI and fundus pictures.

### Without loss
{lossless}

**Our exact path sends the file's own bytes**: nothing is saved, while the codecs take {saved} away. It is there so that nothing is lost, not to be small.

### With loss
The product's own choice of model, marked, at three quantiser steps; `span` is largest less smallest value, to which SSIM and PSNR refer.

{lossy}

{equal}
"""


def run(context: Context) -> Page:
    chosen, duplicates = pictures(context)
    if not chosen:
        return Page("No uncompressed grey DICOM of 12 bits or more in this folder (`dicom/test`, `dicom/train` or `dicom`).")
    rows, lossy, pairs = [], [], {"jpegls": [], "jpeg2000": []}
    with tempfile.TemporaryDirectory() as temporary:
        for index, (path, pixels) in enumerate(chosen):
            try:
                rows.append({"file": path.name, **without_loss(context, path, pixels)})
                for step in STEPS:
                    one = with_loss(context, path, pixels, step, Path(temporary))
                    lossy.append({"file": path.name, **one})
                    for codec, points in high_rate(pixels).items() if step == 100 else ():
                        pairs[codec].append((one["bpp"], bpp_at(points, one["psnr_db"])))
            except (NotDelivered, ValueError, RuntimeError) as error:
                context.left_out(path, str(error))
            context.tick((index + 1) / len(chosen))
    if not rows:
        raise ValueError("no picture could be coded")
    codecs = ["stored", *LOSSLESS, "ours, exact"]
    body = [[row["file"], row["size"], *(number(row[codec]["bpp"], 2) for codec in codecs)] for row in rows]
    body.append(["**mean**", "", *(f"**{np.mean([row[codec]['bpp'] for row in rows]):.2f}**" for codec in codecs)])
    times = "; ".join(f"{codec} {np.mean([row[codec]['encode_ms'] for row in rows]):.1f} and {np.mean([row[codec]['decode_ms'] for row in rows]):.1f}" for codec in LOSSLESS)
    equal = []
    for codec, found in pairs.items():
        if ratio := mean_ratio(found):
            equal.append(f"At the PSNR of our step of 100 %, our latent has {ratio[0]:.2f} times the bits of {codec} ({ratio[1]} of {len(found)} pictures; where codec and latent do not meet, none is assumed).")
        else:
            equal.append(f"{codec} and our latent do not meet at one PSNR on any picture.")
    text = TEXT.format(
        count=len(rows), names=", ".join(f"`{row['file']}`" for row in rows), least=LEAST_BITS, duplicates=duplicates,
        lossless=table(["bits per pixel", "size", *codecs], body) + f"\n\nMilliseconds to encode and decode, means, one core: {times}.",
        lossy=table(
            ["file", "model", "step", "bpp", "SSIM", "PSNR, dB", "largest error", "span"],
            [[r["file"], r["model"], f"{r['step']} %", number(r["bpp"], 3), number(r["ssim"], 4), number(r["psnr_db"], 2), r["max_abs_error"], r["span"]] for r in lossy],
        ),
        equal=" ".join(equal), saved=saved(rows),
    )  # fmt: skip
    means = {codec: float(np.mean([row[codec]["bpp"] for row in rows])) for codec in codecs}
    best = min(LOSSLESS, key=means.__getitem__)
    finding = f"**12- and 16-bit DICOM, without loss**: our exact path needs {means['ours, exact']:.1f} bits a pixel, {best} {means[best]:.1f}: we lose to every lossless codec."
    return Page(text, {"dicom_exact": rows, "dicom_latent": lossy}, [finding])


def saved(rows: list[dict]) -> str:
    """The share of the stored bits that the codecs save, least to most, means over the pictures."""
    shares = sorted(1 - np.mean([row[codec]["bpp"] for row in rows]) / 16 for codec in LOSSLESS)
    return f"{shares[0]:.0%} to {shares[-1]:.0%}"


def pictures(context: Context) -> tuple[list[tuple[Path, np.ndarray]], int]:
    """[H, W] of 16 bits from 0, first frame, each pixels once; and how many were there twice."""
    found, seen, twice = [], set(), 0
    for path in [path for place in PLACES for path in sorted((context.data / place).glob("*.dcm"))]:
        try:
            pixels = stored(path)
        except (InvalidDicomError, OSError, ValueError, AttributeError, NotImplementedError, RuntimeError) as error:
            context.left_out(path, f"cannot be read: {error}")
            continue
        if pixels is None:
            continue
        digest = hashlib.sha256(pixels.tobytes()).digest()
        twice += digest in seen
        if digest not in seen:
            seen.add(digest)
            found.append((path, pixels))
    return found, twice


def stored(path: Path) -> np.ndarray | None:
    """The stored values less the smallest; None for what is not grey, not of 12 bits, compressed once, or several frames."""
    data = pydicom.dcmread(path)
    if str(data.file_meta.TransferSyntaxUID) not in UNCOMPRESSED or "PixelData" not in data or "LossyImageCompressionRatio" in data:
        return None
    if data.get("SamplesPerPixel") != 1 or data.get("BitsStored", 0) < LEAST_BITS or int(data.get("NumberOfFrames") or 1) > 1 or data.get("Modality") in ("SEG", "RTDOSE"):
        return None
    values = data.pixel_array.astype(np.int32)
    if min(values.shape) < LEAST_SIDE or values.min() == values.max():
        return None
    return (values - values.min()).astype(np.uint16)


def without_loss(context: Context, path: Path, pixels: np.ndarray) -> dict:
    row: dict = {"size": f"{pixels.shape[1]}x{pixels.shape[0]}", "stored": {"bpp": 16.0}}
    for codec, (encode, decode) in LOSSLESS.items():
        begun = time.perf_counter()
        data = encode(pixels)
        encoded = time.perf_counter()
        back = np.asarray(decode(data)).reshape(pixels.shape)
        ended = time.perf_counter()
        if not (back == pixels).all():
            raise ValueError(f"{codec} does not give back what it took")
        row[codec] = {"bpp": 8 * len(data) / pixels.size, "encode_ms": (encoded - begun) * 1e3, "decode_ms": (ended - encoded) * 1e3}
    line = context.services.send(path, "--mode", "exact")
    if line["status"] != "delivered":
        raise NotDelivered(f"status {line['status']}: {line.get('error')}")
    row["ours, exact"] = {"bpp": 8 * line["coded_bytes"] / pixels.size}
    return row


def with_loss(context: Context, path: Path, pixels: np.ndarray, step: int, folder: Path) -> dict:
    """Sent as a latent, fetched as DICOM, measured here."""
    line = context.services.send_latent(path, None, "--quality-step", str(step))
    received = folder / "received.dcm"
    context.services.get(line["transfer_id"], received)
    original, back = (pydicom.dcmread(one).pixel_array.astype(np.int32) for one in (path, received))
    span = int(original.max()) - int(original.min())
    return {
        "model": line["model"],
        "step": step,
        "bpp": 8 * line["coded_bytes"] / pixels.size,
        **fidelity(original, back, span),
        "max_abs_error": int(np.abs(original - back).max()),
        "span": span,
    }


def high_rate(pixels: np.ndarray) -> dict[str, list[tuple[float, float]]]:
    """Bits per pixel and PSNR of codecs that lose a little."""
    span = int(pixels.max())
    points: dict[str, list[tuple[float, float]]] = {"jpegls": [], "jpeg2000": []}

    def add(codec: str, data: bytes, back: np.ndarray) -> None:
        back = np.asarray(back).reshape(pixels.shape)
        points[codec].append((8 * len(data) / pixels.size, fidelity(pixels.astype(np.int32), back.astype(np.int32), span)["psnr_db"]))

    for near in sorted({max(1, round(span * share)) for share in NEAR if span * share < 255}):
        data = imagecodecs.jpegls_encode(pixels, level=near)
        add("jpegls", data, imagecodecs.jpegls_decode(data))
    for psnr in PSNR:
        data = imagecodecs.jpeg2k_encode(pixels, level=psnr, reversible=False, codecformat="j2k", numthreads=1)
        add("jpeg2000", data, imagecodecs.jpeg2k_decode(data, numthreads=1))
    return points
