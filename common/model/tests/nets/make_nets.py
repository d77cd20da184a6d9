"""Writes the ONNX files that `tests/onnx.rs` reads; they are committed beside this script.

    python make_nets.py        needs onnx and numpy

`good*` stand alone; `bad_*` each reach outside themselves in one way, at one place where ONNX allows a tensor or operator.
"""

from pathlib import Path

import numpy as np
from onnx import AttributeProto, TensorProto, helper, numpy_helper

HERE = Path(__file__).parent


def value(name: str, kind: int = TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, [1, 3, "h", "w"])


def inside() -> TensorProto:
    return numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "weight")


def outside(name: str = "weight") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1, 3, 1, 1], data_location=TensorProto.EXTERNAL)
    for key, text in (("location", "../../etc/passwd"), ("offset", "0"), ("length", "12")):
        tensor.external_data.add(key=key, value=text)
    return tensor


def graph(nodes, constants=(), name="g"):
    return helper.make_graph(nodes, name, [value("x")], [value("y")], list(constants))


def model(g, imports=("",), **more):
    m = helper.make_model(g, opset_imports=[helper.make_opsetid(domain, 17) for domain in imports], **more)
    m.ir_version = 9
    return m


def add(weight="weight", domain=""):
    return helper.make_node("Add", ["x", weight], ["y"], domain=domain)


def conditional(constants) -> object:
    """`If` with the tensors inside its branches."""
    branch = lambda name: helper.make_graph([add()], name, [], [value("y")], list(constants))
    return helper.make_node("If", ["c"], ["y"], then_branch=branch("t"), else_branch=branch("e"))


def constant_node(tensor) -> object:
    return helper.make_node("Constant", [], ["weight"], value=tensor)


def write(name: str, m) -> None:
    (HERE / f"{name}.onnx").write_bytes(m.SerializeToString(deterministic=True))


def main() -> None:
    write("good", model(graph([add()], [inside()]), ("", "com.microsoft")))
    write("good_subgraph", model(graph([conditional([inside()])])))
    write("good_constant", model(graph([constant_node(inside()), add(domain="ai.onnx")])))

    write("bad_initializer", model(graph([add()], [inside(), outside("other")])))
    located = inside()
    located.data_location = TensorProto.EXTERNAL
    write("bad_location_only", model(graph([add()], [located])))
    pathed = outside()
    pathed.ClearField("data_location")
    write("bad_path_only", model(graph([add()], [pathed])))
    write("bad_attribute", model(graph([constant_node(outside()), add()])))
    tensors = helper.make_node("Add", ["x", "x"], ["y"])
    tensors.attribute.append(AttributeProto(name="list", type=AttributeProto.TENSORS, tensors=[inside(), outside()]))
    write("bad_attribute_list", model(graph([tensors])))
    write("bad_subgraph", model(graph([conditional([outside()])])))
    graphs = helper.make_node("Add", ["x", "x"], ["y"])
    inner = helper.make_graph([conditional([outside()])], "i", [], [value("y")])
    graphs.attribute.append(AttributeProto(name="list", type=AttributeProto.GRAPHS, graphs=[inner]))
    write("bad_subgraph_list", model(graph([graphs])))
    sparse = graph([add()])
    sparse.sparse_initializer.add(values=outside(), indices=inside(), dims=[3])
    write("bad_sparse_values", model(sparse))
    sparse = graph([add()])
    sparse.sparse_initializer.add(values=inside(), indices=outside(), dims=[3])
    write("bad_sparse_indices", model(sparse))
    write("bad_domain", model(graph([add(domain="com.example.custom")], [inside()]), ("", "com.example.custom")))
    write("bad_domain_not_imported", model(graph([add(domain="com.example.custom")], [inside()])))
    write("bad_import", model(graph([add()], [inside()]), ("", "com.example.custom")))
    write("bad_microsoft_operator", model(graph([add(domain="com.microsoft")], [inside()]), ("", "com.microsoft")))
    function = helper.make_function("", "F", ["x"], ["y"], [add()], [helper.make_opsetid("", 17)])
    write("bad_function", model(graph([add()], [inside()]), functions=[function]))
    trained = model(graph([add()], [inside()]))
    trained.training_info.add().initialization.CopyFrom(graph([add()], [outside()]))
    write("bad_training", trained)


if __name__ == "__main__":
    main()
