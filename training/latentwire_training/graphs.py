"""The two halves of `ae224` as hand-built ONNX graphs: convolutions, ReLU, max pooling, nearest resize; no ConvTranspose.

`f32` graphs hold the trained weights as they are. `int8` graphs hold the wide convolutions as QDQ pairs (U8 activations, S8
weights a channel, 7-bit range so that no processor's 16-bit accumulation saturates); the thin first and last layers stay f32,
because eight bits there would show in the picture.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 9


class Graph:
    """Collects nodes and initialisers."""

    def __init__(self) -> None:
        self.nodes: list = []
        self.initialisers: list = []
        self.serial = 0

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, inputs: list[str], output: str | None = None, **attributes) -> str:
        self.serial += 1
        output = output or f"{op.lower()}_{self.serial}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"{op}_{self.serial}", **attributes))
        return output

    def conv(self, x: str, name: str, weight: np.ndarray, bias: np.ndarray, output: str | None = None) -> str:
        pad = weight.shape[2] // 2
        inputs = [x, self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)]
        return self.node("Conv", inputs, output, kernel_shape=list(weight.shape[2:]), pads=[pad] * 4)

    def quantise(self, x: str, name: str, scale: float, zero: int) -> str:
        """U8 QuantizeLinear and DequantizeLinear of an activation."""
        s = self.constant(f"{name}.scale", np.array(scale, np.float32))
        z = self.constant(f"{name}.zero", np.array(zero, np.uint8))
        return self.node("DequantizeLinear", [self.node("QuantizeLinear", [x, s, z]), s, z])

    def conv_int8(self, x: str, name: str, weight: np.ndarray, bias: np.ndarray, input_scale: float, **more) -> str:
        """Convolution of a dequantised U8 activation with S8 weights, one scale an output channel, |w| <= 63."""
        scale = np.maximum(np.abs(weight).max(axis=(1, 2, 3)), 1e-9) / 63.0
        q = np.clip(np.rint(weight / scale[:, None, None, None]), -63, 63).astype(np.int8)
        s = self.constant(f"{name}.weight.scale", scale.astype(np.float32))
        z = self.constant(f"{name}.weight.zero", np.zeros(weight.shape[0], np.int8))
        w = self.node("DequantizeLinear", [self.constant(f"{name}.weight", q), s, z], axis=0)
        bias_scale = (scale * input_scale).astype(np.float32)
        b = self.node(
            "DequantizeLinear",
            [
                self.constant(f"{name}.bias", np.rint(bias / bias_scale).astype(np.int32)),
                self.constant(f"{name}.bias.scale", bias_scale),
                self.constant(f"{name}.bias.zero", np.zeros(weight.shape[0], np.int32)),
            ],
            axis=0,
        )
        pad = weight.shape[2] // 2
        return self.node("Conv", [x, w, b], kernel_shape=list(weight.shape[2:]), pads=[pad] * 4, **more)

    def model(self, name: str, source: tuple[str, int], target: tuple[str, int]) -> onnx.ModelProto:
        def info(tensor: tuple[str, int], h: str, w: str):
            return helper.make_tensor_value_info(tensor[0], TensorProto.FLOAT, [1, tensor[1], h, w])

        dims = {"pixels": ("height", "width"), "latent": ("latent_height", "latent_width")}
        graph = helper.make_graph(
            self.nodes, name, [info(source, *dims[source[0]])], [info(target, *dims[target[0]])], self.initialisers
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="latentwire-training")
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        return model


Weights = dict[str, np.ndarray]
Ranges = dict[str, float]  # largest activation after each ReLU, for the int8 graphs


def encoder_f32(w: Weights, pools: int = 1) -> onnx.ModelProto:
    """Without dense weights in `w`, the third convolution's 32 channels are the latent."""
    g = Graph()
    x = g.node("Relu", [g.conv("pixels", "conv1", w["conv1.weight"], w["conv1.bias"])])
    x = g.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = g.node("Relu", [g.conv(x, "conv2", w["conv2.weight"], w["conv2.bias"])])
    if pools == 2:
        x = g.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    dense = "dense.weight" in w
    x = g.node("Relu", [g.conv(x, "conv3", w["conv3.weight"], w["conv3.bias"])], None if dense else "latent")
    if dense:
        g.conv(x, "dense", w["dense.weight"], w["dense.bias"], output="latent")
    channels = w["dense.weight" if dense else "conv3.weight"].shape[0]
    return g.model("ae224-encoder", ("pixels", 3), ("latent", channels))


def upsample(g: Graph, x: str, name: str = "up") -> str:
    scales = g.constant(f"{name}.scales", np.array([1, 1, 2, 2], np.float32))
    return g.node(
        "Resize", [x, "", scales], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )


def decoder_f32(w: Weights, pools: int = 1) -> onnx.ModelProto:
    g = Graph()
    dense = "dense.weight" in w
    x = g.conv("latent", "dense", w["dense.weight"], w["dense.bias"]) if dense else "latent"
    x = g.node("Relu", [g.conv(x, "conv1", w["conv1.weight"], w["conv1.bias"])])
    x = upsample(g, x)
    x = g.node("Relu", [g.conv(x, "conv2", w["conv2.weight"], w["conv2.bias"])])
    if pools == 2:
        x = upsample(g, x, "up2")
    x = g.node("Relu", [g.conv(x, "conv3", w["conv3.weight"], w["conv3.bias"])])
    g.conv(x, "out", w["out.weight"], w["out.bias"], output="pixels")
    channels = w["dense.weight" if dense else "conv1.weight"].shape[1]
    return g.model("ae224-decoder", ("latent", channels), ("pixels", 3))


def encoder_int8(w: Weights, ranges: Ranges) -> onnx.ModelProto:
    g = Graph()
    x = g.node("Relu", [g.conv("pixels", "conv1", w["conv1.weight"], w["conv1.bias"])])
    x = g.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = g.quantise(x, "pool", ranges["conv1"] / 255, 0)
    x = g.node("Relu", [g.conv_int8(x, "conv2", w["conv2.weight"], w["conv2.bias"], ranges["conv1"] / 255)])
    x = g.quantise(x, "conv2.out", ranges["conv2"] / 255, 0)
    x = g.node("Relu", [g.conv_int8(x, "conv3", w["conv3.weight"], w["conv3.bias"], ranges["conv2"] / 255)])
    g.conv(x, "dense", w["dense.weight"], w["dense.bias"], output="latent")
    return g.model("ae224-encoder-int8", ("pixels", 3), ("latent", 3))


def decoder_int8(w: Weights, ranges: Ranges) -> onnx.ModelProto:
    g = Graph()
    x = g.conv("latent", "dense", w["dense.weight"], w["dense.bias"])
    x = g.node("Relu", [g.conv(x, "conv1", w["conv1.weight"], w["conv1.bias"])])
    x = g.quantise(x, "conv1.out", ranges["conv1"] / 255, 0)
    x = upsample(g, x)
    x = g.node("Relu", [g.conv_int8(x, "conv2", w["conv2.weight"], w["conv2.bias"], ranges["conv1"] / 255)])
    x = g.quantise(x, "conv2.out", ranges["conv2"] / 255, 0)
    x = g.node("Relu", [g.conv_int8(x, "conv3", w["conv3.weight"], w["conv3.bias"], ranges["conv2"] / 255)])
    x = g.quantise(x, "conv3.out", ranges["conv3"] / 255, 0)
    g.conv(x, "out", w["out.weight"], w["out.bias"], output="pixels")
    return g.model("ae224-decoder-int8", ("latent", 3), ("pixels", 3))
