"""The two halves of `hd512` as hand-built ONNX graphs of standard operators, each below 20 MB.

Both dense layers hold four bits a weight: signed, in blocks along the input with one f32 scale each (`DequantizeLinear` of opset 21,
`block_size`); the decoder's first 8 inputs hold eight. Transposed convolutions of stride 2 are 2x2 convolutions to four times the channels
and `DepthToSpace`, those of stride 1 are convolutions with the kernel turned round, and the two after the upsampling work on its four
phases, which halves their products and keeps the 128 channels at 512x512 (134 MB) out of memory. All of it equals the trained net but for
the order of additions. Convolutions stay f32: in eight bits (QDQ) they were slower, and they hold 0.3 % of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from .graphs import Graph, Weights
from .hd512 import CELLS, CHANNELS, CODE, FEATURES

OPSET, IR_VERSION = 21, 10  # blocked DequantizeLinear and four-bit tensors
BLOCK = 64  # inputs of the encoder's dense layer that share a scale
# Of the decoder's: the first numbers of the code carry most of the picture, so that their rounding shows most.
EIGHT_BIT_ROWS, DECODER_BLOCK = 8, 124  # 16 and 120 would make 20.2 MB
LATENT_SIDE = 16
SHRINKS = (1.0, 0.92, 0.85, 0.78)  # of a block's largest weight: clipping the largest may cost less than rounding the rest


@dataclass(frozen=True)
class Packed:
    """A matrix [inputs, outputs] in four bits."""

    integers: np.ndarray  # int8 in -8..7, [inputs, outputs]
    scales: np.ndarray  # f32, [inputs / block, outputs]

    @property
    def block(self) -> int:
        return self.integers.shape[0] // self.scales.shape[0]

    def bytes(self) -> bytes:
        """Two integers a byte, the first in the low half, row by row (onnx.proto, `TensorProto.INT4`)."""
        flat = self.integers.reshape(-1).view(np.uint8) & 0x0F
        return (flat[0::2] | (flat[1::2] << 4)).tobytes()

    def unpacked(self) -> np.ndarray:
        """f32 [inputs, outputs]: what the runtime multiplies with."""
        inputs, outputs = self.integers.shape
        blocks = self.integers.reshape(-1, self.block, outputs).astype(np.float32) * self.scales[:, None, :]
        return blocks.reshape(inputs, outputs)


@dataclass(frozen=True)
class Eight:
    """The first rows of a matrix, [rows, outputs], in eight bits: those inputs that carry most of the picture."""

    integers: np.ndarray  # int8
    scales: np.ndarray  # f32, [rows]

    def unpacked(self) -> np.ndarray:
        return self.integers.astype(np.float32) * self.scales[:, None]


@dataclass(frozen=True)
class Mixed:
    """A matrix [inputs, outputs] whose first rows hold eight bits a weight and the others four."""

    first: Eight
    rest: Packed

    def unpacked(self) -> np.ndarray:
        return np.concatenate([self.first.unpacked(), self.rest.unpacked()])


def mixed(weight: np.ndarray, rows: int, size: int) -> Mixed:
    scales = (np.maximum(np.abs(weight[:rows]).max(axis=1), 1e-12) / 127).astype(np.float32)
    return Mixed(Eight(np.rint(weight[:rows] / scales[:, None]).astype(np.int8), scales), packed(weight[rows:], size))


def packed(weight: np.ndarray, size: int) -> Packed:
    """Four bits for f32 [inputs, outputs]: in each block of `size` inputs the scale of SHRINKS with the least square error."""
    inputs, outputs = weight.shape
    if inputs % size:
        raise ValueError(f"{inputs} inputs are no whole number of blocks of {size}")
    integers = np.empty((inputs // size, size, outputs), np.int8)
    scales = np.empty((inputs // size, outputs), np.float32)
    rows = max(1, (1 << 22) // (size * outputs))  # blocks at a time: bounds the memory
    for start in range(0, inputs // size, rows):
        block = weight.reshape(-1, size, outputs)[start : start + rows]
        largest = np.maximum(np.abs(block).max(axis=1), 1e-12)
        least = np.full(largest.shape, np.inf, np.float32)
        for shrink in SHRINKS:
            scale = (largest * (shrink / 7.0)).astype(np.float32)
            q = np.clip(np.rint(block / scale[:, None]), -8, 7)
            error = np.square(q * scale[:, None] - block).sum(axis=1)
            better = error < least
            least = np.where(better, error, least)
            scales[start : start + rows] = np.where(better, scale, scales[start : start + rows] if shrink != 1.0 else scale)
            current = integers[start : start + rows]
            np.copyto(current, q.astype(np.int8), where=better[:, None])
    return Packed(integers.reshape(inputs, outputs), scales)


def compensated(weight: np.ndarray, found: Packed | Mixed, bias: np.ndarray, mean_input: np.ndarray) -> np.ndarray:
    """The bias that keeps the layer's mean output where it was: rounding errors times the inputs' mean are added back."""
    return (bias + mean_input @ (weight - found.unpacked())).astype(np.float32)


def unfolded(weight: np.ndarray) -> np.ndarray:
    """Stride-2 transposed kernel [in, out, 3, 3] -> kernel [4 out, in, 2, 2] of the convolution before DepthToSpace (CRD).

    Output row 2i sees input row i through kernel row 1; row 2i + 1 sees row i through 2 and row i + 1 through 0. Columns alike.
    """
    inputs, outputs = weight.shape[:2]
    taps = {0: ((0, 1),), 1: ((0, 2), (1, 0))}  # phase -> (place in the 2x2 kernel, place in the 3x3 kernel)
    found = np.zeros((outputs, 2, 2, inputs, 2, 2), weight.dtype)
    for py, rows in taps.items():
        for px, columns in taps.items():
            for to_y, from_y in rows:
                for to_x, from_x in columns:
                    found[:, py, px, :, to_y, to_x] = weight[:, :, from_y, from_x].T
    return found.reshape(outputs * 4, inputs, 2, 2)


def turned(weight: np.ndarray) -> np.ndarray:
    """Stride-1 transposed kernel [in, out, 3, 3] -> the equal convolution's [out, in, 3, 3]."""
    return np.ascontiguousarray(weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1])


