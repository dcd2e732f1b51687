"""Operations on tensors, which Keras 3 writes as `keras.src.ops`, are read as layers or refused with advice."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from tests.unit.fitqueue.spec.jobs import notices_of, sequential_job

Parse = Callable[[Any], ParsedJob]
FindFaults = Callable[[Any], list[Fault]]

WHOLE = {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": None}}


def tensor(layer: str, *shape: int | None, dtype: str = "float32") -> dict[str, Any]:
    config = {"shape": list(shape), "dtype": dtype, "keras_history": [layer, 0, 0]}
    return {"class_name": "__keras_tensor__", "config": config}


A, B = tensor("a", None, 12, 4), tensor("b", None, 12, 4)


def job(class_name: str, *arguments: Any, module: str = "numpy", mask_zero: bool = False, **config: Any) -> Any:
    """Return a job whose model calls an operation; `a` and `b` are layers before it."""
    layers = [
        {"class_name": "InputLayer", "config": {"name": "in", "batch_shape": [None, 12]}, "inbound_nodes": []},
        *(
            {
                "class_name": "Embedding",
                "config": {"name": name, "input_dim": 9, "output_dim": 4, "mask_zero": mask_zero},
                "inbound_nodes": [{"args": [tensor("in", None, 12)], "kwargs": {}}],
            }
            for name in ("a", "b")
        ),
        {
            "module": f"keras.src.ops.{module}",
            "class_name": class_name,
            "config": {"name": "op", **config},
            "registered_name": class_name,
            "name": "op",
            "inbound_nodes": [{"args": list(arguments), "kwargs": {}}],
        },
    ]
    model = {"layers": layers, "input_layers": ["in", 0, 0], "output_layers": ["op", 0, 0]}
    return sequential_job() | {"model": {"class_name": "Functional", "config": model}}


def sliced(start: int | None = None, stop: int | None = None, step: int | None = None) -> dict[str, Any]:
    return {"class_name": "__slice__", "config": {"start": start, "stop": stop, "step": step}}


@pytest.mark.parametrize(
    ("sent", "class_name", "arguments"),
    [
        (job("Multiply", A, 2), "Rescaling", {"scale": 2}),
        (job("Multiply", 2.5, A), "Rescaling", {"scale": 2.5}),
        (job("Multiply", A, [1.0, 2.0, 3.0, 4.0]), "Rescaling", {"scale": [1.0, 2.0, 3.0, 4.0]}),
        (job("Add", A, 1), "Rescaling", {"scale": 1.0, "offset": 1}),
        (job("Subtract", 1, A), "Rescaling", {"scale": -1.0, "offset": 1}),
        (job("TrueDivide", A, 4), "Rescaling", {"scale": 0.25}),
        (job("Divide", A, 4), "Rescaling", {"scale": 0.25}),
        (job("Negative", A), "Rescaling", {"scale": -1.0}),
        (job("Relu", A, module="nn"), "Activation", {"activation": "relu"}),
        (job("Softmax", A, module="nn", axis=-1), "Activation", {"activation": "softmax"}),
        (job("Reshape", A, newshape=[-1, 48]), "Reshape", {"target_shape": [48]}),
        (job("Reshape", A, newshape={"class_name": "__tuple__", "items": [-1, 8, 6]}), "Reshape",
         {"target_shape": [8, 6]}),
        (job("GetItem", A, [WHOLE, sliced(1, 3)]), "Cropping1D", {"cropping": [1, 9]}),
        (job("GetItem", A, {"class_name": "__tuple__", "items": [WHOLE, sliced(1)]}), "Cropping1D",
         {"cropping": [1, 0]}),
    ],
)  # fmt: skip
def test_an_operation_with_constants(sent: Any, class_name: str, arguments: dict[str, Any], parse: Parse) -> None:
    parsed = parse(sent)
    layer = parsed.spec.model.config["layers"][3]
    assert (layer["class_name"], layer["config"]) == (class_name, {"name": "op", **arguments})
    history = {"class_name": "__keras_tensor__", "config": {"keras_history": ["a", 0, 0]}}
    assert layer["inbound_nodes"] == [{"args": [history], "kwargs": {}}]
    assert ("/model/config/layers/3", "translated") in notices_of(parsed)


@pytest.mark.parametrize("class_name", ["Add", "Subtract", "Multiply"])
def test_an_operation_on_two_tensors(class_name: str, parse: Parse) -> None:
    layer = parse(job(class_name, A, B)).spec.model.config["layers"][3]
    histories = [argument["config"]["keras_history"] for argument in layer["inbound_nodes"][0]["args"][0]]
    assert (layer["class_name"], histories) == (class_name, [["a", 0, 0], ["b", 0, 0]])


@pytest.mark.parametrize(
    ("sent", "advice"),
    [
        (job("Divide", A, B), "Rescaling"),
        (job("Multiply", A, [[1.0], [2.0]]), "Rescaling for a constant, or Multiply"),
        (job("Multiply", tensor("a", None, 12, 4, dtype="int32"), 2), "Rescaling for a constant, or Multiply"),
        (job("Multiply", A, 2, mask_zero=True), "Rescaling for a constant, or Multiply"),
        (job("Softmax", A, module="nn", axis=1), "Activation"),
        (job("Reshape", A, newshape=[12, 4]), "Reshape"),
        (job("Transpose", A, axes=[0, 2, 1]), "Permute"),
        (job("Mean", A, axis=1, keepdims=False), "GlobalAveragePooling1D"),
        (job("Matmul", A, B), "Dot"),
        (job("GetItem", A, [WHOLE, 0]), "An index drops its axis"),
        (job("GetItem", A, [WHOLE, sliced(step=2)]), "MaxPooling1D"),
        (job("GetItem", A), "A slice is read as"),
        (job("Cumsum", A, axis=1), "the same as keras.ops' Cumsum"),
        (job("system", A), "the same as keras.ops' system"),
    ],
)
def test_what_no_layer_does_exactly_is_refused_with_advice(sent: Any, advice: str, find_faults: FindFaults) -> None:
    [fault] = [fault for fault in find_faults(sent) if fault.pointer == "/model/config/layers/3"]
    assert fault.code == "not_supported"
    assert "Operations on tensors are not supported" in fault.message
    assert advice in fault.message
