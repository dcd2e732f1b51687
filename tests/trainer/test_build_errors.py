"""Models that Keras cannot build, and models that would be unrolled over too many steps."""

import json
import re
from typing import Any

import keras
import pytest
from keras import layers as kl

from fitqueue.spec import KerasObject
from fitqueue.spec.findings import Findings, Pointer
from fitqueue.spec.keras_objects.objects import check_object
from tests.trainer.model_comparison import Layer, assert_round_trip, layer, parsed_spec, sequential
from workers.keras_tools.errors import ModelBuildError
from workers.keras_tools.models import build_model

FIRST = "/model/config/layers/1"
SECOND = "/model/config/layers/2"
UNROLLED = layer("LSTM", units=2, unroll=True)


@pytest.mark.parametrize(
    ("layers", "shape", "pointer", "text"),
    [
        ([layer("Conv2D", filters=2, kernel_size=9)], (8, 8, 1), FIRST, "Conv2D 'conv2d' on input of shape [null, 8"),
        ([layer("Dense", units=3), layer("LSTM", units=2)], (4,), SECOND, "LSTM 'lstm' on input of shape [null, 3]"),
        ([layer("Reshape", target_shape=[7])], (4,), FIRST, "Reshape"),
        ([layer("Conv2D", filters=3, kernel_size=3, groups=2)], (8, 8, 1), FIRST, "groups"),
        ([layer("TimeDistributed", layer=layer("Conv1D", filters=2, kernel_size=9))], (3, 8, 1), FIRST, "[null, 3, 8"),
        ([layer("BatchNormalization", axis=9)], (4,), FIRST, "'batch_normalization' on input of shape [null, 4]"),
        ([layer("LSTM", units=2, unroll=True)], (600, 2), f"{FIRST}/config/unroll", "600 steps"),
        (
            [layer("LSTM", units=2, unroll=True, input_dim=2)],
            (5, 2),
            f"{FIRST}/config/unroll",
            "known number of time steps",
        ),
        (
            [layer("Bidirectional", layer=layer("LSTM", units=2, unroll=True))],
            (300, 2),
            f"{FIRST}/config/layer/config/unroll",
            "600 steps",
        ),
        (
            [layer("LSTM", units=2, unroll=True, return_sequences=True), layer("GRU", units=2, unroll=True)],
            (300, 2),
            f"{SECOND}/config/unroll",
            "600 steps",
        ),
        (
            [layer("RNN", cell=[layer("LSTMCell", units=2), layer("GRUCell", units=2)], unroll=True)],
            (300, 2),
            f"{FIRST}/config/unroll",
            "600 steps",
        ),
        (
            [layer("TimeDistributed", layer=sequential(layer("RepeatVector", n=600), UNROLLED))],
            (3, 2),
            f"{FIRST}/config/layer/config/layers/1/config/unroll",
            "600 steps",
        ),
        ([layer("ConvLSTM1D", filters=1, kernel_size=1, unroll=True)], (600, 2, 2), f"{FIRST}/config/unroll", "600"),
        ([layer("Add")], (4,), FIRST, "Add"),
    ],
)  # fmt: skip
def test_the_message_names_the_layer_that_keras_refuses(
    layers: list[Layer], shape: tuple[int, ...], pointer: str, text: str
) -> None:
    with pytest.raises(ModelBuildError) as raised:
        build_model(parsed_spec(sequential(*layers), shape).model)
    assert raised.value.pointer == pointer
    assert text in raised.value.message
    assert not re.search(r"\x1b|Arguments received by|Exception encountered", raised.value.message)
    assert len(raised.value.message) > 20


def test_the_message_names_a_layer_of_a_functional_model() -> None:
    inputs = keras.Input((4,))
    model = json.loads(keras.Model(inputs, kl.Add()([kl.Dense(3)(inputs), kl.Dense(3)(inputs)])).to_json())
    model["config"]["layers"][1]["config"]["units"] = 5
    with pytest.raises(ModelBuildError, match=r"layer 3, Add .* \[\[null, 5\], \[null, 3\]\]") as raised:
        build_model(parsed_spec(model, (4,)).model)
    assert raised.value.pointer == "/model/config/layers/3"


def test_a_tensor_that_a_layer_does_not_output() -> None:
    inputs = keras.Input((4,))
    model = json.loads(keras.Model(inputs, kl.Dense(3)(inputs)).to_json())
    model["config"]["output_layers"] = [model["config"]["layers"][1]["name"], 0, 1]
    with pytest.raises(ModelBuildError, match="no tensor 1"):
        build_model(parsed_spec(model, (4,)).model)


# --- Unrolled layers -----------------------------------------------------------------------------------------------


def test_each_call_of_a_shared_layer_is_unrolled() -> None:
    short, long = keras.Input((2, 2)), keras.Input((300, 2))
    shared = kl.LSTM(2, unroll=True, name="shared")
    model = keras.Model([short, long], kl.Add()([shared(short), shared(long), shared(kl.ReLU()(long))]))
    serialized = json.loads(model.to_json())
    with pytest.raises(ModelBuildError, match="602 steps") as raised:
        build_model(KerasObject.model_validate(canonical_model(serialized)))
    index = [layer["name"] for layer in serialized["config"]["layers"]].index("shared")
    assert raised.value.pointer == f"/model/config/layers/{index}/config/unroll"


def canonical_model(serialized: dict[str, Any]) -> dict[str, Any]:
    findings = Findings()
    canonical: dict[str, Any] = check_object(serialized, "layers", Pointer(findings))
    assert not findings.faults
    return canonical


def test_the_layers_of_a_pipeline_are_unrolled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.keras_tools.unrolled.MAX_UNROLLED_STEPS", 10)
    pipeline = layer("Pipeline", layers=[layer("RepeatVector", n=11), UNROLLED])
    with pytest.raises(ModelBuildError, match="11 steps") as raised:
        build_model(parsed_spec(sequential(pipeline), (2,)).model)
    assert raised.value.pointer == f"{FIRST}/config/layers/1/config/unroll"


def test_a_model_with_few_unrolled_steps_equals_that_of_a_script() -> None:
    inner = kl.Bidirectional(kl.LSTM(2, unroll=True, return_sequences=True))
    model = keras.Sequential([keras.Input((100, 2)), inner, kl.TimeDistributed(kl.Dense(1))])
    assert_round_trip(model, (100, 2))


# --- Names that the catalogue does not have ------------------------------------------------------------------------


@pytest.mark.parametrize("class_name", ["Lambda", "TFSMLayer", "__init__"])
def test_a_class_outside_the_catalogue_is_refused_even_without_the_parser(class_name: str) -> None:
    with pytest.raises(ModelBuildError, match="is not one of the layers"):
        build_model(KerasObject.model_validate(sequential(layer("Input", shape=[4]), layer(class_name))))


def test_a_name_or_argument_outside_the_catalogue_is_refused_even_without_the_parser() -> None:
    for config in ({"units": 1, "activation": "keras.utils.get_file"}, {"units": 1, "evil": 1}):
        with pytest.raises(ModelBuildError):
            build_model(KerasObject.model_validate(sequential(layer("Input", shape=[4]), layer("Dense", **config))))
