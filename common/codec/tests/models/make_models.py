"""Writes the tiny models that the codec's tests run on: no trained weight, a few kilobytes each.

    python make_models.py        (needs onnx, onnxruntime and numpy; writes into its own folder, byte for byte the same each time)

sound/haar-chest    2x2 Haar of three planes, int32 output, near lossless
sound/haar-fundus   the same, float32 output
sound/mono-brain    one plane, float32 output: grey pictures only
sound/blur-other    2x2 means, a 3x3 filter on the way back, small tiles with a halo: visibly lossy
sound/research/     a whole-dense, whose nets take tiles of 32x32 pixels only (research), and a soften-chest (denoising)
own/                a haar-ultrasound that is chosen by name, beside a mono-brain
levels/levels-chest block levels and a decoder of integers alone, as the `rd` family has (rd.py)
nan-decoder/        a decoder that divides zero by zero
nan-encoder/        an encoder that does
"""

import hashlib
import math
import pathlib
import struct

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import rd

HERE = pathlib.Path(__file__).parent


def fixed_latent(seed, channels, height, width):
    """The latent of the start-up check, as common/inference/src/check.rs defines it."""
    state, values = seed, []
    for index in range(channels * height * width):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        z ^= z >> 31
        value = (z >> 32) % 4001 - 2000
        k = math.copysign(abs(value) >> z % 16, value)
        values.append(4 * (z >> 59) if index < height * width else k)
    return np.array(values, np.float32).reshape(1, channels, height, width)


