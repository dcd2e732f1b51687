"""Files that look like a model of Keras and cannot be read as one get one fault, which says what to do."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from tests.unit.fitqueue.spec.jobs import layer, sequential_job

FindFault = Callable[[Any], Fault]

# As Keras 1.2 wrote it.
DENSE = layer(
    "Dense", output_dim=1, input_dim=12, batch_input_shape=[None, 12], init="uniform", activation="linear", bias=True,
    W_regularizer=None, b_regularizer=None, W_constraint=None, b_constraint=None, activity_regularizer=None,
)  # fmt: skip
CONVOLUTION = layer("Convolution2D", nb_filter=4, nb_row=3, nb_col=3, border_mode="same", dim_ordering="tf")
SEQUENTIAL = {"class_name": "Sequential", "config": {"layers": [layer("Dense", units=1)]}, "keras_version": "2.3.0"}


@pytest.mark.parametrize(
    "model",
    [
        {"class_name": "Sequential", "keras_version": "1.2.1", "config": [DENSE]},
        {"class_name": "Sequential", "config": [DENSE, CONVOLUTION]},
        {"class_name": "Model", "keras_version": "1.0.0", "config": {"layers": [DENSE], "input_layers": []}},
        {"class_name": "Sequential", "config": [layer("Merge", mode="concat"), layer("MaxoutDense", units=3)]},
        {"class_name": "Sequential", "config": {"layers": [layer("Highway")]}},
        {"name": "Sequential", "class_mode": "categorical", "layers": [{"name": "Dense", "output_dim": 1}]},
    ],
)
def test_a_model_of_keras_1(model: dict[str, Any], only_fault: FindFault) -> None:
    fault = only_fault(sequential_job() | {"model": model})
    assert (fault.pointer, fault.code) == ("/model", "not_supported")
    assert "Keras 1" in fault.message
    assert "Load it with Keras 2" in fault.message


@pytest.mark.parametrize(
    ("topology", "advice"),
    [
        ({"keras_version": "2.3.0", "model_config": SEQUENTIAL}, "under `modelTopology`, `model_config`"),
        (SEQUENTIAL, "under `modelTopology`."),
        ({"node": [], "library": {}, "versions": {}}, "no Keras layers"),
        (None, "no Keras layers"),
    ],
)
def test_the_model_json_of_tensorflow_js(topology: Any, advice: str, only_fault: FindFault) -> None:
    model = {"format": "layers-model", "modelTopology": topology, "weightsManifest": []}
    fault = only_fault(sequential_job() | {"model": model})
    assert (fault.pointer, fault.code) == ("/model", "not_supported")
    assert "TensorFlow.js" in fault.message
    assert advice in fault.message


@pytest.mark.parametrize(
    ("model", "advice"),
    [
        ({"model_config": SEQUENTIAL, "training_config": {}}, "Send what it has under `model_config`"),
        ({"model_config": "{}", "keras_version": "2.3.0", "backend": "tensorflow"}, "under `model_config`"),
        (SEQUENTIAL["config"], '{"class_name": "Sequential", "config": …}'),
        ({"name": "m", "layers": [], "input_layers": [], "output_layers": []}, '{"class_name": "Functional", "config"'),
    ],
)
def test_something_around_a_model_or_its_config_alone(
    model: dict[str, Any], advice: str, only_fault: FindFault
) -> None:
    fault = only_fault(sequential_job() | {"model": model})
    assert (fault.pointer, fault.code) == ("/model", "not_supported")
    assert advice in fault.message


@pytest.mark.parametrize("package", ["Custom", "Keras", "a>b"])
def test_keras_own_class_is_suggested_for_a_registered_one(package: str, only_fault: FindFault) -> None:
    fault = only_fault(sequential_job(layer(f"{package}>Dense", units=1)))
    assert (fault.code, "Did you mean 'Dense'?" in fault.message) == ("unknown_class", True)
    registered = {**layer("Dense", units=1), "module": "keras.layers", "registered_name": f"{package}>Dense"}
    fault = only_fault(sequential_job(registered))
    assert fault.code == "custom_object"
    assert "If it is Keras's own Dense, leave registered_name out." in fault.message


def test_no_class_is_suggested_for_a_registered_one_that_keras_does_not_have(only_fault: FindFault) -> None:
    registered = {**layer("Dense", units=1), "registered_name": "Custom>Mine"}
    assert "leave registered_name out" not in only_fault(sequential_job(registered)).message


def test_a_file_of_tensorflow_js_in_place_of_a_job(only_fault: Callable[[Any], Fault]) -> None:
    fault = only_fault({"format": "layers-model", "modelTopology": {"model_config": {}}, "weightsManifest": []})
    assert (fault.pointer, fault.code) == ("", "not_supported")
    assert "TensorFlow.js" in fault.message
    assert "`modelTopology`, `model_config`" in fault.message
