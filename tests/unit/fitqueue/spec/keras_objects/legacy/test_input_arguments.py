"""The shape of the input as an argument of the first layer, and the arguments of Input."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from tests.unit.fitqueue.spec.jobs import layer, notices_of, sequential_job

Changed = Callable[[str, Any], dict[str, Any]]
Parse = Callable[[Any], ParsedJob]
FindFault = Callable[[Any], Fault]

SEQUENCES = {"dataset": "mine", "x": "sequences", "y": "y"}
RESHAPED = {"data": {"dataset": "mine", "x": "x", "y": "y", "prepare": {"x": [{"reshape": [4, 3]}]}}}
FIRST = "/model/config/layers/0"


@pytest.mark.parametrize(("argument", "value"), [("input_shape", [12]), ("input_dim", 12), ("input_shape", 12)])
def test_the_input_shape_of_the_first_layer_is_read_as_an_input_layer(argument: str, value: Any, parse: Parse) -> None:
    parsed = parse(sequential_job(layer("Dense", units=3, **{argument: value})))
    assert parsed.spec.model.config["layers"] == [layer("InputLayer", shape=[12]), layer("Dense", units=3)]
    assert notices_of(parsed) == [(f"{FIRST}/config/{argument}", "translated")]


def test_a_batch_input_shape_is_read_as_an_input_layer(parse: Parse) -> None:
    parsed = parse(sequential_job(layer("Dense", units=3, batch_input_shape=[None, 12])))
    assert parsed.spec.model.config["layers"][0] == layer("InputLayer", batch_shape=[None, 12])


def test_an_embedding_keeps_its_input_dim(parse: Parse) -> None:
    parsed = parse(sequential_job(layer("Embedding", input_dim=100, output_dim=4, input_length=12)))
    assert parsed.spec.model.config["layers"] == [
        layer("InputLayer", shape=[12]),
        layer("Embedding", input_dim=100, output_dim=4),
    ]


def test_the_input_shape_of_a_later_layer_is_ignored(parse: Parse) -> None:
    parsed = parse(sequential_job(layer("Dense", units=3, input_dim=12), layer("Dense", units=1, input_shape=[99])))
    assert parsed.spec.model.config["layers"][2] == layer("Dense", units=1)
    assert notices_of(parsed)[1] == ("/model/config/layers/1/config/input_shape", "ignored")


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        ({"input_dim": 8, "input_length": 5}, [5, 8]),
        ({"input_dim": 8}, [None, 8]),
        ({"input_shape": [5, 8]}, [5, 8]),
    ],
)
@pytest.mark.parametrize("class_name", ["LSTM", "GRU", "CuDNNLSTM"])
def test_the_input_of_a_recurrent_layer_has_time_steps(
    class_name: str, config: dict[str, Any], shape: Any, parse: Parse
) -> None:
    job = sequential_job(layer(class_name, units=3, **config)) | {"data": SEQUENCES}
    assert parse(job).spec.model.config["layers"][0] == layer("InputLayer", shape=shape)


@pytest.mark.parametrize("argument", ["input_dim", "input_length"])
def test_a_fault_points_to_the_argument_of_the_axis(argument: str, only_fault: FindFault) -> None:
    axes = {"input_dim": 12, "input_length": 1, argument: 0}
    fault = only_fault(sequential_job(layer("LSTM", units=3, **axes)))
    assert (fault.pointer, fault.code) == (f"{FIRST}/config/{argument}", "out_of_range")


def test_the_first_layer_may_have_a_batch_size_and_null_weights(parse: Parse) -> None:
    parsed = parse(sequential_job(layer("Dense", units=3, input_dim=12, batch_size=4, weights=None)))
    assert parsed.spec.model.config["layers"][0] == layer("InputLayer", shape=[12], batch_size=4)
    assert parsed.spec.model.config["layers"][1] == layer("Dense", units=3)


def test_the_input_shape_of_a_layer_inside_another_is_ignored(parse: Parse) -> None:
    inner = layer("Dense", units=3, input_shape=[9], input_dim=9)
    parsed = parse(sequential_job(layer("TimeDistributed", layer=inner), layer("Flatten")) | RESHAPED)
    assert parsed.spec.model.config["layers"][1] == layer("TimeDistributed", layer=layer("Dense", units=3))
    assert {code for pointer, code in notices_of(parsed) if "/layer/" in pointer} == {"ignored"}


@pytest.mark.parametrize("value", ["12", [12, "1"], [0], {}])
def test_a_fault_points_to_the_input_shape_of_the_first_layer(value: Any, only_fault: FindFault) -> None:
    fault = only_fault(sequential_job(layer("Dense", units=3, input_shape=value)))
    assert fault.pointer.startswith(f"{FIRST}/config/input_shape")


# The seven arguments of `tf.keras.Input`, as the document has them.
@pytest.mark.parametrize(
    ("config", "kept"),
    [
        ({"shape": 12}, {"shape": [12]}),
        ({"shape": [12]}, {"shape": [12]}),
        ({"shape": [12], "batch_size": None, "name": None, "dtype": None, "sparse": False, "tensor": None}, None),
        ({"shape": [12], "name": "numbers", "dtype": "float32"}, None),
        ({"shape": [12], "sparse": True}, None),
        ({"shape": [12], "batch_size": 10}, None),
    ],
)
def test_every_documented_argument_of_input(config: dict[str, Any], kept: Any, parse: Parse) -> None:
    parsed = parse(sequential_job(layer("Input", **config), layer("Dense", units=1)))
    kept = kept or {name: value for name, value in config.items() if name != "tensor"}
    assert parsed.spec.model.config["layers"][0] == layer("InputLayer", **kept)


def test_a_tensor_is_refused_with_advice(only_fault: FindFault) -> None:
    fault = only_fault(sequential_job(layer("Input", shape=[12], tensor=[1, 2]), layer("Dense", units=1)))
    assert (fault.pointer, fault.code) == (f"{FIRST}/config/tensor", "not_supported")
    assert "data" in fault.message
