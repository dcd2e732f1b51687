"""Operations on tensors, which Keras 2 wrote as layers, are read as layers or refused with the name of one."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from tests.unit.fitqueue.spec.jobs import notices_of, sequential_job

Parse = Callable[[Any], ParsedJob]
FindFaults = Callable[[Any], list[Fault]]

A, B = ["a", 0, 0], ["b", 0, 0]
WHOLE = {"start": None, "stop": None, "step": None}


def job(class_name: str, config: dict[str, Any], *nodes: Any, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a job whose model calls an operation on the tensors `a` and `b`."""
    first = before or {"class_name": "Dense", "config": {"units": 3}}
    layers = [
        {"class_name": "InputLayer", "config": {"name": "in", "batch_input_shape": [None, 12]}, "inbound_nodes": []},
        {**first, "config": {"name": "a", **first["config"]}, "inbound_nodes": [[["in", 0, 0, {}]]]},
        {"class_name": "Dense", "config": {"name": "b", "units": 3}, "inbound_nodes": [[["in", 0, 0, {}]]]},
        {"class_name": class_name, "name": "tf.op", "config": {"name": "tf.op", **config}, "inbound_nodes": [*nodes]},
    ]
    config = {"layers": layers, "input_layers": [["in", 0, 0]], "output_layers": [["tf.op", 0, 0]]}
    return sequential_job() | {"model": {"class_name": "Functional", "config": config}}


def operation(function: str, first: Any, **keywords: Any) -> dict[str, Any]:
    return job("TFOpLambda", {"function": function, "trainable": True, "dtype": "float32"}, [*first, keywords])


def op_layer(op: str, constants: dict[str, Any], *tensors: Any) -> dict[str, Any]:
    """Return a job with an operation as TensorFlow 2.0 to 2.3 wrote it."""
    node_def = {"name": "op", "op": op, "input": ["x", "y"], "attr": {"T": {"type": "DT_FLOAT"}}}
    return job("TensorFlowOpLayer", {"node_def": node_def, "constants": constants}, [[*each, {}] for each in tensors])


def sliced(*axes: Any) -> dict[str, Any]:
    return job("SlicingOpLambda", {"function": "__operators__.getitem"}, [*A, {"slice_spec": list(axes)}])


def concatenated(axis: Any) -> dict[str, Any]:
    return job("TFOpLambda", {"function": "concat"}, [[*A, {"axis": axis}], [*B, {"axis": axis}]])


@pytest.mark.parametrize(
    ("sent", "class_name", "arguments"),
    [
        (operation("math.truediv", A, y=4.0, name=None), "Rescaling", {"scale": 0.25}),
        (operation("math.truediv", A, y=[4, 2.0]), "Rescaling", {"scale": [0.25, 0.5]}),
        (operation("math.multiply", A, y=3), "Rescaling", {"scale": 3}),
        (operation("math.multiply", ["_CONSTANT_VALUE", -1, 2.0], y=A), "Rescaling", {"scale": 2.0}),
        (operation("compat.v1.math.scalar_mul", ["_CONSTANT_VALUE", -1, 2.0], x=A), "Rescaling", {"scale": 2.0}),
        (operation("math.subtract", A, y=1.0), "Rescaling", {"scale": 1.0, "offset": -1.0}),
        (operation("math.subtract", ["_CONSTANT_VALUE", -1, 1.0], y=A), "Rescaling", {"scale": -1.0, "offset": 1.0}),
        (operation("__operators__.add", A, y=[1.0, 2.0]), "Rescaling", {"scale": 1.0, "offset": [1.0, 2.0]}),
        (operation("nn.bias_add", A, bias=[1.0], data_format="NHWC"), "Rescaling", {"scale": 1.0, "offset": [1.0]}),
        (operation("math.negative", A, name=None), "Rescaling", {"scale": -1.0}),
        (operation("nn.relu", A, name=None), "Activation", {"activation": "relu"}),
        (operation("reshape", A, shape=[-1, 3, 1]), "Reshape", {"target_shape": [3, 1]}),
        (op_layer("Mul", {"1": 128.0}, A), "Rescaling", {"scale": 128.0}),
        (op_layer("Sub", {"0": 1.0}, A), "Rescaling", {"scale": -1.0, "offset": 1.0}),
        (op_layer("Softmax", {}, A), "Activation", {"activation": "softmax"}),
        (op_layer("Reshape", {"1": [-1, 3, 1]}, A), "Reshape", {"target_shape": [3, 1]}),
        (sliced(WHOLE, {**WHOLE, "start": 1}, WHOLE), "Cropping1D", {"cropping": [1, 0]}),
        (sliced(WHOLE, {**WHOLE, "stop": -2}, WHOLE, WHOLE), "Cropping2D", {"cropping": [[0, 2], [0, 0]]}),
    ],
)
def test_an_operation_with_constants(sent: Any, class_name: str, arguments: dict[str, Any], parse: Parse) -> None:
    parsed = parse(sent)
    layer = parsed.spec.model.config["layers"][3]
    ignored = {"name": "tf.op", "trainable": True, "dtype": "float32"}
    assert layer["class_name"] == class_name
    assert {key: value for key, value in layer["config"].items() if key not in ignored} == arguments
    assert layer["config"]["name"] == "tf.op"
    tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": A}}
    assert layer["inbound_nodes"] == [{"args": [tensor], "kwargs": {}}]
    assert ("/model/config/layers/3", "translated") in notices_of(parsed)