def net(nodes, constants, source, target, output_type=TensorProto.FLOAT, tile=None):
    """ONNX bytes; source and target are (name, channels); tile is the one size in pixels, where there is one."""
    dims = {"pixels": ["height", "width"], "latent": ["rows", "columns"]}
    if tile:
        dims = {"pixels": [tile, tile], "latent": [tile // 2, tile // 2]}
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(source[0], TensorProto.FLOAT, [1, source[1], *dims[source[0]]])],
        [helper.make_tensor_value_info(target[0], output_type, [1, target[1], *dims[target[0]]])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="latentwire-tests")
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


# Rows: Y = mean, two colour differences; inverse beside it. Exact enough that the quantiser alone decides the error.
COLOUR = np.array([[1 / 3, 1 / 3, 1 / 3], [1, -1, 0], [0, 1, -1]])
HAAR = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 4.0


def haar(planes, output):
    """Encoder and decoder bytes, latent channels."""
    colour = COLOUR if planes == 3 else np.eye(1)
    forward = np.einsum("ij,kl->ikjl", colour, HAAR).reshape(planes * 4, planes * 4)  # from plane, place in the 2x2 block
    inverse = np.linalg.inv(forward)
    channels = planes * 4
    encoder = net(
        [helper.make_node("Conv", ["pixels", "w"], ["latent"], kernel_shape=[2, 2], strides=[2, 2])],
        {"w": forward.reshape(channels, planes, 2, 2).astype(np.float32)},
        ("pixels", planes),
        ("latent", channels),
    )
    constants = {"w": inverse.reshape(channels, channels, 1, 1).astype(np.float32)}
    nodes = [helper.make_node("Conv", ["latent", "w"], ["blocks"], kernel_shape=[1, 1])]
    if output == "int32":
        constants["scale"] = np.float32(65536)
        nodes += [
            helper.make_node("DepthToSpace", ["blocks"], ["unit"], blocksize=2, mode="CRD"),
            helper.make_node("Mul", ["unit", "scale"], ["scaled"]),
            helper.make_node("Round", ["scaled"], ["rounded"]),
            helper.make_node("Cast", ["rounded"], ["pixels"], to=TensorProto.INT32),
        ]
    else:
        nodes += [helper.make_node("DepthToSpace", ["blocks"], ["pixels"], blocksize=2, mode="CRD")]
    kind = TensorProto.INT32 if output == "int32" else TensorProto.FLOAT
    return encoder, net(nodes, constants, ("latent", channels), ("pixels", planes), kind), channels


def blur():
    """2x2 means; nearest neighbour and a 3x3 binomial filter a plane back."""
    mean = np.zeros((3, 3, 2, 2), np.float32)
    filters = np.zeros((3, 3, 3, 3), np.float32)
    for plane in range(3):
        mean[plane, plane] = 0.25
        filters[plane, plane] = np.outer([1, 2, 1], [1, 2, 1]) / 16.0
    encoder = net(
        [helper.make_node("Conv", ["pixels", "w"], ["latent"], kernel_shape=[2, 2], strides=[2, 2])],
        {"w": mean},
        ("pixels", 3),
        ("latent", 3),
    )
    decoder = net(
        [
            helper.make_node("Resize", ["latent", "", "scales"], ["large"], mode="nearest",
                             coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
            helper.make_node("Pad", ["large", "margins"], ["padded"], mode="edge"),
            helper.make_node("Conv", ["padded", "f"], ["pixels"], kernel_shape=[3, 3]),
        ],
        {"f": filters, "scales": np.array([1, 1, 2, 2], np.float32), "margins": np.array([0, 0, 1, 1] * 2, np.int64)},
        ("latent", 3),
        ("pixels", 3),
    )
    return encoder, decoder, 3


def whole():
    """Dense over tiles of 32x32 pixels: the 256 means x of 2x2 pixels and three planes become x + (x . a) b, and back."""
    a = (np.cos(np.arange(256) * 0.7) / 16).astype(np.float32).reshape(256, 1)
    b = (np.sin(np.arange(256) * 1.3) / 16).astype(np.float32).reshape(1, 256)
    back = (-b / (1 + (b @ a).item())).astype(np.float32)

    def mix(source, target):
        return [
            helper.make_node("Reshape", [source, "flat"], ["vector"]),
            helper.make_node("MatMul", ["vector", "a"], ["sum"]),
            helper.make_node("MatMul", ["sum", "b"], ["part"]),
            helper.make_node("Add", ["vector", "part"], ["mixed"]),
            helper.make_node("Reshape", ["mixed", "square"], [target]),
        ]

    shapes = {"a": a, "flat": np.array([-1, 256], np.int64), "square": np.array([-1, 1, 16, 16], np.int64)}
    encoder = net(
        [helper.make_node("Conv", ["pixels", "w"], ["means"], kernel_shape=[2, 2], strides=[2, 2]), *mix("means", "latent")],
        {"w": np.full((1, 3, 2, 2), 1 / 12, np.float32), "b": b, **shapes},
        ("pixels", 3),
        ("latent", 1),
        tile=32,
    )
    decoder = net(
        [
            *mix("latent", "means"),
            helper.make_node("Resize", ["means", "", "scales"], ["large"], mode="nearest",
                             coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
            helper.make_node("Conv", ["large", "planes"], ["pixels"], kernel_shape=[1, 1]),
        ],
        {"b": back, "scales": np.array([1, 1, 2, 2], np.float32), "planes": np.ones((3, 1, 1, 1), np.float32), **shapes},
        ("latent", 1),
        ("pixels", 3),
        tile=32,
    )
    return encoder, decoder, 1


def zero_by_zero(encoder, decoder, broken):
    """Replaces one half of a pair by one that gives NaN for every input."""
    model = onnx.load_from_string(encoder if broken == "encoder" else decoder)
    graph = model.graph
    name = graph.output[0].name
    graph.node[-1].output[0] = "before"
    graph.initializer.append(numpy_helper.from_array(np.float32(0), "zero"))
    graph.node.append(helper.make_node("Mul", ["before", "zero"], ["nothing"]))
    graph.node.append(helper.make_node("Div", ["nothing", "zero"], [name]))
    onnx.checker.check_model(model)
    model = model.SerializeToString(deterministic=True)
    return (model, decoder) if broken == "encoder" else (encoder, model)


def laplace_table(alpha, fraction, radius):
    """Probabilities of -radius..radius and ESCAPE, summing to 2^16, of a mean `fraction` eighths into its integer."""
    centre = (fraction * 32 - 128 + 16) / 256

    def cdf(x):
        x -= centre
        return 0.5 * math.exp(x / alpha) if x < 0 else 1 - 0.5 * math.exp(-x / alpha)

    p = [cdf(r + 0.5) - cdf(r - 0.5) for r in range(-radius, radius + 1)]
    p.append(1 - sum(p))
    counts = [1 + int(max(q, 0.0) * (65536 - len(p))) for q in p]
    counts[counts.index(max(counts))] += 65536 - sum(counts)
    return struct.pack("<H", radius) + b"".join(struct.pack("<H", c - 1) for c in counts)


def tables(channels, differences):
    """tables.bin: channels whose index is in `differences` have mean 0, the others are predicted from left and above."""
    out = b"LWTB" + bytes([1, channels, 16, 8])
    for c in range(channels):
        own = [(c, 0, -1), (c, -1, 0)]
        mean = [] if c in differences else [(*tap, 32768) for tap in own]
        activity = [(*tap, 24576) for tap in own] + ([(c - 1, 0, 0, 16384)] if c else [])
        out += struct.pack("<iH", 0, len(mean)) + b"".join(struct.pack("<Bbbi", *tap) for tap in mean)
        out += struct.pack("<IH", 3277, len(activity)) + b"".join(struct.pack("<BbbI", *tap) for tap in activity)
        thresholds, alphas = [64, 256, 1024, 4096], [0.12, 0.4, 1.5, 6.0, 25.0]
        out += struct.pack(f"<B{len(thresholds)}I", len(alphas), *thresholds)
        for alpha in alphas:
            for fraction in range(8):
                out += laplace_table(alpha, fraction, min(60, 2 + math.ceil(9 * alpha)))
    return out


def write(folder, modality, halves, table, steps, planes, output, tile=512, halo=0, own="", purpose="", whole=""):
    encoder, decoder, channels = halves
    path = HERE / folder
    path.mkdir(parents=True, exist_ok=True)
    digest = lambda data: hashlib.sha256(data).hexdigest()
    decode = f"""bitstream = 1
family = "test"
{purpose}[decoder]
file = "decoder.onnx"
sha256 = "{digest(decoder)}"
output = "{output}"
output_shift = {16 if output == "int32" else 0}
certified = {"true" if output == "int32" else "false"}
[tables]
file = "tables.bin"
sha256 = "{digest(table)}"
[latent]
channels = {channels}
stride = 2
steps = [{", ".join(repr(s) for s in steps)}]
[pixels]
channels = {planes}
[tiles]
size = {tile}
encoder_halo = {halo}
decoder_halo = {halo}
{whole}""".encode()
    manifest = f"""id = "{path.name}"
family = "test"
modality = "{modality}"
{own}licence = "Apache-2.0 OR MIT"
decode_sha256 = "{digest(decode)}"
[encoder]
file = "encoder.onnx"
sha256 = "{digest(encoder)}"
""".encode()
    files = {"encoder.onnx": encoder, "decoder.onnx": decoder, "tables.bin": table, "decode.toml": decode, "manifest.toml": manifest}
    for name, data in files.items():
        (path / name).write_bytes(data)


def levels():
    """`levels-chest`, with the digest that ONNX Runtime gives here for its start-up check."""
    channels, stride = 22, rd.BLOCK
    half = lambda graph, source, target, kind: net(graph.nodes, graph.constants, source, target, kind)
    encoder = half(rd.encoder(channels), ("pixels", 1), ("latent", channels), TensorProto.FLOAT)
    decoder = half(rd.decoder(channels, 8), ("latent", channels), ("pixels", 1), TensorProto.INT32)
    distribution = lambda alpha, fraction: laplace_table(alpha, fraction, min(40, 2 + math.ceil(6 * alpha)))
    table = rd.tables(channels, 4, distribution)
    seed, height, width = 1, 8, 12
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    session = onnxruntime.InferenceSession(decoder, options, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"latent": fixed_latent(seed, channels, height, width)})
    checked = hashlib.sha256(output.astype("<i4").tobytes()).hexdigest()
    path = HERE / "levels/levels-chest"
    path.mkdir(parents=True, exist_ok=True)
    digest = lambda data: hashlib.sha256(data).hexdigest()
    decode = f"""bitstream = 1
family = "rd-test"
[decoder]
file = "decoder.onnx"
sha256 = "{digest(decoder)}"
output = "int32"
output_shift = {rd.SHIFT}
certified = true
[decoder.check]
seed = {seed}
height = {height}
width = {width}
sha256 = "{checked}"
[tables]
file = "tables.bin"
sha256 = "{digest(table)}"
[latent]
channels = {channels}
stride = {stride}
quantiser = "levels"
steps = {[1] + [24 * 256] * (channels - 1)}
[pixels]
channels = 1
[tiles]
size = 512
encoder_halo = 0
decoder_halo = 32
""".encode()
    manifest = f"""id = "levels-chest"
family = "rd-test"
modality = "chest"
licence = "Apache-2.0 OR MIT"
decode_sha256 = "{digest(decode)}"
[encoder]
file = "encoder.onnx"
sha256 = "{digest(encoder)}"
dead_zone = 0.1
[encoder.rate]
ssim = [[-48, 0.986], [-32, 0.985], [-16, 0.982], [0, 0.972], [16, 0.96], [32, 0.933], [48, 0.83], [64, 0.63]]
psnr_db = [[-48, 46.4], [-16, 45], [0, 42.3], [16, 40], [32, 36.4], [48, 30.2], [64, 25.4]]
spread = 8
""".encode()
    files = {"encoder.onnx": encoder, "decoder.onnx": decoder, "tables.bin": table, "decode.toml": decode, "manifest.toml": manifest}
    for name, data in files.items():
        (path / name).write_bytes(data)


def main():
    levels()
    haar_tables = tables(12, set(range(12)) - {0, 4, 8})
    haar_steps = [0.0078125] * 4 + [0.015625] * 8
    write("sound/haar-chest", "chest", haar(3, "int32"), haar_tables, haar_steps, 3, "int32")
    write("sound/haar-fundus", "fundus", haar(3, "float32"), haar_tables, haar_steps, 3, "float32")
    write("sound/mono-brain", "brain", haar(1, "float32"), tables(4, {1, 2, 3}), [0.0078125] * 4, 1, "float32")
    means = tables(3, set())
    write("sound/blur-other", "other", blur(), means, [0.015625] * 3, 3, "float32", tile=64, halo=4)
    research, denoising = 'purpose = "research"\n', 'purpose = "denoising"\n'
    write("sound/research/whole-dense", "other", whole(), tables(1, set()), [0.0078125], 3, "float32",
          tile=32, purpose=research, whole="whole = true\n")
    write("sound/research/soften-chest", "chest", blur(), means, [0.015625] * 3, 3, "float32",
          tile=64, halo=4, own='dicom_modalities = ["CR"]\n', purpose=denoising)
    # A model of somebody's own: it waits to be named, by a request or by a DICOM header.
    own = 'label = "ultrasound"\nchoose = "by-name"\ndicom_modalities = ["US"]\n'
    write("own/haar-ultrasound", "other", haar(3, "float32"), haar_tables, [0.015625] * 12, 3, "float32", own=own)
    write("own/mono-brain", "brain", haar(1, "float32"), tables(4, {1, 2, 3}), [0.0078125] * 4, 1, "float32")
    for broken in ("encoder", "decoder"):
        encoder, decoder, channels = blur()
        halves = (*zero_by_zero(encoder, decoder, broken), channels)
        write(f"nan-{broken}/nan", "other", halves, means, [0.015625] * 3, 3, "float32")


if __name__ == "__main__":
    main()
