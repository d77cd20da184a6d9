"""Today's codecs, each over its useful range, on one thread, by the C libraries behind imagecodecs.

Only compressed pixels are counted, no file around them where the codec has a bare stream (JPEG 2000, JPEG XL, JPEG-LS, HTJ2K). Grey is
coded as grey. Exceptions: WebP has no grey and gets three equal planes; imagecodecs writes grey AVIF without loss whatever the
quality, so grey AVIF is Pillow's, which is libavif too; HTJ2K is written by OpenJPH and read by OpenJPEG, because in imagecodecs
2026.3.6 values that OpenJPH decodes to more than 255 come back as 0. AVIF is 4:4:4. JPEG-LS codes the planes of a colour picture
without a colour transform.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import imagecodecs
import numpy as np
from PIL import Image

AVIF_SPEED = 6
JPEGXL_EFFORT = 7  # cjxl's own default; imagecodecs' is less


@dataclass(frozen=True)
class Codec:
    """`settings` from coarse to fine; `said` is how a setting reads in report.json."""

    name: str
    settings: Sequence[float]
    said: str
    encode: Callable[[np.ndarray, float], bytes]
    decode: Callable[[bytes], np.ndarray]


def _jpeg2000(pixels: np.ndarray, psnr_db: float) -> bytes:
    if psnr_db == 0:
        return imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="j2k", numthreads=1)
    return imagecodecs.jpeg2k_encode(pixels, level=psnr_db, reversible=False, codecformat="j2k", numthreads=1)


def _jpegxl(pixels: np.ndarray, distance: float) -> bytes:
    if distance == 0:
        return imagecodecs.jpegxl_encode(pixels, lossless=True, effort=JPEGXL_EFFORT, usecontainer=False, numthreads=1)
    return imagecodecs.jpegxl_encode(pixels, distance=distance, effort=JPEGXL_EFFORT, usecontainer=False, numthreads=1)


def _avif(pixels: np.ndarray, quality: float) -> bytes:
    if pixels.ndim == 3:
        return imagecodecs.avif_encode(pixels, level=int(quality), speed=AVIF_SPEED, pixelformat="444", numthreads=1)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "AVIF", quality=int(quality), speed=AVIF_SPEED, subsampling="4:0:0", max_threads=1)
    return buffer.getvalue()


def _webp(pixels: np.ndarray, quality: float) -> bytes:
    planes = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    return imagecodecs.webp_encode(np.ascontiguousarray(planes), level=quality, method=4, lossless=False, numthreads=1)


def _htj2k(pixels: np.ndarray, step: float) -> bytes:
    if step == 0:
        return imagecodecs.htj2k_encode(pixels, reversible=True)
    return imagecodecs.htj2k_encode(pixels, level=step, reversible=False)


CODECS = (
    Codec("jpeg2000", (28, 32, 36, 40, 44, 48, 0), "PSNR asked for, dB; 0 lossless", _jpeg2000, lambda data: imagecodecs.jpeg2k_decode(data, numthreads=1)),
    Codec("jpegxl", (10, 5, 2.5, 1.2, 0.6, 0.3, 0), "distance; 0 lossless", _jpegxl, lambda data: imagecodecs.jpegxl_decode(data, numthreads=1)),
    Codec("avif", (20, 40, 60, 75, 88, 96), "quality", _avif, lambda data: imagecodecs.avif_decode(data, numthreads=1)),
    Codec("webp", (5, 30, 60, 80, 92, 99), "quality", _webp, imagecodecs.webp_decode),
    Codec("jpegls", (20, 12, 8, 5, 3, 2, 1, 0), "near; 0 lossless", lambda pixels, near: imagecodecs.jpegls_encode(pixels, level=int(near)), imagecodecs.jpegls_decode),
    Codec("htj2k", (0.16, 0.08, 0.04, 0.02, 0.01, 0.005, 0), "quantiser step; 0 lossless", _htj2k, lambda data: imagecodecs.jpeg2k_decode(data, numthreads=1)),
)  # fmt: skip


def once(codec: Codec, pixels: np.ndarray, setting: float, runs: int = 2) -> tuple[int, np.ndarray, float, float]:
    """Bytes, what comes back in the shape that was sent, milliseconds to encode and to decode (the last of so many runs)."""
    for _ in range(runs):
        begun = time.perf_counter()
        data = codec.encode(pixels, setting)
        encoded = time.perf_counter()
        back = np.asarray(codec.decode(data))
        ended = time.perf_counter()
    if pixels.ndim == 2 and back.ndim == 3:
        back = back[..., 0]
    return len(data), back, (encoded - begun) * 1e3, (ended - encoded) * 1e3
