"""Models built from a job equal the same models in a plain script."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as kl

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.errors import InvalidSpec
from fitqueue.spec import parse_job
from fitqueue.spec.keras_objects.model import MAX_LAYERS
from tests.trainer import whole_models
from tests.trainer.model_comparison import (
    assert_round_trip,
    assert_same_model,
    layer,
    parsed_spec,
    samples,
    sequential,
)
from workers.keras_tools.errors import ModelBuildError
from workers.keras_tools.models import build_model


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (whole_models.encoder_decoder, (5, 2)),
        (whole_models.shared_layer, (4,)),
        (whole_models.nested, (4,)),
        (whole_models.nested_in_sequential, (5, 2)),
        (whole_models.masked, (5,)),
        (whole_models.attention, (5, 4)),
        (whole_models.cells, (5, 2)),
        (whole_models.pipeline, (8, 8, 3)),
        (whole_models.crossed, (1,)),
        (whole_models.frozen, (4,)),
    ],
)
def test_a_serialized_model_builds_the_same_model(make: Callable[[], keras.Model], shape: tuple[int, ...]) -> None:
    model = make()
    assert_round_trip(model, shape)
    built = build_model(parsed_spec(model.to_json(), shape).model)
    assert [weight.shape for weight in built.trainable_weights] == [weight.shape for weight in model.trainable_weights]


def test_a_serialized_compiled_model_builds_the_same_model() -> None:
    model = whole_models.frozen()
    model.compile("adam", "mse", metrics=["mae"])
    assert_round_trip(model, (4,))


# --- Names ---------------------------------------------------------------------------------------------------------

CNN = sequential(
    layer("Conv2D", filters=4, kernel_size=[3, 3], activation="relu", input_shape=[8, 8, 1]),
    layer("MaxPooling2D"),
    layer("Conv2D", filters=4, kernel_size=[3, 3], activation="relu"),
    layer("Flatten"),
    layer("Dropout", rate=0.5),
    layer("Dense", units=10, activation="softmax"),
)


def test_every_build_has_the_names_of_a_fresh_process() -> None:
    spec = parsed_spec(CNN, (8, 8, 1))
    builds = [build_model(spec.model) for _ in range(2)]
    keras.backend.clear_session()
    fresh = keras.Sequential(
        [keras.Input((8, 8, 1)), kl.Conv2D(4, 3), kl.MaxPooling2D(), kl.Conv2D(4, 3), kl.Flatten(), kl.Dropout(0.5),
         kl.Dense(10)]
    )  # fmt: skip
    for built in builds:
        assert built.name == fresh.name
        assert [layer.name for layer in built.layers] == [layer.name for layer in fresh.layers]


def test_a_name_in_the_job_is_not_given_to_another_layer() -> None:
    spec = parsed_spec(sequential(layer("Dense", units=2, name="dense"), layer("Dense", units=2)), (4,))
    assert [layer.name for layer in build_model(spec.model).layers] == ["dense", "dense_1"]


# --- Inputs --------------------------------------------------------------------------------------------------------


def test_a_model_without_an_input_equals_the_one_that_fit_builds() -> None:
    spec = parsed_spec(sequential(layer("Embedding", input_dim=10, output_dim=3), layer("LSTM", units=2)), (5,))
    keras.utils.set_random_seed(5)
    built = build_model(spec.model)
    keras.utils.set_random_seed(5)
    expected = keras.Sequential([kl.Embedding(10, 3), kl.LSTM(2)])
    expected(samples((5,)))
    assert_same_model(built, expected, (5,))


@pytest.mark.parametrize("config", [{"shape": 12}, {"shape": [12], "batch_size": 8}, {"batch_shape": [None, 12]}])
def test_an_input_in_every_spelling(config: dict[str, Any]) -> None:
    spec = parsed_spec(
        sequential(layer("Input", name="numbers", dtype="float32", **config), layer("Dense", units=1)), (12,)
    )
    model = build_model(spec.model)
    assert model.inputs[0].shape[1:] == (12,)
    assert model.inputs[0].name == "numbers"


def test_a_sparse_input_trains_on_ordinary_arrays() -> None:
    spec = parsed_spec(sequential(layer("Input", shape=[12], sparse=True), layer("Dense", units=1)), (12,))
    model = build_model(spec.model)
    model.compile("sgd", "mse")
    assert model.inputs[0].sparse
    model.fit(samples((12,)), np.zeros((8, 1)), verbose=0)


@pytest.mark.parametrize("data_shape", [(8, 8, 1), (8, 8), (8,), (8, 1), (8, 8, 1, 1)])
@pytest.mark.parametrize("input_shape", [(8, 8, 1), (8, 8), (8, 1), (8,)])
def test_data_is_accepted_if_keras_trains_on_it(input_shape: tuple[int, ...], data_shape: tuple[int, ...]) -> None:
    model = sequential(layer("Input", shape=list(input_shape)), layer("Flatten"), layer("Dense", units=1))
    plain = keras.Sequential([keras.Input(input_shape), kl.Flatten(), kl.Dense(1)])
    plain.compile("sgd", "mse")
    try:
        plain.train_on_batch(np.zeros((8, *data_shape)), np.zeros((8, 1)))
    except ValueError:
        with pytest.raises(InvalidSpec):
            parsed_spec(model, data_shape)
    else:
        parsed_spec(model, data_shape)


def test_a_model_with_the_most_layers_that_are_allowed() -> None:
    """Keras's own `from_config` takes minutes for it, and a plain `Sequential` exceeds Python's recursion limit."""
    dense = layer("Dense", units=1)
    assert len(build_model(parsed_spec(sequential(*[dense] * MAX_LAYERS), (1,)).model).layers) == MAX_LAYERS


# --- Several inputs and outputs, and architectures -----------------------------------------------------------------


@pytest.mark.parametrize("make", [whole_models.two_outputs, whole_models.named_outputs])
def test_a_serialized_model_with_several_inputs_and_outputs_builds_the_same_model(
    make: Callable[[], keras.Model],
) -> None:
    expected = make()
    arrays = {
        "a": ArrayInfo((8, 4), "float32"),
        "b": ArrayInfo((8, 3), "float32"),
        "y": ArrayInfo((8,), "float32"),
        "z": ArrayInfo((8, 2), "float32"),
    }
    raw = {
        "model": expected.to_json(),
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "data": {"dataset": "mine", "x": {"left": "a", "right": "b"}, "y": {"value": "y", "kind": "z"}},
    }
    built = build_model(parse_job(raw, lambda name: DatasetInfo(name, arrays)).spec.model)
    assert built.output_names == expected.output_names
    built.set_weights(expected.get_weights())
    inputs = {"left": samples((4,)), "right": samples((3,))}
    outputs, expected_outputs = (keras.tree.flatten(model(inputs)) for model in (built, expected))
    for output, expected_output in zip(outputs, expected_outputs, strict=True):
        np.testing.assert_array_equal(output, expected_output)


SMALL = {"weights": None, "input_shape": [32, 32, 3], "classes": 4}


def test_an_architecture_equals_that_of_keras() -> None:
    shape = (32, 32, 3)
    spec = parsed_spec({"class_name": "MobileNetV2", "config": {**SMALL, "alpha": 0.35}}, shape)
    keras.utils.set_random_seed(5)
    built = build_model(spec.model)
    keras.utils.set_random_seed(5)
    expected = keras.applications.MobileNetV2(shape, 0.35, weights=None, classes=4)
    assert_same_model(built, expected, shape)


def test_an_architecture_as_a_frozen_layer() -> None:
    base = layer("MobileNet", weights=None, include_top=False, input_shape=[32, 32, 3], pooling="avg", trainable=False)
    model = build_model(parsed_spec(sequential(base, layer("Dense", units=2)), (32, 32, 3)).model)
    assert model.output_shape == (None, 2)
    assert len(model.trainable_weights) == 2


def test_the_message_about_published_weights_that_cannot_be_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("URL fetch failure on https://example.org: None -- no route")

    monkeypatch.setattr("keras.src.applications.mobilenet.file_utils.get_file", refuse)
    spec = parsed_spec({"class_name": "MobileNet", "config": {"weights": "imagenet"}}, (224, 224, 3))
    with pytest.raises(ModelBuildError) as raised:
        build_model(spec.model)
    assert raised.value.pointer == "/model/config/weights"
    assert "set `weights` to null" in raised.value.message
    assert build_model(spec.model, pretrained=False).count_params() > 4_000_000


@pytest.mark.parametrize("weights", ["/etc/passwd", "gs://bucket/w.h5", "../w.weights.h5", 5, True])
def test_weights_must_not_be_a_path(weights: Any) -> None:
    with pytest.raises(InvalidSpec) as raised:
        parsed_spec({"class_name": "ResNet50", "config": {"weights": weights}}, (224, 224, 3))
    assert raised.value.errors[0].pointer == "/model/config/weights"
