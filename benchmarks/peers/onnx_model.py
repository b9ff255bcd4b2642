"""Write a network as an ONNX file: `python onnx_model.py FOLDER ACTIVATION ...`.

FOLDER holds the parameters as `workloads.save` writes them; there is an activation a layer.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def main(folder: Path, activations: list[str]) -> None:
    """Write model.onnx."""
    nodes, tensors = [], []
    name = "x"
    for i, activation in enumerate(activations):
        W, b = np.load(folder / f"p{2 * i}.npy"), np.load(folder / f"p{2 * i + 1}.npy")
        tensors += [numpy_helper.from_array(W, f"W{i}"), numpy_helper.from_array(b, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [name, f"W{i}", f"b{i}"], [f"z{i}"], transB=1))
        nodes.append(helper.make_node(activation.capitalize(), [f"z{i}"], [f"a{i}"]))
        name = f"a{i}"
    n_in = np.load(folder / "X.npy", mmap_mode="r").shape[1]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", n_in])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", len(b)])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for node in nodes:
        if node.op_type == "Softmax":
            node.attribute.append(helper.make_attribute("axis", -1))
    onnx.save(model, folder / "model.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
