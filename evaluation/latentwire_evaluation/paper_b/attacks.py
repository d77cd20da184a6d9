"""What an attacker can do to the chaos stages alone, each as a short program. AES-256-GCM around them prevents all of it.

Each takes the cipher as a box that it can only call, and gives figures that show what came of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .stages import CHAOS4

Cipher = Callable[[np.ndarray], np.ndarray]

_BOXES = np.array(CHAOS4.BOXES, np.uint8)
_INVERSES = np.argsort(_BOXES, axis=1).astype(np.uint8)


def equal_pictures(cipher: Cipher, picture: np.ndarray) -> bool:
    """Whether a picture that is sent twice can be recognised: the key is a hash of the picture, so the ciphertexts are equal."""
    return bool((cipher(picture) == cipher(picture.copy())).all())


def guess(seed_of: Callable[[np.ndarray], bytes], decipher, scrambled: np.ndarray, candidates: list[np.ndarray]) -> int | None:
    """Which of some candidates a ciphertext holds: the key of the right one opens it. `None` if none does."""
    for index, candidate in enumerate(candidates):
        if (decipher(seed_of(candidate), scrambled) == candidate).all():
            return index
    return None


def changed_in_transit(decipher: Callable[[np.ndarray], np.ndarray], scrambled: np.ndarray, picture: np.ndarray) -> int:
    """Pixels that differ from the sent picture when one ciphertext byte was changed. Nothing says so: no error is raised."""
    changed = scrambled.copy()
    changed[changed.shape[0] // 2, changed.shape[1] // 2] ^= 0x80
    return int((decipher(changed) != picture).sum())


def chosen_plaintexts(cipher: Cipher, shape: tuple[int, int]) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """Breaks a reused key with pictures of the attacker's choice; gives a function that deciphers, and how many were needed.

    A constant picture of value v becomes S_k[v] ^ mask at every place, so three constants tell the box k, and then the mask.
    Pictures that spell out the number of each pixel then tell where each came from.
    """
    size = shape[0] * shape[1]
    constants = [cipher(np.full(shape, value, np.uint8)).ravel() for value in range(3)]
    match = np.stack([
        ((constants[0] ^ constants[1]) == box[0] ^ box[1]) & ((constants[0] ^ constants[2]) == box[0] ^ box[2]) for box in _BOXES
    ])
    if not (match.sum(axis=0) == 1).all():
        raise ValueError("three constants do not tell the boxes apart")
    box = match.argmax(axis=0)
    mask = constants[0] ^ _BOXES[box, 0]
    undo = lambda data: _INVERSES[box, data.ravel() ^ mask]  # noqa: E731
    source = np.zeros(size, np.int64)
    digits = (size - 1).bit_length() // 8 + 1
    for digit in range(digits):
        numbered = (np.arange(size) >> 8 * digit & 255).astype(np.uint8).reshape(shape)
        source |= undo(cipher(numbered)).astype(np.int64) << 8 * digit

    def decipher(scrambled: np.ndarray) -> np.ndarray:
        picture = np.empty(size, np.uint8)
        picture[source] = undo(scrambled)
        return picture.reshape(shape)

    return decipher, 3 + digits


def known_plaintexts(pairs: list[tuple[np.ndarray, np.ndarray]], scrambled: np.ndarray) -> np.ndarray:
    """Deciphers under a reused key with what is known of earlier pictures; pixels that remain open are 0.

    At each place all 768 pairs of box and mask are tried: the right one turns the known ciphertext values into the values that
    some pixel of the known pictures really has. Where only one fits, box, mask and origin are known.
    """
    plain = np.stack([picture.ravel() for picture, _ in pairs], axis=1)
    cipher = np.stack([image.ravel() for _, image in pairs], axis=1)
    weights = 256 ** np.arange(min(len(pairs), 7), dtype=np.int64)
    signatures = plain[:, : len(weights)].astype(np.int64) @ weights
    order = np.argsort(signatures)
    ordered = signatures[order]
    found = np.zeros(len(signatures), np.int64)
    origin, box, mask = (np.zeros(len(signatures), np.int64) for _ in range(3))
    for k in range(3):
        for m in range(256):
            tried = _INVERSES[k, cipher ^ m][:, : len(weights)].astype(np.int64) @ weights
            first, last = np.searchsorted(ordered, tried), np.searchsorted(ordered, tried, side="right")
            hit = last > first
            found += last - first
            origin[hit], box[hit], mask[hit] = order[first[hit]], k, m
    sure = found == 1
    picture = np.zeros(len(signatures), np.uint8)
    picture[origin[sure]] = _INVERSES[box[sure], scrambled.ravel()[sure] ^ mask[sure]]
    return picture.reshape(scrambled.shape)
