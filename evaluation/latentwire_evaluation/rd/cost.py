"""How many multiplications a net makes, and how many the processor can: what its time is measured against."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

# Of a square product whose operands stay in the second-level cache, and how often it is repeated.
SIDE, RUNS = 1024, 30
INT8, F32 = "int8", "f32"
_CONVOLUTIONS = ("Conv", "QLinearConv", "ConvInteger")
_PRODUCTS = ("MatMul", "QLinearMatMul", "MatMulInteger", "Gemm")


class NotCounted(ValueError):
    """Why a net's multiplications cannot be counted."""


@dataclass(frozen=True)
class Products:
    """Multiplications with the operands' kind, at one input size."""

    int8: int
    f32: int


def session(model: Path | bytes) -> onnxruntime.InferenceSession:
    """One thread, no spinning, as the services run a net."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(model) if isinstance(model, Path) else model, options, providers=["CPUExecutionProvider"])


def products(path: Path, feed: dict[str, np.ndarray]) -> Products:
    """Of a net on these inputs. Transposed convolutions and loops are refused: no net of ours has them."""
    model = onnx.load(str(path))
    shapes = shapes_of(model, feed)
    weights = {one.name: tuple(one.dims) for one in model.graph.initializer}
    weights |= {node.output[0]: numpy_helper.to_array(node.attribute[0].t).shape for node in model.graph.node if node.op_type == "Constant" and node.attribute[0].HasField("t")}
    made = {output: node for node in model.graph.node for output in node.output}
    found = {INT8: 0, F32: 0}
    for node in model.graph.node:
        if node.op_type in ("ConvTranspose", "Loop", "Scan", "If"):
            raise NotCounted(f"{path.name}: {node.op_type} is not counted")
        if node.op_type not in _CONVOLUTIONS + _PRODUCTS:
            continue
        place = 3 if node.op_type.startswith("QLinear") else 1
        shape = weights.get(node.input[place]) or shapes.get(node.input[place])
        out = shapes.get(node.output[0])
        if not shape or not out:
            raise NotCounted(f"{path.name}: the shapes of {node.name or node.op_type} are not known")
        inner = math.prod(shape[1:]) if node.op_type in _CONVOLUTIONS else shape[-2] if node.op_type != "Gemm" else shape[0] * shape[1] // out[-1]
        kind = INT8 if node.op_type in ("QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger") or quantised(node.input[place], made) and quantised(node.input[0], made) else F32
        found[kind] += math.prod(out) * inner
    return Products(found[INT8], found[F32])


def quantised(name: str, made: dict[str, onnx.NodeProto]) -> bool:
    """Whether an operand comes straight out of a DequantizeLinear: ONNX Runtime then multiplies the integers."""
    return name in made and made[name].op_type == "DequantizeLinear"


def shapes_of(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """Of every tensor, the inputs being these."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for one in fixed.graph.input:
        if one.name in feed:
            del one.type.tensor_type.shape.dim[:]
            for length in feed[one.name].shape:
                one.type.tensor_type.shape.dim.add().dim_value = length
    for one in fixed.graph.output:
        one.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(fixed, data_prop=True)
    values = [*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input]
    return {one.name: tuple(d.dim_value for d in one.type.tensor_type.shape.dim) for one in values if all(d.HasField("dim_value") for d in one.type.tensor_type.shape.dim)}


def peak() -> dict[str, float]:
    """Multiplications a second of one core, by kind: the best that one large product of matrices reaches in ONNX Runtime."""
    rng = np.random.default_rng(1)
    found = {}
    for kind, left, right, operator, out in (
        (F32, TensorProto.FLOAT, TensorProto.FLOAT, "MatMul", TensorProto.FLOAT),
        (INT8, TensorProto.UINT8, TensorProto.INT8, "MatMulInteger", TensorProto.INT32),
    ):
        values = rng.integers(-60, 60, (SIDE, SIDE)).astype(helper.tensor_dtype_to_np_dtype(right))
        graph = helper.make_graph(
            [helper.make_node(operator, ["a", "b"], ["c"])], "peak", [helper.make_tensor_value_info("a", left, [SIDE, SIDE])],
            [helper.make_tensor_value_info("c", out, [SIDE, SIDE])], [numpy_helper.from_array(values, "b")],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        run, feed = session(model.SerializeToString()), {"a": rng.integers(0, 60, (SIDE, SIDE)).astype(helper.tensor_dtype_to_np_dtype(left))}
        found[kind] = SIDE**3 / (min(times(lambda: run.run(None, feed), RUNS)) / 1e3)
    return found


def times(run, repeats: int) -> list[float]:
    """Milliseconds of so many runs; two before them are not counted."""
    for _ in range(2):
        run()
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        run()
        taken.append((time.perf_counter() - begun) * 1e3)
    return taken


def median(run, repeats: int) -> float:
    return statistics.median(times(run, repeats))
