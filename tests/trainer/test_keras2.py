"""Models and objects in the format of Keras 2, recorded in `keras2/` with tf_keras 2.21.

The recording of a model has its weights, inputs and outputs; that of a loss, regularizer or constraint has its result.
"""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.errors import InvalidSpec
from fitqueue.spec import ParsedJob, parse_job
from fitqueue.spec.findings import Findings, Pointer
from fitqueue.spec.keras_objects.objects import check_object
from workers.keras_tools.models import build_model
from workers.keras_tools.objects import make_object

RECORDED = Path(__file__).with_name("keras2")
MODELS = [
    "cnn", "text", "encoder_decoder", "branches", "several_ends", "shared", "nested", "attention", "separable",
    "rnn", "thresholded", "augmented", "operation", "operations", "op_layers", "causal", "old_functional",
    "old_sequence", "gru_before_reset_after", "wrapped_values",
]  # fmt: skip


def job(name: str, samples: dict[str, Any]) -> dict[str, Any]:
    x: Any = "x0" if len(samples) == 1 else {"left": "x0", "right": "x1"}
    y: Any = "y" if len(samples) == 1 else {"value": "y", "kind": "y"}
    return {
        "model": (RECORDED / f"{name}.json").read_text(),
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "data": {"dataset": "mine", "x": x, "y": y},
        "seed": 1,
    }


def parse(name: str, samples: dict[str, Any]) -> ParsedJob:
    arrays = {key: ArrayInfo(array.shape, str(array.dtype)) for key, array in samples.items()}
    return parse_job(job(name, samples), lambda _: DatasetInfo("mine", {**arrays, "y": ArrayInfo((4,), "float32")}))


@pytest.mark.parametrize("name", MODELS)
def test_the_model_has_the_same_outputs(name: str) -> None:
    recorded = np.load(RECORDED / f"{name}.npz")
    samples = {key: recorded[key] for key in recorded.files if key.startswith("x")}
    model = build_model(parse(name, samples).spec.model)
    model.set_weights([recorded[f"w{i}"] for i in range(len(model.weights))])
    inputs = list(samples.values())
    outputs = keras.tree.flatten(model(inputs if len(inputs) > 1 else inputs[0], training=False))
    for i, output in enumerate(outputs):
        np.testing.assert_allclose(output, recorded[f"y{i}"], rtol=1e-4, atol=1e-5)


def test_an_activation_with_another_meaning_today_gets_a_notice() -> None:
    recorded = np.load(RECORDED / "convlstm.npz")
    notices = parse("convlstm", {"x0": recorded["x0"]}).notices
    assert [notice.pointer for notice in notices if notice.code == "suspicious"] == ["/model"]


@pytest.mark.parametrize(
    ("name", "pointer", "text"),
    [
        ("lambda_", "/model/config/layers/2/class_name", "Python code"),
    ],
)
def test_code_and_operations_are_refused(name: str, pointer: str, text: str) -> None:
    with pytest.raises(InvalidSpec) as raised:
        parse(name, {"x0": np.zeros((4, 4), "float32")})
    assert pointer in {fault.pointer for fault in raised.value.errors}
    assert text in str(raised.value)


def test_each_translation_gets_a_notice() -> None:
    recorded = np.load(RECORDED / "cnn.npz")
    notices = parse("cnn", {"x0": recorded["x0"]}).notices
    translated = {notice.pointer.rsplit("/", 1)[1] for notice in notices}
    assert {"batch_input_shape", "axis", "alpha", "groups"} <= translated
    assert json.loads((RECORDED / "cnn.json").read_text())["keras_version"].startswith("2.")


LAYERS: dict[str, dict[str, Any]] = json.loads((RECORDED / "layers.json").read_text())
"""The config of each layer of tf_keras that Keras 3 still has."""


@pytest.mark.parametrize("class_name", LAYERS)
def test_what_each_layer_wrote_is_taken(class_name: str) -> None:
    findings = Findings()
    check_object({"class_name": class_name, "config": LAYERS[class_name]}, "layers", Pointer(findings))
    assert findings.faults == []


# --- Losses, regularizers and constraints --------------------------------------------------------------------------

OBJECTS: dict[str, dict[str, Any]] = json.loads((RECORDED / "objects.json").read_text())
NAMES = OBJECTS.pop("names")
LABELS = np.array([0, 1, 2, 1])
TARGETS = np.eye(3, dtype="float32")[LABELS]
PREDICTIONS = np.random.default_rng(0).dirichlet(np.ones(3), 4).astype("float32")
WEIGHTS = np.arange(6, dtype="float32").reshape(2, 3)


def build(value: Any, kind: str) -> Any:
    """Return the object that a job with this value gets from Keras 3."""
    findings = Findings()
    canonical = check_object(value, kind, Pointer(findings))
    assert not findings.faults
    built = make_object(kind, canonical, "")
    return getattr(keras, kind).get(built) if isinstance(built, str) and kind != "activations" else built


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, objects in OBJECTS.items() for name in objects])
def test_the_config_of_an_object_builds_one_with_the_same_result(kind: str, name: str) -> None:
    recorded = OBJECTS[kind][name]
    built = build({"class_name": name, "config": recorded["config"]}, kind.removeprefix("legacy_"))
    match kind:
        case "losses":
            targets = LABELS if name.startswith("Sparse") else TARGETS
            np.testing.assert_allclose(built(targets, PREDICTIONS), recorded["value"], rtol=1e-5)
        case "regularizers":
            np.testing.assert_allclose(built(keras.ops.convert_to_tensor(WEIGHTS)), recorded["value"], rtol=1e-5)
        case "constraints":
            weights = keras.ops.convert_to_tensor(2 * (WEIGHTS - 2))
            np.testing.assert_allclose(built(weights), recorded["value"], rtol=1e-5)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMES.items() for name in names])
def test_the_names_are_still_valid(kind: str, name: str) -> None:
    assert build(name, kind) is not None


@pytest.mark.parametrize("name", ["l1_l2", "l1", "l2", "L1", "L2"])
def test_a_regularizer_by_name_has_the_same_factors(name: str) -> None:
    recorded = OBJECTS["regularizers"][{"l1_l2": "L1L2"}.get(name, name.upper())]
    factors = {"l1": 0.01, "l2": 0.01} if name == "l1_l2" else recorded["config"]
    assert build(name, "regularizers").get_config() == pytest.approx(factors)
