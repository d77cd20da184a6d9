"""The model folder `models/<id>/`: `decode.toml`, `manifest.toml`, and how its files come to stand there."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import hd512_config
from .config import Config


@dataclass(frozen=True)
class Tiles:
    """[tiles] of decode.toml: the side of a tile and the halo of both halves, in pixels; `whole`: pictures are padded to whole tiles."""

    size: int
    halo: int
    whole: bool = False


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def decode_toml(family: str, purpose: str, decoder: bytes, table_bytes: bytes, steps: Sequence[float], stride: int, tiles: Tiles) -> bytes:
    """`decode.toml`: what decoding needs; one quantiser step a latent channel."""
    said = "" if purpose == "product" else f'purpose = "{purpose}"\n'
    whole = "whole = true\n" if tiles.whole else ""
    return f"""# What decoding needs; SHA-256 of this file's bytes is the decoder digest (docs/BITSTREAM.md).
bitstream = 1
family = "{family}"
{said}
[decoder]
file = "decoder.onnx"
sha256 = "{sha256(decoder)}"
output = "float32"
output_shift = 0
certified = false

[tables]
file = "tables.bin"
sha256 = "{sha256(table_bytes)}"

[latent]
channels = {len(steps)}
stride = {stride}
steps = [{", ".join(repr(float(np.float32(s))) for s in steps)}]

[pixels]
channels = 3

[tiles]
size = {tiles.size}
encoder_halo = {tiles.halo}
decoder_halo = {tiles.halo}
{whole}""".encode()


def manifest_toml(config: Config | hd512_config.Config, decode: bytes, encoder: bytes) -> bytes:
    """`manifest.toml`: what services know of the model besides."""
    lines = [f'id = "{config.id}"', f'family = "{config.family}"', f'modality = "{config.modality}"']
    if config.label:
        lines.append(f'label = "{config.label}"')
    if config.choose != "by-trial":
        lines.append(f'choose = "{config.choose}"')
    if config.dicom_modalities:
        lines.append(f"dicom_modalities = {json.dumps(config.dicom_modalities)}")
    lines += [f'licence = "{config.weights_licence}"', f'decode_sha256 = "{sha256(decode)}"', "", "[encoder]", 'file = "encoder.onnx"']
    return "\n".join([*lines, f'sha256 = "{sha256(encoder)}"', ""]).encode()


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    """Writes all files beside their places first, so that a full disk leaves the old model whole."""
    staged: list[tuple[Path, Path]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            temporary = folder / f".{name}.new"
            staged.append((temporary, folder / name))
            temporary.write_bytes(data)
        for temporary, target in staged:
            temporary.replace(target)
    except OSError as error:
        raise SystemExit(f"cannot write the model to {folder}: {error.strerror}; the checkpoint is kept: make room, then run the same command") from None
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it is not empty: all is well
            folder.rmdir()
