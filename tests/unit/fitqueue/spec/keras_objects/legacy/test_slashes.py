"""Names of layers with slashes."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.spec import ParsedJob
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
