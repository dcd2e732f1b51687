"""Names of layers with slashes."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from fitqueue.spec.fields.data import PrepareStep
from fitqueue.spec.keras_objects.legacy.logged_names import logged_as
from fitqueue.spec.keras_objects.legacy.slashes import without_slashes
from tests.unit.fitqueue.spec.jobs import layer, notices_of, sequential_job

Parse = Callable[[Any], ParsedJob]


@pytest.mark.parametrize(
    ("name", "current"),
    [
        ("conv1/conv", "conv1_conv"),
        ("expanded_conv_1/depthwise/BatchNorm", "expanded_conv_1_depthwise_BatchNorm"),
        ("plain", "plain"),
        ("../x", "../x"),
        ("a/../b", "a/../b"),
        ("/etc/passwd", "/etc/passwd"),
        ("a//b", "a//b"),
        ("a/", "a/"),
    ],
)
def test_a_name_without_slashes(name: str, current: str) -> None:
    assert without_slashes(name) == current


def test_slashes_in_a_sequential(parse: Parse) -> None:
    wrapped = layer("TimeDistributed", layer=layer("Dense", units=2, name="in/ner"))
    job = sequential_job(layer("Reshape", target_shape=[12, 1], name="re/shape"), wrapped, layer("Flatten"))
    job["model"]["config"]["name"] = "all/layers"
    parsed = parse(job)
    config = parsed.spec.model.config
    assert config["name"] == "all_layers"
    assert config["layers"][1]["config"]["name"] == "re_shape"
    assert config["layers"][2]["config"]["layer"]["config"]["name"] == "in_ner"
    assert notices_of(parsed)[0] == ("/model/config", "translated")


def _keras2_job(**fields: Any) -> dict[str, Any]:
    """Return a job with a functional model as Keras 2 wrote it."""
    layers = [
        {"class_name": "InputLayer", "name": "i/n", "config": {"name": "i/n", "batch_input_shape": [None, 12]},
         "inbound_nodes": []},
        {"class_name": "Dense", "name": "conv1/a", "config": {"name": "conv1/a", "units": 2},
         "inbound_nodes": [[["i/n", 0, 0, {}]]]},
        {"class_name": "Dense", "name": "out/a", "config": {"name": "out/a", "units": 1},
         "inbound_nodes": [[["conv1/a", 0, 0, {}]]]},
        {"class_name": "Dense", "name": "out/b", "config": {"name": "out/b", "units": 1},
         "inbound_nodes": [[["conv1/a", 0, 0, {}]]]},
    ]  # fmt: skip
    config = {
        "name": "m",
        "layers": layers,
        "input_layers": [["i/n", 0, 0]],
        "output_layers": [["out/a", 0, 0], ["out/b", 0, 0]],
    }
    job = sequential_job() | {"model": {"class_name": "Model", "config": config, "keras_version": "2.2.4"}} | fields
    job["model"]["class_name"] = "Functional"
    return job


def test_slashes_in_a_graph_and_in_what_the_job_gives_by_name(parse: Parse) -> None:
    job = _keras2_job(
        compile={
            "optimizer": "sgd",
            "loss": {"out/a": "mse", "out/b": "mse"},
            "metrics": {"out/a": ["mae"]},
            "loss_weights": {"out/a": 1.0, "out/b": 2.0},
        },
        data={
            "dataset": "mine",
            "x": {"i/n": "x"},
            "y": {"out/a": "y", "out_b": "y"},
            "validation": {"x": {"i/n": "x"}, "y": {"out/a": "y", "out/b": "y"}},
            "prepare": {"x": {"i/n": [{"scale": 2.0}]}},
        },
        callbacks=[layer("EarlyStopping", monitor="val_out/a_loss", mode="min")],
    )
    spec = parse(job).spec
    names = [each["config"]["name"] for each in spec.model.config["layers"]]
    assert names == ["i_n", "conv1_a", "out_a", "out_b"]
    assert spec.model.config["output_layers"] == [["out_a", 0, 0], ["out_b", 0, 0]]
    assert spec.data.x == {"i_n": "x"}
    assert spec.data.y == {"out_a": "y", "out_b": "y"}
    assert spec.data.validation is not None
    assert spec.data.validation.y == {"out_a": "y", "out_b": "y"}
    assert isinstance(spec.data.prepare.x, dict)
    assert list(spec.data.prepare.x) == ["i_n"]
    assert spec.compile.loss_weights == {"out_a": 1.0, "out_b": 2.0}
    assert spec.callbacks[0].config["monitor"] == "val_out_a_loss"


def test_one_notice_for_all_names(parse: Parse) -> None:
    notices = [notice.message for notice in parse(_keras2_job(compile={"optimizer": "sgd", "loss": "mse"}, data={
        "dataset": "mine", "x": "x", "y": {"out_a": "y", "out_b": "y"}})).notices]  # fmt: skip
    assert "'i/n' is read as 'i_n', and so are the slashes in 3 other names." in notices


def test_two_layers_must_not_get_the_same_name(only_fault: Callable[[Any], Any]) -> None:
    job = sequential_job(layer("Dense", units=2, name="a/b"), layer("Dense", units=1, name="a_b"))
    assert only_fault(job).code == "duplicate_name"


_WEIGHTED = {"optimizer": "sgd", "loss": {"out/a": "mse", "out/b": "mse"}, "weighted_metrics": {"out/b": ["mae"]}}
_ARRAYS = {"dataset": "mine", "x": "x", "y": {"out/a": "y", "out/b": "y"}}


def test_slashes_in_weights_and_in_names_of_files(parse: Parse) -> None:
    job = _keras2_job(
        compile=_WEIGHTED,
        data=_ARRAYS | {"sample_weight": {"out/b": "y"}, "prepare": {"y": {"out/a": [{"scale": 2.0}]}}},
        fit={"class_weight": {"out/a": {"0": 2.0}}, "validation_split": 0.2},
        callbacks=[layer("ModelCheckpoint", filepath="m-{val_out/a_loss:.3f}-{out/b_mae:.2f}.h5", mode="min")],
    )
    spec = parse(job).spec
    assert spec.fit.class_weight == {"out_a": {"0": 2.0}}
    assert spec.data.sample_weight == {"out_b": "y"}
    assert spec.data.prepare.y == {"out_a": [PrepareStep(scale=2.0)]}
    assert spec.compile.weighted_metrics == {"out_b": ["mae"]}
    assert spec.callbacks[0].config["filepath"] == "m-{val_out_a_loss:.3f}-{out_b_mae:.2f}.keras"


def test_class_weights_of_the_only_output(parse: Parse) -> None:
    job = _keras2_job(data={"dataset": "mine", "x": "x", "y": "y"}, fit={"class_weight": {"out/a": "balanced"}})
    job["model"]["config"]["output_layers"] = [["out/a", 0, 0]]
    del job["model"]["config"]["layers"][3]
    assert parse(job).spec.fit.class_weight == {"out_a": "balanced"}


@pytest.mark.parametrize(
    ("name", "logged"),
    [
        ("val_out/a_acc", "val_out_a_accuracy"),
        ("out/a_own/name", "out_a_own/name"),
        ("out_a_own/name", "out_a_own/name"),
        ("f1_score/1", "f1_score/1"),
    ],
)
def test_a_logged_name_with_slashes(name: str, logged: str) -> None:
    names = ["loss", "val_out_a_accuracy", "out_a_own/name", "f1_score", "f1_score_1"]
    assert logged_as(name, names) == logged


@pytest.mark.parametrize(
    ("part", "value", "pointer"),
    [
        ("compile", _WEIGHTED | {"loss": {"out/a": "nope", "out/b": "mse"}}, "/compile/loss/out~1a"),
        ("fit", {"class_weight": {"out/b": {"0": "x"}}}, "/fit/class_weight/out~1b/0"),
        ("data", _ARRAYS | {"y": {"out/a": "y", "out/b": "z"}}, "/data/y/out~1b"),
    ],
)
def test_a_fault_points_to_the_name_that_was_sent(
    part: str, value: Any, pointer: str, only_fault: Callable[[Any], Fault]
) -> None:
    fields = {"compile": _WEIGHTED, "data": _ARRAYS} | {part: value}
    assert only_fault(_keras2_job(**fields)).pointer == pointer
