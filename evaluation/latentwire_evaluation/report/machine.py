"""What it was measured on: machine, processor, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import imagecodecs
import PIL.features

from ..services import ROOT

_PACKAGES = ("numpy", "scipy", "scikit-image", "imagecodecs", "pillow", "onnxruntime", "cryptography", "matplotlib")


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        return platform.processor() or "unnamed"


def memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def commit() -> str:
    try:
        named = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude", "*"], cwd=ROOT, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return named.stdout.strip() or "unknown"


def product(binaries: Path) -> str:
    try:
        return subprocess.run([str(binaries / "latentwire"), "--version"], capture_output=True, text=True).stdout.strip()
    except OSError:
        return "latentwire"


def codec_libraries() -> dict[str, str]:
    """The C libraries behind imagecodecs' functions, and behind Pillow's AVIF."""
    words = dict(word.rsplit("-", 1) for word in imagecodecs.version().split(", ") if "-" in word)
    names = {"jpeg2000": "openjpeg", "jpegxl": "libjxl", "webp": "libwebp", "jpegls": "charls", "htj2k": "openjph"}
    found = {codec: f"{library} {words.get(library, '?')}" for codec, library in names.items()}
    found["htj2k"] += ", read by OpenJPEG"
    return {**found, "avif": f"libavif {words.get('libavif', '?')}; grey: Pillow's libavif {PIL.features.version('avif') or '?'}"}


def describe(binaries: Path) -> dict[str, object]:
    return {
        "machine": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory_gib(), 1),
        "system": f"{platform.system()} {platform.release()}",
        "product": product(binaries),
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "codecs": codec_libraries(),
    }