# For one axis. Row 2i + p of a 3x3 convolution of a nearest-upsampled plane sees source rows through two taps: kernel rows summed by source.
# phase -> (kernel rows that fall on the first of the two source rows, on the second, rows of padding before, after)
SOURCES = {0: ((0,), (1, 2), 1, 0), 1: ((0, 1), (2,), 0, 1)}
# Row 2i + p of a 3x3 convolution of a plane given by its two phases q (rows 2j + q): (p, kernel row) by the two rows of phase q seen.
TARGETS = {0: (((0, 1), (1, 0)), ((1, 2),), 0, 1), 1: (((0, 0),), ((0, 2), (1, 1)), 1, 0)}


def upsampled_phases(weight: np.ndarray) -> dict[tuple[int, int], tuple[np.ndarray, list[int]]]:
    """Kernel [out, in, 3, 3] after nearest upsampling by 2 -> for each phase (y, x) of the output a 2x2 kernel on the small plane, and its
    padding [top, left, bottom, right]: 16 products in place of 36, the same sums."""
    found = {}
    for py, (top, bottom, before_y, after_y) in SOURCES.items():
        for px, (left, right, before_x, after_x) in SOURCES.items():
            kernel = np.stack(
                [np.stack([weight[:, :, rows][:, :, :, columns].sum(axis=(2, 3)) for columns in (left, right)], -1) for rows in (top, bottom)], -2
            )
            found[py, px] = kernel.astype(np.float32), [before_y, before_x, after_y, after_x]
    return found