@pytest.mark.parametrize(
    ("sent", "class_name"),
    [
        (operation("__operators__.add", A, y=B, name=None), "Add"),
        (operation("math.subtract", A, y=B), "Subtract"),
        (operation("math.multiply", A, y=B), "Multiply"),
        (op_layer("AddV2", {}, A, B), "Add"),
        (op_layer("ConcatV2", {"2": -1}, A, B), "Concatenate"),
        (concatenated(1), "Concatenate"),
    ],
)
def test_an_operation_on_two_tensors(sent: Any, class_name: str, parse: Parse) -> None:
    layer = parse(sent).spec.model.config["layers"][3]
    histories = [tensor["config"]["keras_history"] for tensor in layer["inbound_nodes"][0]["args"][0]]
    assert (layer["class_name"], histories) == (class_name, [A, B])


@pytest.mark.parametrize(
    ("sent", "advice"),
    [
        (operation("math.truediv", A, y=B), "Rescaling"),
        (operation("math.truediv", A, y=0.0), "Rescaling"),
        (operation("math.truediv", A, y=[1.0, 0]), "Rescaling"),
        (operation("math.truediv", A, y=5e-324), "Rescaling"),
        (operation("math.truediv", ["_CONSTANT_VALUE", -1, 2.0], y=A), "Rescaling"),
        (operation("math.multiply", A, y=[[1.0], [2.0]]), "Multiply"),
        (operation("math.multiply", A, y=True), "Multiply"),
        (operation("nn.bias_add", A, bias=[1.0], data_format="NCHW"), "Rescaling"),
        (operation("nn.softmax", A, axis=1), "Activation"),
        (operation("reshape", A, shape=[32, 3, 1]), "Reshape"),
        (operation("reshape", A, shape=[B, 3, 1]), "Reshape"),
        (operation("expand_dims", A, axis=-1), "Reshape"),
        (operation("math.reduce_mean", A, axis=1), "GlobalAveragePooling1D"),
        (operation("linalg.matmul", A, b=B), "Dot"),
        (operation("image.resize", A, size=[8, 8]), "Resizing"),
        (operation("signal.fft", A), "'signal.fft'"),
        (concatenated(0), "Concatenate"),
        (sliced(WHOLE, -1), "Cropping1D"),
        (sliced(WHOLE, {**WHOLE, "stop": 2}, WHOLE), "Cropping1D"),
        (sliced(WHOLE, {**WHOLE, "step": -1}, WHOLE), "Cropping1D"),
        (sliced({"class_name": "__ellipsis__"}, WHOLE, WHOLE), "Cropping1D"),
        (sliced(WHOLE, {**WHOLE, "start": "x"}, WHOLE), "Cropping1D"),
        (op_layer("Mul", {"7": 128.0}, A), "Multiply"),
        (op_layer("Mul", {"x": 128.0}, A), "Multiply"),
        (job("TFOpLambda", {"function": 3}, [*A, {}]), "a layer that does the same"),
        (job("TFOpLambda", {"function": "math.multiply"}), "Multiply"),
        (job("TFOpLambda", {"function": "math.multiply"}, 3), "Multiply"),
        (job("TFOpLambda", {"function": "math.multiply"}, [*A, {"y": 2}], [*B, {"y": 2}]), "Multiply"),
        (job("TensorFlowOpLayer", {"node_def": "text"}, [[*A, {}]]), "a layer that does the same"),
    ],
)
def test_what_no_layer_does_exactly_is_refused_with_advice(sent: Any, advice: str, find_faults: FindFaults) -> None:
    fault = next(fault for fault in find_faults(sent) if fault.pointer == "/model/config/layers/3/class_name")
    assert fault.code == "unknown_class"
    assert "Operations on tensors are not supported" in fault.message
    assert advice in fault.message


def test_nothing_is_translated_where_a_layer_would_pass_a_mask_on(find_faults: FindFaults) -> None:
    embedding = {"class_name": "Embedding", "config": {"input_dim": 9, "output_dim": 3, "mask_zero": True}}
    sent = job("TFOpLambda", {"function": "math.multiply"}, [*A, {"y": 2.0}], before=embedding)
    assert [fault.pointer for fault in find_faults(sent)] == ["/model/config/layers/3/class_name"]
    embedding["config"]["mask_zero"] = False
    sent = job("TFOpLambda", {"function": "math.multiply"}, [*A, {"y": 2.0}], before=embedding)
    assert find_faults(sent) == []
