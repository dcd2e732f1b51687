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


UNKNOWN = {"class_name": "Permute", "config": {"dims": [1]}}
"""A layer in front, for a tensor whose shape is not known before Keras builds the model."""


def sliced(*axes: Any, before: dict[str, Any] = UNKNOWN) -> dict[str, Any]:
    config = {"function": "__operators__.getitem"}
    return job("SlicingOpLambda", config, [*A, {"slice_spec": list(axes)}], before=before)


def bounds(start: int | None = None, stop: int | None = None) -> dict[str, Any]:
    return {"start": start, "stop": stop, "step": None}


def reshaped(*lengths: int) -> dict[str, Any]:
    return {"class_name": "Reshape", "config": {"target_shape": list(lengths)}}


ELLIPSIS = {"class_name": "__ellipsis__"}
CHANNELS_FIRST = {"data_format": "channels_first"}


@pytest.mark.parametrize(
    ("shape", "axes", "class_name", "arguments"),
    [
        ([6, 4], [WHOLE, bounds(1)], "Cropping1D", {"cropping": [1, 0]}),
        ([6, 4], [WHOLE, bounds(1, 3)], "Cropping1D", {"cropping": [1, 3]}),
        ([6, 4], [WHOLE, bounds(1, 3), WHOLE], "Cropping1D", {"cropping": [1, 3]}),
        ([6, 4], [WHOLE, bounds(-2)], "Cropping1D", {"cropping": [4, 0]}),
        ([6, 4], [WHOLE, bounds(-3, 100)], "Cropping1D", {"cropping": [3, 0]}),
        ([-1, 4], [WHOLE, bounds(2, -1)], "Cropping1D", {"cropping": [2, 1]}),
        ([6, 4], [ELLIPSIS, bounds(1), WHOLE], "Cropping1D", {"cropping": [1, 0]}),
        ([8, 6, 4], [WHOLE, bounds(1, 3)], "Cropping2D", {"cropping": [[1, 5], [0, 0]]}),
        ([8, 6, 4], [WHOLE, bounds(1, 3), bounds(0, 2)], "Cropping2D", {"cropping": [[1, 5], [0, 4]]}),
        ([8, 6, 4], [ELLIPSIS, bounds(1, 3)], "Cropping2D", {"cropping": [[0, 0], [1, 1]], **CHANNELS_FIRST}),
        ([8, 6, 4, 2], [WHOLE, bounds(1)], "Cropping3D", {"cropping": [[1, 0], [0, 0], [0, 0]]}),
        ([2, 6, 4, 2], [ELLIPSIS, bounds(1)], "Cropping3D", {"cropping": [[0, 0], [0, 0], [1, 0]], **CHANNELS_FIRST}),
    ],
)
def test_a_slice_is_a_cropping_layer_where_the_lengths_are_known(
    shape: list[int], axes: list[Any], class_name: str, arguments: dict[str, Any], parse: Parse
) -> None:
    layer = parse(sliced(*axes, before=reshaped(*shape))).spec.model.config["layers"][3]
    layer["config"].pop("name")
    assert (layer["class_name"], layer["config"]) == (class_name, arguments)


@pytest.mark.parametrize(
    ("shape", "axes", "advice"),
    [
        ([6, 4], [WHOLE, 0], "An index drops its axis"),
        ([6, 4], [WHOLE, -1, WHOLE], "An index drops its axis"),
        ([6, 4], [WHOLE, {**WHOLE, "step": 2}], "use MaxPooling1D"),
        ([6, 4], [WHOLE, {**WHOLE, "step": -1}], "No layer reverses an axis"),
        ([6, 4], [WHOLE, WHOLE, bounds(0, 2)], "Permute or Reshape around it to cut the last axis"),
        ([4], [WHOLE, bounds(0, 2)], "Permute or Reshape around it to cut the last axis"),
        ([6, 4], [WHOLE, bounds(3, 3)], "A slice is read as"),
        ([6, 4], [bounds(1)], "A slice is read as"),
        ([6, 4], [WHOLE, bounds(1), WHOLE, WHOLE], "A slice is read as"),
        ([6, 4], [ELLIPSIS, bounds(1), ELLIPSIS], "A slice is read as"),
        ([6, 4], [WHOLE, None], "A slice is read as"),
        ([-1, 4], [WHOLE, bounds(1, 3)], "only if the shape of its input is known"),
        (None, [WHOLE, bounds(1)], "only if the shape of its input is known"),
        (None, [WHOLE, bounds(1, 3), WHOLE], "only if the shape of its input is known"),
    ],
)
def test_a_slice_that_no_cropping_layer_does_is_refused_with_the_reason(
    shape: list[int] | None, axes: list[Any], advice: str, find_faults: FindFaults
) -> None:
    sent = sliced(*axes, before=UNKNOWN if shape is None else reshaped(*shape))
    [message] = [fault.message for fault in find_faults(sent) if fault.pointer == "/model/config/layers/3/class_name"]
    assert advice in message


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