def phase_joining(weight: np.ndarray) -> dict[tuple[int, int], tuple[np.ndarray, list[int]]]:
    """Kernel [out, in, 3, 3] -> for each phase (y, x) of its input the 2x2 kernel [4 out, in, 2, 2] of its share in all four phases of
    the output (ready for DepthToSpace, CRD), and its padding."""
    outputs, inputs = weight.shape[:2]
    found = {}
    for qy, (*taps_y, before_y, after_y) in TARGETS.items():
        for qx, (*taps_x, before_x, after_x) in TARGETS.items():
            kernel = np.zeros((outputs, 2, 2, inputs, 2, 2), np.float32)
            for to_y, rows in enumerate(taps_y):
                for to_x, columns in enumerate(taps_x):
                    for py, ky in rows:
                        for px, kx in columns:
                            kernel[:, py, px, :, to_y, to_x] = weight[:, :, ky, kx]
            found[qy, qx] = kernel.reshape(outputs * 4, inputs, 2, 2), [before_y, before_x, after_y, after_x]
    return found


class WideGraph(Graph):
    """A graph with four-bit dense layers and unfolded transposed convolutions."""

    def four_bits(self, x: str, name: str, found: Packed) -> str:
        inputs, outputs = found.integers.shape
        tensor = helper.make_tensor(f"{name}.weight", TensorProto.INT4, [inputs, outputs], found.bytes(), raw=True)
        self.initialisers.append(tensor)
        scale = self.constant(f"{name}.weight.scale", found.scales)
        return self.node("MatMul", [x, self.node("DequantizeLinear", [tensor.name, scale], axis=0, block_size=found.block)])

    def packed_dense(self, x: str, found: Packed | Mixed, bias: np.ndarray) -> str:
        added = self.constant("dense.bias", bias)
        if isinstance(found, Packed):
            return self.node("Add", [self.four_bits(x, "dense", found), added])
        rows = len(found.first.scales)
        zero = self.constant("dense.first.zero", np.zeros(rows, np.int8))
        inputs = [self.constant("dense.first.weight", found.first.integers), self.constant("dense.first.scale", found.first.scales), zero]
        sizes = self.constant("dense.sizes", np.array([rows, len(found.rest.integers)], np.int64))
        self.serial += 1
        self.nodes.append(helper.make_node("Split", [x, sizes], ["code_first", "code_rest"], name=f"Split_{self.serial}", axis=1))
        first = self.node("MatMul", ["code_first", self.node("DequantizeLinear", inputs, axis=0)])
        return self.node("Add", [self.node("Add", [first, self.four_bits("code_rest", "dense", found.rest)]), added])

    def any_dense(self, x: str, w: Weights, found: Packed | Mixed | None, bias: np.ndarray | None) -> str:
        if found is None or bias is None:
            return self.dense(x, "dense", np.ascontiguousarray(w["dense.weight"].T), w["dense.bias"])
        return self.packed_dense(x, found, bias)

    def dense(self, x: str, name: str, weight: np.ndarray, bias: np.ndarray) -> str:
        product = self.node("MatMul", [x, self.constant(f"{name}.weight", weight)])
        return self.node("Add", [product, self.constant(f"{name}.bias", bias)])

    def reshape(self, x: str, name: str, shape: list[int], output: str | None = None) -> str:
        return self.node("Reshape", [x, self.constant(name, np.array(shape, np.int64))], output)

    def transposed2(self, x: str, name: str, weight: np.ndarray, bias: np.ndarray) -> str:
        w = self.constant(f"{name}.weight", unfolded(weight))
        b = self.constant(f"{name}.bias", np.repeat(bias, 4))
        x = self.node("Relu", [self.node("Conv", [x, w, b], kernel_shape=[2, 2], pads=[0, 0, 1, 1])])
        return self.node("DepthToSpace", [x], blocksize=2, mode="CRD")

    def conv2(self, x: str, name: str, kernel: tuple[np.ndarray, list[int]], bias: np.ndarray | None = None) -> str:
        weight, pads = kernel
        inputs = [x, self.constant(f"{name}.weight", weight)] + ([] if bias is None else [self.constant(f"{name}.bias", bias)])
        return self.node("Conv", inputs, kernel_shape=[2, 2], pads=pads)

    def upsampled_pair(self, x: str, first: np.ndarray, first_bias: np.ndarray, second: np.ndarray, second_bias: np.ndarray) -> str:
        """Nearest upsampling by 2, convolution 3x3, ReLU, convolution 3x3 without ever holding the wide plane at full size: phase by phase."""
        joining, total = phase_joining(second), None
        for phase, kernel in upsampled_phases(first).items():
            name = "".join(map(str, phase))
            inner = self.node("Relu", [self.conv2(x, f"conv3.{name}", kernel, first_bias)])
            bias = np.repeat(second_bias, 4) if total is None else None
            part = self.conv2(inner, f"out.{name}", joining[phase], bias)
            total = part if total is None else self.node("Add", [total, part])
        return self.node("DepthToSpace", [total], blocksize=2, mode="CRD")

    def model(self, name: str, source: tuple[str, int], target: tuple[str, int]) -> onnx.ModelProto:
        """As in `graphs.py`, of a younger opset. The sides are free in name, as the product expects of every net; only 512 runs."""
        dims = {"pixels": ["height", "width"], "latent": ["latent_height", "latent_width"]}
        source_info, target_info = (
            helper.make_tensor_value_info(tensor, TensorProto.FLOAT, [1, channels, *dims[tensor]]) for tensor, channels in (source, target)
        )
        graph = helper.make_graph(self.nodes, name, [source_info], [target_info], self.initialisers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="latentwire-training")
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        return model


