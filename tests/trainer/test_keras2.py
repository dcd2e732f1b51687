"""Models and objects as Keras 2 wrote them: tf_keras 2.21 made `keras2/`.

Models come with weights, inputs and what came out for them; losses, regularizers and constraints with what they gave.
"""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from workers.keras_tools.build import build_model

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.errors import InvalidSpec
from fitqueue.spec import ParsedJob, parse_job
from fitqueue.spec.keras_objects.objects import check_object
from fitqueue.spec.report import Pointer, Report
from workers.keras_tools.objects import make_object

RECORDED = Path(__file__).with_name("keras2")
SAME = [
    "cnn", "text", "encoder_decoder", "branches", "several_ends", "shared", "nested", "attention", "separable",
    "rnn", "thresholded", "augmented",
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


def parsed(name: str, samples: dict[str, Any]) -> ParsedJob:
    arrays = {key: ArrayInfo(array.shape, str(array.dtype)) for key, array in samples.items()}
    return parse_job(job(name, samples), lambda _: DatasetInfo("mine", {**arrays, "y": ArrayInfo((4,), "float32")}))


@pytest.mark.parametrize("name", SAME)
def test_it_is_the_same_model(name: str) -> None:
    recorded = np.load(RECORDED / f"{name}.npz")
    samples = {key: recorded[key] for key in recorded.files if key.startswith("x")}
    model = build_model(parsed(name, samples).spec.model)
    model.set_weights([recorded[f"w{i}"] for i in range(len(model.weights))])
    given = list(samples.values())
    results = keras.tree.flatten(model(given if len(given) > 1 else given[0], training=False))
    for i, result in enumerate(results):
        np.testing.assert_allclose(result, recorded[f"y{i}"], rtol=1e-4, atol=1e-5)


def test_an_activation_that_means_something_else_today_is_named() -> None:
    recorded = np.load(RECORDED / "convlstm.npz")
    notices = parsed("convlstm", {"x0": recorded["x0"]}).notices
    assert [notice.pointer for notice in notices if notice.code == "suspicious"] == ["/model"]


@pytest.mark.parametrize(
    ("name", "pointer", "says"),
    [
        ("lambda_", "/model/config/layers/2/class_name", "Python code"),
        ("operation", "/model/config/layers/2/class_name", "operation on tensors"),
    ],
)
def test_what_cannot_be_data_says_so(name: str, pointer: str, says: str) -> None:
    with pytest.raises(InvalidSpec) as raised:
        parsed(name, {"x0": np.zeros((4, 4), "float32")})
    assert pointer in {fault.pointer for fault in raised.value.errors}
    assert says in str(raised.value)


def test_each_translation_is_named() -> None:
    recorded = np.load(RECORDED / "cnn.npz")
    notices = parsed("cnn", {"x0": recorded["x0"]}).notices
    written = {notice.pointer.rsplit("/", 1)[1] for notice in notices}
    assert {"batch_input_shape", "axis", "alpha", "groups"} <= written
    assert json.loads((RECORDED / "cnn.json").read_text())["keras_version"].startswith("2.")


# --- Everything that has a `get_config()` of its own -----------------------------------------------------------------

OBJECTS: dict[str, dict[str, Any]] = json.loads((RECORDED / "objects.json").read_text())
NAMES = OBJECTS.pop("names")
LABELS = np.array([0, 1, 2, 1])
TARGETS = np.eye(3, dtype="float32")[LABELS]
PREDICTIONS = np.random.default_rng(0).dirichlet(np.ones(3), 4).astype("float32")
WEIGHTS = np.arange(6, dtype="float32").reshape(2, 3)


def taken(value: Any, kind: str) -> Any:
    """What Keras 3 makes of it, as a job's."""
    report = Report()
    canonical = check_object(value, kind, Pointer(report))
    assert not report.faults
    made = make_object(kind, canonical, "")
    return getattr(keras, kind).get(made) if isinstance(made, str) and kind != "activations" else made


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, objects in OBJECTS.items() for name in objects])
def test_what_get_config_gave_is_taken(kind: str, name: str) -> None:
    recorded = OBJECTS[kind][name]
    made = taken({"class_name": name, "config": recorded["config"]}, kind.removeprefix("legacy_"))
    match kind:
        case "losses":
            targets = LABELS if name.startswith("Sparse") else TARGETS
            np.testing.assert_allclose(made(targets, PREDICTIONS), recorded["value"], rtol=1e-5)
        case "regularizers":
            np.testing.assert_allclose(made(keras.ops.convert_to_tensor(WEIGHTS)), recorded["value"], rtol=1e-5)
        case "constraints":
            weights = keras.ops.convert_to_tensor(2 * (WEIGHTS - 2))
            np.testing.assert_allclose(made(weights), recorded["value"], rtol=1e-5)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMES.items() for name in names])
def test_names_are_still_names(kind: str, name: str) -> None:
    assert taken(name, kind) is not None


@pytest.mark.parametrize("written", ["l1_l2", "l1", "l2", "L1", "L2"])
def test_regularizers_by_name_do_as_much_as_they_did(written: str) -> None:
    recorded = OBJECTS["regularizers"][{"l1_l2": "L1L2"}.get(written, written.upper())]
    factors = {"l1": 0.01, "l2": 0.01} if written == "l1_l2" else recorded["config"]
    assert taken(written, "regularizers").get_config() == pytest.approx(factors)
