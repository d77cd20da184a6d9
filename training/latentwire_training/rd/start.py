"""The start: the Karhunen-Loeve transform of a modality's own 16x16 blocks."""

from __future__ import annotations

import numpy as np

from .levels import BLOCK


def blocks_of(picture: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """uint8 [H, W, P] to float64 [blocks, 256 P], channel = (plane, row, column), less the middle of the range."""
    h, w, planes = (picture.shape[0] // BLOCK) * BLOCK, (picture.shape[1] // BLOCK) * BLOCK, picture.shape[2]
    x = picture[:h, :w].astype(np.float64) - 127.5
    x = x.reshape(h // BLOCK, BLOCK, w // BLOCK, BLOCK, planes).transpose(0, 2, 4, 1, 3)
    return x.reshape(-1, planes * BLOCK * BLOCK)


def transform(pictures: list[np.ndarray], channels: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(basis [channels, 256 P] with orthonormal rows, standard deviation of each coefficient), largest first.

    Blocks are taken at random offsets and mirrored both ways, so that the basis has the symmetries of the pictures' kind; each counts by
    the inverse of its own variance's root, or edges alone would shape the basis.
    """
    size = pictures[0].shape[2] * BLOCK * BLOCK
    total, count = np.zeros((size, size)), 0.0
    for picture in pictures:
        for _ in range(4):
            y, x = rng.integers(0, BLOCK, 2)
            view = picture[y:, x:]
            for mirrored in (view, view[:, ::-1], view[::-1], view[::-1, ::-1]):
                blocks = blocks_of(mirrored)
                weight = 1 / (blocks.var(axis=1) + 30.0)
                total += (blocks * weight[:, None]).T @ blocks
                count += weight.sum()
    values, vectors = np.linalg.eigh(total / count)
    order = np.argsort(values)[::-1][:channels]
    return vectors[:, order].T.copy(), np.sqrt(np.maximum(values[order], 1e-9))


def eighths(rows: np.ndarray, planes: int) -> np.ndarray:
    """Rows of a synthesis [256 P, C], (plane, row, column) of 16x16, in the order in which two shuffles, by 2 and then by 8, put them there."""
    index = np.arange(planes * BLOCK * BLOCK).reshape(planes, 2, 8, 2, 8)  # plane, y/8, y%8, x/8, x%8
    return rows[index.transpose(0, 2, 4, 1, 3).reshape(-1)]


def predictors(coefficients: list[np.ndarray], predicted: int, ridge: float = 1e-3) -> np.ndarray:
    """Least-squares weights [M, M, 3, 3] that predict each of the first channels from neighbours that are known (`context`)."""
    weights = np.zeros((predicted, predicted, 3, 3))
    for c in range(predicted):
        places = [(k, dy, dx) for k in range(c) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        places += [(c, -1, -1), (c, -1, 0), (c, -1, 1), (c, 0, -1)]
        gram, moment = np.zeros((len(places),) * 2), np.zeros(len(places))
        for latent in coefficients:
            padded = np.pad(latent[:predicted], ((0, 0), (1, 1), (1, 1)))
            h, w = latent.shape[1:]
            known = np.stack([padded[k, 1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w].ravel() for k, dy, dx in places])
            gram += known @ known.T
            moment += known @ latent[c].ravel()
        solved = np.linalg.solve(gram + ridge * np.diag(np.diag(gram) + 1), moment)
        for (k, dy, dx), value in zip(places, solved, strict=True):
            weights[c, k, 1 + dy, 1 + dx] = value
    return weights
