"""The four stages of paper B's cipher, and AES-256-GCM, on pictures.

The stages are those of the independent implementation that stands beside the product's test vectors and was written from
docs/adr/0001-chaos-cipher.md alone; the frozen vectors hold both to the same bytes.
"""

from __future__ import annotations

import hashlib
import importlib.util

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..services import ROOT

NAMES = ("columns", "rows", "S-boxes", "seed matrix")
_TAG_BYTES = 16


def _independent():
    path = ROOT / "common/sealing/tests/vectors/chaos4.py"
    spec = importlib.util.spec_from_file_location("chaos4", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CHAOS4 = _independent()


def seed_as_printed(picture: np.ndarray) -> bytes:
    """The paper's key: the bare SHA-256 of what is encrypted. The product's is never this one (ADR 0001, line 10)."""
    return hashlib.sha256(picture.tobytes()).digest()


def stages(seed: bytes, picture: np.ndarray) -> list[np.ndarray]:
    """The picture (8 bits, two dimensions) after each of the four stages."""
    shape = picture.shape
    return [np.frombuffer(data, np.uint8).reshape(shape) for data in CHAOS4.stages(seed, picture.tobytes())]


def cipher(seed: bytes, picture: np.ndarray) -> np.ndarray:
    """The picture after all four."""
    return stages(seed, picture)[-1]


def decipher(seed: bytes, scrambled: np.ndarray) -> np.ndarray:
    """Undoes the four stages. Only arrays whose width is the fold of their size (square ones are)."""
    columns, rows, boxes, matrix = CHAOS4.keys_of(seed)
    height, width = scrambled.shape
    chosen, mask = CHAOS4.middles(boxes), CHAOS4.middles(matrix)
    inverses = [np.argsort(box) for box in CHAOS4.BOXES]
    plain = [inverses[next(chosen) * 3 >> 32][value ^ next(mask) & 255] for value in scrambled.ravel().tolist()]
    after_rows = np.array(plain, np.uint8).reshape(height, width)
    before_rows = np.empty_like(after_rows)
    before_rows[CHAOS4.order_of(rows, height)] = after_rows
    picture = np.empty_like(before_rows)
    picture[:, CHAOS4.order_of(columns, width)] = before_rows
    return picture


def aes_gcm(key: bytes, nonce: bytes, picture: np.ndarray) -> np.ndarray:
    """AES-256-GCM's ciphertext as a picture, without the tag."""
    sealed = AESGCM(key).encrypt(nonce, picture.tobytes(), None)
    return np.frombuffer(sealed[:-_TAG_BYTES], np.uint8).reshape(picture.shape)