def encoder(w: Weights, dense: Packed | None = None, dense_bias: np.ndarray | None = None) -> onnx.ModelProto:
    """f32 throughout, or with the dense layer in four bits."""
    g = WideGraph()
    x = g.node("Relu", [g.conv("pixels", "conv1", w["conv1.weight"], w["conv1.bias"])])
    x = g.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = g.node("Relu", [g.conv(x, "conv2", w["conv2.weight"], w["conv2.bias"])])
    x = g.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = g.node("Relu", [g.conv(x, "conv3", w["conv3.weight"], w["conv3.bias"])])
    last = [x, g.constant("conv4.weight", w["conv4.weight"]), g.constant("conv4.bias", w["conv4.bias"])]
    x = g.node("Relu", [g.node("Conv", last, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])])
    x = g.any_dense(g.reshape(x, "flat", [1, FEATURES]), w, dense, dense_bias)
    g.reshape(g.node("Relu", [x]), "square", [1, 1, LATENT_SIDE, LATENT_SIDE], output="latent")
    return g.model("hd512-encoder", ("pixels", 3), ("latent", 1))


def decoder(w: Weights, dense: Mixed | None = None, dense_bias: np.ndarray | None = None) -> onnx.ModelProto:
    """f32 throughout, or with the dense layer in eight and four bits."""
    g = WideGraph()
    x = g.any_dense(g.reshape("latent", "flat", [1, CODE]), w, dense, dense_bias)
    x = g.reshape(g.node("Relu", [x]), "cells", [1, CHANNELS, CELLS, CELLS])
    x = g.transposed2(x, "conv1", w["conv1.weight"], w["conv1.bias"])
    x = g.transposed2(x, "conv2", w["conv2.weight"], w["conv2.bias"])
    x = g.upsampled_pair(x, turned(w["conv3.weight"]), w["conv3.bias"], turned(w["out.weight"]), w["out.bias"])
    g.node("Relu", [x], "pixels")
    return g.model("hd512-decoder", ("latent", 1), ("pixels", 3))
