"""Paper B's Table 1: parameters and operations of each layer, counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """`parameters` with biases; `operations` are multiplications and additions for one picture, two a weight that is applied."""

    name: str
    shape: str
    parameters: int
    operations: int


def convolution(name: str, side: int, planes: int, maps: int, positions: int | None = None) -> Layer:
    """3x3, padded; `positions` a side at which the kernel is applied where that is not the output's (transposed, stride 2)."""
    weights = maps * planes * 9
    return Layer(name, f"{side}x{side}x{maps}", weights + maps, 2 * weights * (positions or side) ** 2)


def dense(name: str, inputs: int, outputs: int) -> Layer:
    return Layer(name, str(outputs), inputs * outputs + outputs, 2 * inputs * outputs)


FEATURES = 64 * 64 * 32
ENCODER = (
    convolution("convolution", 512, 3, 128),
    convolution("convolution, after a max pool", 256, 128, 64),
    convolution("convolution, after a max pool", 128, 64, 32),
    convolution("convolution, stride 2", 64, 32, 32),
    dense("dense", FEATURES, 256),
)
DECODER = (
    dense("dense, left out of the table", 256, FEATURES),
    convolution("transposed convolution, stride 2", 128, 32, 32, positions=64),
    convolution("transposed convolution, stride 2", 256, 32, 64, positions=128),
    convolution("transposed convolution, after upsampling", 512, 64, 128),
    convolution("transposed convolution", 512, 128, 3),
)
# Paper A's Table 2 for a picture of 512x512, encoder and decoder.
PAPER_A = (
    convolution("convolution", 512, 3, 64),
    convolution("convolution, after a max pool", 256, 64, 64),
    convolution("convolution", 256, 64, 32),
    Layer("dense(3)", "256x256x3", 32 * 3 + 3, 2 * 32 * 3 * 256**2),
    Layer("dense(3)", "256x256x3", 3 * 3 + 3, 2 * 3 * 3 * 256**2),
    convolution("convolution", 256, 3, 32),
    convolution("convolution, after upsampling", 512, 32, 64),
    convolution("convolution", 512, 64, 64),
    convolution("convolution", 512, 64, 3),
)


def total(layers: tuple[Layer, ...]) -> tuple[int, int]:
    """Parameters and operations."""
    return sum(layer.parameters for layer in layers), sum(layer.operations for layer in layers)
