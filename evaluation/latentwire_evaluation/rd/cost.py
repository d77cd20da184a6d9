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
    """Of a net on these inputs; 8-bit where the weights are, whatever ONNX Runtime makes of it. Transposed convolutions and loops are refused:
    no net of ours has them."""
    model = onnx.load(str(path))
    counted = [node for node in model.graph.node if node.op_type in _CONVOLUTIONS + _PRODUCTS]
    if refused := {node.op_type for node in model.graph.node} & {"ConvTranspose", "Loop", "Scan", "If"}:
        raise NotCounted(f"{path.name}: {', '.join(sorted(refused))} is not counted")
    place = {id(node): 3 if node.op_type.startswith("QLinear") else 1 for node in counted}
    shapes = shapes_of(model, feed, {name for node in counted for name in (node.output[0], node.input[place[id(node)]])})
    made = {output: node.op_type for node in model.graph.node for output in node.output}
    found = {INT8: 0, F32: 0}
    for node in counted:
        weight = node.input[place[id(node)]]
        shape, out = shapes[weight], shapes[node.output[0]]
        if node.op_type in _CONVOLUTIONS:
            inner = math.prod(shape[1:])
        else:
            inner = math.prod(shape) // out[-1] if node.op_type == "Gemm" else shape[-2]
        narrow = node.op_type not in ("Conv", "MatMul", "Gemm") or made.get(weight) == "DequantizeLinear"
        found[INT8 if narrow else F32] += math.prod(out) * inner
    return Products(found[INT8], found[F32])


def shapes_of(model: onnx.ModelProto, feed: dict[str, np.ndarray], names: set[str]) -> dict[str, tuple[int, ...]]:
    """Of these tensors, the inputs being these: the net is run with all of them as outputs, so that no shape has to be inferred."""
    found = {one.name: tuple(one.dims) for one in model.graph.initializer if one.name in names}
    found |= {name: feed[name].shape for name in names & feed.keys()}
    asked = sorted(names - found.keys())
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    there = {one.name for one in shown.graph.output}
    shown.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in asked if name not in there)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    run = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return found | {name: value.shape for name, value in zip(asked, run.run(asked, feed))}


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
    """Milliseconds of processor time of so many runs, so that a busy machine does not count; one before them is not counted."""
    run()
    taken = []
    for _ in range(repeats):
        begun = time.process_time()
        run()
        taken.append((time.process_time() - begun) * 1e3)
    return taken


def median(run, repeats: int) -> float:
    return statistics.median(times(run, repeats))
