"""The measures of paper B's section 5, on 8-bit arrays.

The paper leaves its conventions out. Those here give its figures for a good cipher: grey levels folded into 8, each pixel with
its right neighbour, energy as the sum of squares, homogeneity with |i - j|. Uniform noise then has contrast 10.5, energy
0.0156 (1/64) and homogeneity 0.389, as its tables print.
"""

from __future__ import annotations

import numpy as np
from skimage.feature import graycomatrix, graycoprops

LEVELS = 8


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's, between two arrays of one shape, in -1..1; 0 where one of them is constant."""
    first, second = first.astype(float).ravel(), second.astype(float).ravel()
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def entropy(pixels: np.ndarray) -> float:
    """Shannon entropy of the histogram, bits a pixel, in 0..8."""
    share = np.bincount(pixels.ravel(), minlength=256) / pixels.size
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def texture(pixels: np.ndarray) -> dict[str, float]:
    """Correlation, contrast, energy and homogeneity of the co-occurrence matrix (GLCM) of an array of two dimensions."""
    matrix = graycomatrix(pixels // (256 // LEVELS), distances=[1], angles=[0], levels=LEVELS, normed=True)
    share = matrix[:, :, 0, 0]
    rows, columns = np.indices(share.shape)
    return {
        "glcm_correlation": float(graycoprops(matrix, "correlation")[0, 0]),
        "contrast": float(graycoprops(matrix, "contrast")[0, 0]),
        "energy": float((share**2).sum()),
        "homogeneity": float((share / (1 + abs(rows - columns))).sum()),
    }


def npcr(first: np.ndarray, second: np.ndarray) -> float:
    """Share of pixels that differ, percent. 255/256 = 99.61 for independent noise."""
    return float((first != second).mean() * 100)


def uaci(first: np.ndarray, second: np.ndarray) -> float:
    """Mean difference over 255, percent. 257/768 = 33.46 for independent noise."""
    return float(np.abs(first.astype(int) - second.astype(int)).mean() / 255 * 100)
