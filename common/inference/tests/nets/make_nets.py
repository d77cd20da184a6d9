"""Writes the small ONNX nets that the tests of latentwire-inference run; the files are committed beside this script.

    python make_nets.py        needs onnx and numpy

Weights are random (fixed seeds): only shapes, sizes and arithmetic matter here. `encoder` and `decoder` have the layers
of `ae224`'s halves with fewer channels: 3x3 convolutions, max pooling, nearest resize, a 1x1 convolution at the latent.
Receptive fields, in pixels: encoder 1 + 2 + 2 * 1 + 2 * 1 < 8, decoder 2 * 1 + 1 + 1 + 1 < 8, so a halo of 8 is enough.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent


class Net:
    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list = []
        self.constants: list = []

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def add(self, op: str, inputs: list[str], output: str | None = None, domain: str = "", **attributes) -> str:
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], domain=domain, **attributes))
        return output

    def conv(self, x: str, source: int, target: int, size: int, output: str | None = None) -> str:
        weight = self.random.normal(0, (source * size * size) ** -0.5, (target, source, size, size)).astype(np.float32)
        bias = self.random.normal(0.1, 0.1, target).astype(np.float32)
        inputs = [x, self.constant(weight), self.constant(bias)]
        return self.add("Conv", inputs, output, kernel_shape=[size, size], pads=[size // 2] * 4)

    def relu(self, x: str) -> str:
        return self.add("Relu", [x])

    def upsample(self, x: str) -> str:
        scales = self.constant(np.array([1, 1, 2, 2], np.float32))
        return self.add(
            "Resize", [x, "", scales], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        )

    def save(self, file: str, source: tuple, target: tuple, opsets: tuple[str, ...] = ("",)) -> None:
        """`source` and `target` are (name, channels, height, width[, type])."""

        def info(name: str, channels, height, width, kind=TensorProto.FLOAT):
            return helper.make_tensor_value_info(name, kind, [1, channels, height, width])

        graph = helper.make_graph(self.nodes, Path(file).stem, [info(*source)], [info(*target)], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, 17) for domain in opsets])
        model.ir_version = 9
        onnx.checker.check_model(model)
        (HERE / file).write_bytes(model.SerializeToString(deterministic=True))


PIXELS = ("pixels", 3, "h", "w")
LATENT = ("latent", 3, "lh", "lw")


def encoder() -> None:
    net = Net(1)
    x = net.relu(net.conv("pixels", 3, 8, 3))
    x = net.add("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = net.relu(net.conv(x, 8, 8, 3))
    x = net.relu(net.conv(x, 8, 8, 3))
    net.conv(x, 8, 3, 1, output="latent")
    net.save("encoder.onnx", PIXELS, LATENT)


def decoder_body(net: Net, output: str) -> str:
    x = net.conv("latent", 3, 8, 1)
    x = net.relu(net.conv(x, 8, 8, 3))
    x = net.upsample(x)
    x = net.relu(net.conv(x, 8, 8, 3))
    x = net.relu(net.conv(x, 8, 8, 3))
    return net.conv(x, 8, 3, 3, output=output)


def decoder() -> None:
    net = Net(2)
    decoder_body(net, "pixels")
    net.save("decoder.onnx", LATENT, PIXELS)


def decoder_int32() -> None:
    """The same net, its output rounded to fixed point with 12 fractional bits."""
    net = Net(2)
    scaled = net.add("Mul", [decoder_body(net, "float_pixels"), net.constant(np.array(4096, np.float32))])
    net.add("Cast", [net.add("Round", [scaled])], "pixels", to=TensorProto.INT32)
    net.save("decoder_int32.onnx", LATENT, (*PIXELS, TensorProto.INT32))


def whole_tiles() -> None:
    """Dense over tiles of exactly 32x32 pixels, 16x16 latents: every value depends on the whole tile.

    encoder: y = x + (x . a) b for the 256 means x of 2x2 pixels and three planes; decoder: the inverse,
    x = y - (y . a) b / (1 + a . b), each a block of 2x2 pixels in all planes.
    """
    random = np.random.default_rng(5)
    a = random.normal(0, 1 / 16, (256, 1)).astype(np.float32)
    b = random.normal(0, 1 / 16, (1, 256)).astype(np.float32)

    def mix(net: Net, x: str, right: np.ndarray, output: str | None = None) -> str:
        flat = net.add("Reshape", [x, net.constant(np.array([-1, 256], np.int64))])
        part = net.add("MatMul", [net.add("MatMul", [flat, net.constant(a)]), net.constant(right)])
        shape = net.constant(np.array([-1, 1, 16, 16], np.int64))
        return net.add("Reshape", [net.add("Add", [flat, part]), shape], output)

    net = Net(5)
    weight = net.constant(np.full((1, 3, 2, 2), 1 / 12, np.float32))
    mix(net, net.add("Conv", ["pixels", weight], kernel_shape=[2, 2], strides=[2, 2]), b, "latent")
    net.save("whole_encoder.onnx", ("pixels", 3, 32, 32), ("latent", 1, 16, 16))
    net = Net(5)
    x = mix(net, "latent", (-b / (1 + (b @ a).item())).astype(np.float32))
    net.add("Conv", [net.upsample(x), net.constant(np.ones((3, 1, 1, 1), np.float32))], "pixels", kernel_shape=[1, 1])
    net.save("whole_decoder.onnx", ("latent", 1, 16, 16), ("pixels", 3, 32, 32))


def zero_by_zero() -> None:
    """x / x: NaN wherever the picture, or the latent, is 0."""
    net = Net(3)
    net.add("Div", ["pixels", "pixels"], "latent")
    net.save("divides_encoder.onnx", PIXELS, LATENT)
    net = Net(3)
    net.add("Div", ["latent", "latent"], "pixels")
    net.save("divides_decoder.onnx", LATENT, PIXELS)


def liars() -> None:
    """Nets whose shapes, names or types are not what a stride-2, three-channel model's are."""
    net = Net(4)  # same size out as in: stride 1
    net.conv("pixels", 3, 3, 3, output="latent")
    net.save("encoder_stride1.onnx", PIXELS, LATENT)
    net = Net(4)  # four channels, hidden behind a dynamic dimension
    x = net.add("MaxPool", ["pixels"], kernel_shape=[2, 2], strides=[2, 2])
    net.conv(x, 3, 4, 1, output="latent")
    net.save("encoder_hides_channels.onnx", PIXELS, ("latent", "c", "lh", "lw"))
    net = Net(4)  # four channels, openly
    x = net.add("MaxPool", ["pixels"], kernel_shape=[2, 2], strides=[2, 2])
    net.conv(x, 3, 4, 1, output="latent")
    net.save("encoder_four_channels.onnx", PIXELS, ("latent", 4, "lh", "lw"))
    net = Net(4)  # one size only
    net.add("MaxPool", ["pixels"], "latent", kernel_shape=[2, 2], strides=[2, 2])
    net.save("encoder_fixed_size.onnx", ("pixels", 3, 224, 224), ("latent", 3, 112, 112))
    net = Net(4)  # another name
    net.add("MaxPool", ["image"], "latent", kernel_shape=[2, 2], strides=[2, 2])
    net.save("encoder_other_name.onnx", ("image", 3, "h", "w"), LATENT)
    net = Net(4)  # rows and columns exchanged
    x = net.add("MaxPool", ["pixels"], kernel_shape=[2, 2], strides=[2, 2])
    net.add("Transpose", [x], "latent", perm=[0, 1, 3, 2])
    net.save("encoder_transposes.onnx", PIXELS, LATENT)


if __name__ == "__main__":
    encoder()
    decoder()
    decoder_int32()
    whole_tiles()
    zero_by_zero()
    liars()
