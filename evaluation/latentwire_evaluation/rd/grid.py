"""Settings from coarse to fine: wide enough that nearly every picture has one below each goal and one above, dense around the goals."""

from __future__ import annotations

from ..rate_distortion.codecs import CODECS, Codec

SETTINGS: dict[str, tuple[float, ...]] = {
    "jpeg2000": (26, 29, 32, 34, 36, 38, 40, 42, 45, 49),
    "jpegxl": (25, 14, 9, 6, 4, 2.7, 1.8, 1.2, 0.8, 0.5, 0.3, 0.15),
    "avif": (1, 10, 22, 34, 46, 56, 66, 75, 83, 90, 96),
    "webp": (0, 6, 16, 30, 50, 66, 78, 86, 92, 96, 100),
    "htj2k": (0.4, 0.24, 0.15, 0.1, 0.065, 0.043, 0.028, 0.018, 0.012, 0.0075, 0.004),
}
NOISE_SETTINGS: dict[str, tuple[float, ...]] = {
    "jpeg2000": (14, 20, 26, 32, 38, 45),
    "jpegxl": (25, 12, 6, 3, 1.5, 0.6),
    "avif": (5, 20, 40, 60, 78, 92),
    "webp": (1, 15, 40, 65, 85, 97),
    "htj2k": (0.9, 0.4, 0.18, 0.08, 0.035, 0.012),
}
BY_NAME: dict[str, Codec] = {codec.name: codec for codec in CODECS if codec.name in SETTINGS}
# Per cent of the model's own quantiser step: steps of half an octave over all that the product takes.
KNOBS = (1600, 1131, 800, 566, 400, 283, 200, 141, 100, 71, 50, 35, 25)
NOISE_KNOBS = (1600, 800, 400, 200, 100, 50, 25)
# The codec that the gate is measured against, DICOM's own.
REFERENCE = "jpeg2000"
# CompressAI's architecture, trained on the same pictures: a row of the tables, no codec of the gate.
BASELINE = "compressai"
