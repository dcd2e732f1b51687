"""The check refuses only jobs that fail in training, and accepts only jobs that train.

Most of these jobs have several inputs or outputs: Keras pairs those with arrays and losses by name or by order, and
looks at some of them only after the first batch.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.errors import Fault
from fitqueue.model_check import ModelCheckRequest
from fitqueue.spec import examine_job
from fitqueue.states import Reason
from fitqueue.views import Notice
from service import npz
from tests.trainer.wrong_specs.test_wrong_specs import changed
from workers.model_check.check import check

Json = dict[str, Any]
SAMPLES = 24
LABELS = "sparse_categorical_crossentropy"
ROWS = "categorical_crossentropy"
METRIC_OF_ROWS = {"class_name": "TopKCategoricalAccuracy", "config": {}}


def layer(class_name: str, *sources: str, **config: Any) -> Json:
    tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}} for name in sources]
    nodes = [{"args": tensors if len(tensors) == 1 else [tensors], "kwargs": {}}] if tensors else []
    return {"class_name": class_name, "config": config, "inbound_nodes": nodes}


def dense(name: str, source: str, units: int = 10) -> Json:
    return layer("Dense", source, name=name, units=units, activation="softmax")


def functional(layers: list[Json], inputs: Any, outputs: Any) -> Json:
    return {"class_name": "Functional", "config": {"layers": layers, "input_layers": inputs, "output_layers": outputs}}


def history(name: str) -> list[Any]:
    """Return the `keras_history` of a layer's output."""
    return [name, 0, 0]


INPUT = layer("InputLayer", name="in", shape=[4])
TWO_INPUTS = [layer("InputLayer", name="p", shape=[4]), layer("InputLayer", name="q", shape=[4]),
        layer("Concatenate", "p", "q", name="both"), dense("a", "both")]  # fmt: skip
MODELS: dict[str, Json] = {
    "two outputs": functional([INPUT, dense("a", "in"), dense("b", "in")], history("in"), [history("a"), history("b")]),
    "outputs by name": functional(
        [INPUT, dense("a", "in"), dense("b", "in")], history("in"), {"u": history("a"), "v": history("b")}),
    "two inputs": functional(TWO_INPUTS, [history("p"), history("q")], history("a")),
    "inputs by name": functional(TWO_INPUTS, {"r": history("p"), "s": history("q")}, history("a")),
    "one output": functional([INPUT, dense("a", "in")], history("in"), history("a")),
    "sequence": {"class_name": "Sequential", "config": {"layers": [
        {"class_name": "InputLayer", "config": {"shape": [4]}},
        {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}}]}},
    "words": {"class_name": "Sequential", "config": {"layers": [
        {"class_name": "InputLayer", "config": {"shape": [6]}},
        {"class_name": "Embedding", "config": {"input_dim": 20, "output_dim": 3}},
        {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}}]}},
}  # fmt: skip
ARRAYS: dict[str, tuple[Any, Any]] = {
    "two outputs": ("x", {"a": "y", "b": "y"}),
    "outputs by name": ("x", {"u": "y", "v": "y"}),
    "two inputs": ({"p": "x", "q": "x"}, "y"),
    "inputs by name": ({"r": "x", "s": "x"}, "y"),
    "words": ("words", "each"),
}

TWO_INPUTS_IN_FRONT = {"class_name": "Sequential", "config": {"layers": [
    MODELS["two inputs"] | {"config": {**MODELS["two inputs"]["config"], "name": "pair"}},
    {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}}]}}  # fmt: skip


def boards(*configs: Json) -> list[Json]:
    """Return TensorBoards with these arguments, each with a folder of its own."""
    return [
        {"class_name": "TensorBoard", "config": {"log_dir": f"logs{i}", **config}} for i, config in enumerate(configs)
    ]


def prepared_by(class_name: str, **config: Any) -> list[Json]:
    """Return the layers of the model `sequence`, with one that prepares the data."""
    first, last = MODELS["sequence"]["config"]["layers"]
    return [first, {"class_name": class_name, "config": config}, last]


REFUSED: dict[str, tuple[str, Json, set[tuple[str, str]]]] = {
    "too few units at one output": (
        "two outputs", {"/model/config/layers/2/config/units": 3},
        {("/model/config/layers/2/config/units", "bad_targets")}),
    "a loss for rows at one output": (
        "two outputs", {"/compile/loss": {"a": LABELS, "b": ROWS}}, {("/compile/loss/b", "bad_targets")}),
    "a metric for rows at one output": (
        "two outputs", {"/compile/metrics": {"b": [METRIC_OF_ROWS]}}, {("/compile/metrics/b/0", "bad_targets")}),
    "a weighted metric for rows": (
        "outputs by name", {"/compile/weighted_metrics": {"v": [METRIC_OF_ROWS]}},
        {("/compile/weighted_metrics/v/0", "bad_targets")}),
    "no loss for an output of a list": (
        "two outputs", {"/compile/loss": {"a": LABELS}}, {("/compile/loss", "missing")}),
    "no targets for an output": ("two outputs", {"/data/y": {"a": "y"}}, {("/data/y", "missing")}),
    "no targets for an output by name": ("outputs by name", {"/data/y": {"u": "y"}}, {("/data/y", "missing")}),
    "targets under the names of layers": (
        "outputs by name", {"/data/y": {"a": "y", "b": "y"}},
        {("/data/y/a", "unknown_name"), ("/data/y/b", "unknown_name"), ("/data/y", "missing")}),
    "targets for a missing output": (
        "two outputs", {"/data/y": {"a": "y", "c": "y"}}, {("/data/y/c", "unknown_name"), ("/data/y", "missing")}),
    "one array of targets for two outputs": ("two outputs", {"/data/y": "y"}, {("/data/y", "bad_targets")}),
    "a weight for a missing output": (
        "two outputs", {"/compile/loss_weights": {"a": 1.0, "zz": 2.0}}, {("/compile/loss_weights", "conflict")}),
    "two weights for one loss": (
        "two outputs", {"/compile/loss_weights": {"a": 1.0, "b": 2.0}}, {("/compile/loss_weights", "conflict")}),
    "a weight for none of the losses": (
        "two outputs", {"/compile/loss": {"a": LABELS, "b": LABELS}, "/compile/loss_weights": {"zz": 2.0}},
        {("/compile/loss_weights/zz", "unknown_name"), ("/compile/loss_weights", "missing")}),
    "one weight for two losses": (
        "two outputs", {"/compile/loss": {"a": LABELS, "b": LABELS}, "/compile/loss_weights": 2.0},
        {("/compile/loss_weights", "wrong_type")}),
    "no weights for losses": ("one output", {"/compile/loss_weights": {}}, {("/compile/loss_weights", "conflict")}),
    "sample weights of three numbers for two outputs": (
        "two outputs", {"/data/sample_weight": "three"}, {("/data/sample_weight", "bad_shape")}),
    "sample weights of three numbers": (
        "one output", {"/data/sample_weight": "three"}, {("/compile/loss", "bad_targets")}),
    "an array for a missing input": (
        "one output", {"/data/x": {"zzz": "x"}}, {("/data/x/zzz", "unknown_name"), ("/data/x", "missing")}),
    "an input without an array": ("two inputs", {"/data/x": {"p": "x"}}, {("/data/x", "missing")}),
    "one array for two inputs": ("two inputs", {"/data/x": "x"}, {("/data/x", "bad_shape")}),
    "inputs under the names of layers": (
        "inputs by name", {"/data/x": {"p": "x", "q": "x"}},
        {("/data/x/p", "unknown_name"), ("/data/x/q", "unknown_name"), ("/data/x", "missing")}),
    "an array by name for a Sequential": ("sequence", {"/data/x": {"in": "x"}}, {("/data/x", "unknown_name")}),
    "targets by name for a Sequential": ("sequence", {"/data/y": {"nonsense": "y"}}, {("/data/y", "unknown_name")}),
    "a loss by name for a Sequential": (
        "sequence", {"/compile/loss": {"a": LABELS}}, {("/compile/loss", "unknown_name")}),
    "a loss for a missing output": (
        "one output", {"/compile/loss": {"zz": LABELS}},
        {("/compile/loss/zz", "unknown_name"), ("/compile/loss", "missing")}),
    "too few units, targets by name": (
        "one output", {"/data/y": {"a": "y"}, "/model/config/layers/1/config/units": 3},
        {("/model/config/layers/1/config/units", "bad_targets")}),
    "too few units for a loss given by its class": (
        "one output", {"/compile/loss": "SparseCategoricalCrossentropy", "/model/config/layers/1/config/units": 3},
        {("/model/config/layers/1/config/units", "bad_targets")}),
    "too few units for a loss that is chosen by shapes": (
        "one output", {"/compile/loss": "crossentropy", "/model/config/layers/1/config/units": 3},
        {("/model/config/layers/1/config/units", "bad_targets")}),
    "labels that a step has shifted": (
        "one output", {"/data/prepare/y": [{"astype": "int32"}, {"offset": 1.0}]},
        {("/model/config/layers/1/config/units", "bad_targets")}),
    "indices beyond the table": (
        "words", {"/model/config/layers/1/config/input_dim": 9},
        {("/model/config/layers/1/config/input_dim", "out_of_range")}),
    "indices that a step has scaled": (
        "words", {"/data/prepare/x": [{"scale": 2.0}]}, {("/model/config/layers/1/config/input_dim", "out_of_range")}),
    "sample weights of three numbers, and class weights": (
        "one output", {"/data/sample_weight": "three", "/fit/class_weight": {"1": 2.0}},
        {("/compile/loss", "bad_targets")}),
    "three sample weights for six classes": (
        "words", {"/data/sample_weight": "three", "/fit/class_weight": {"1": 2.0}},
        {("/fit/class_weight", "bad_shape")}),
    "a Sequential that begins with two inputs": (
        "two inputs", {"/model": TWO_INPUTS_IN_FRONT}, {("/model/config/layers/0", "not_supported")}),
    "text": ("one output", {"/data/y": "text"}, {("/data/y", "wrong_type")}),
    "batches to profile in the wrong order": (
        "sequence", {"/callbacks": boards({"profile_batch": [2, 1]})},
        {("/callbacks/0/config/profile_batch", "out_of_range")}),
    "two profilers at a time": (
        "sequence", {"/callbacks": boards({"profile_batch": 2}, {"profile_batch": [1, 2]})},
        {("/callbacks/1/config/profile_batch", "conflict")}),
    "two writers after batches": (
        "sequence", {"/callbacks": boards({"update_freq": "batch"}, {"update_freq": 2})},
        {("/callbacks/1/config/update_freq", "conflict")}),
    "boundaries that do not ascend": (
        "sequence", {"/model/config/layers": prepared_by("Discretization", bin_boundaries=[2.0, 1.0])},
        {("/model/config/layers/1/config/bin_boundaries/1", "out_of_range")}),
    "neither boundaries nor bins": (
        "sequence", {"/model/config/layers": prepared_by("Discretization")},
        {("/model/config/layers/1/config", "missing")}),
    "boundaries that are to be exact": (
        "sequence", {"/model/config/layers": prepared_by("Discretization", num_bins=3, epsilon=0.0, adapt=True)},
        {("/model/config/layers/1/config/epsilon", "out_of_range")}),
    "a negative variance": (
        "sequence", {"/model/config/layers": prepared_by("Normalization", mean=0.5, variance=-1.0)},
        {("/model/config/layers/1/config/variance", "out_of_range")}),
}  # fmt: skip

DENSE = {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}}
NESTED = {"class_name": "Sequential", "config": {"layers": [
    {"class_name": "Sequential", "config": {"layers": [DENSE]}}, DENSE]}}  # fmt: skip

ACCEPTED: dict[str, tuple[str, Json, set[tuple[str, str]]]] = {
    "two outputs": ("two outputs", {"/compile/metrics": {"b": ["accuracy"]}}, set()),
    "a loss by the name of the only output": ("one output", {"/compile/loss": {"a": LABELS}}, set()),
    "targets by the name of the only output": ("one output", {"/data/y": {"a": "y"}}, set()),
    "everything by the name of the only output": (
        "one output",
        {"/data/y": {"a": "y"}, "/compile/loss": {"a": LABELS}, "/compile/metrics": {"a": ["accuracy"]},
         "/compile/loss_weights": {"a": 2.0}, "/data/sample_weight": {"a": "w"}}, set()),
    "a loss for one of two outputs by name": ("outputs by name", {"/compile/loss": {"u": LABELS}}, set()),
    "weights of losses by name": (
        "two outputs", {"/compile/loss": {"a": LABELS, "b": LABELS}, "/compile/loss_weights": {"a": 1.0, "b": 0.5}},
        set()),
    "one weight for the only loss": (
        "two outputs", {"/compile/loss_weights": {"a": 2.0}}, {("/compile/loss_weights", "suspicious")}),
    "sample weights for one of two outputs": ("two outputs", {"/data/sample_weight": {"b": "w"}}, set()),
    "sample weights for one of two outputs by name": ("outputs by name", {"/data/sample_weight": {"v": "w"}}, set()),
    "sample weights for both outputs": ("outputs by name", {"/data/sample_weight": "w"}, set()),
    "inputs by name": ("inputs by name", {}, set()),
    "an input that only the data decides": ("one output", {"/model": NESTED}, {("/model", "filled_in")}),
    "an unused array": (
        "two inputs", {"/data/x": {"p": "x", "q": "x", "zzz": "x"}}, {("/data/x/zzz", "suspicious")}),
    "an input of a Sequential by its name": (
        "sequence", {"/model/config/layers/0/config/name": "in", "/data/x": {"in": "x"}}, set()),
    "a metric under an unknown name": (
        "one output", {"/compile/metrics": {"zz": ["accuracy"]}}, {("/compile/metrics/zz", "suspicious")}),
    "labels of another dtype": ("one output", {"/data/prepare/y": [{"astype": "int32"}]}, set()),
    "sample weights for each label": ("words", {"/data/sample_weight": "six"}, set()),
    "classes of rows of labels": (
        "words", {"/data/prepare/y": [{"one_hot": 10}], "/compile/loss": ROWS, "/fit/class_weight": {"1": 2.0}}, set()),
    "classes of many labels per sample": ("words", {"/fit/class_weight": "balanced"}, set()),
    "classes of one of two outputs, and sample weights": (
        "two outputs", {"/fit/class_weight": {"b": {"1": 2.0}}, "/data/sample_weight": "w"}, set()),
    "classes of an output by name": (
        "outputs by name", {"/fit/class_weight": {"v": "balanced", "u": {"3": 0.5}}}, set()),
    "classes by the name of the only output": (
        "one output", {"/fit/class_weight": {"a": {"1": 2.0}}}, set()),
    "a class that no target of an output has": (
        "two outputs", {"/fit/class_weight": {"b": {"12": 2.0}}}, {("/fit/class_weight/b/12", "suspicious")}),
    "a class that no target has": (
        "one output", {"/fit/class_weight": {"12": 2.0, "1": -1.0}},
        {("/fit/class_weight/12", "suspicious"), ("/fit/class_weight/1", "suspicious")}),
    "negative indices": (
        "words", {"/data/prepare/x": [{"offset": -1.0}]}, {("/model/config/layers/1/config/input_dim", "suspicious")}),
    "more steps than batches": (
        "one output", {"/fit/steps_per_epoch": 1000}, {("/fit/steps_per_epoch", "suspicious")}),
    "two profilers one after the other, and one writer after batches": (
        "sequence", {"/callbacks": boards({"profile_batch": 1}, {"profile_batch": [2, 3], "update_freq": "batch"})},
        set()),
    "boundaries that are equal": (
        "sequence", {"/model/config/layers": prepared_by("Discretization", bin_boundaries=[0.5, 0.5])}, set()),
    "no validation data": (
        "one output", {"/fit/validation_freq": 2, "/fit/validation_steps": 1},
        {("/fit/validation_freq", "ignored"), ("/fit/validation_steps", "ignored")}),
}  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, ArrayInfo]]:
    """Return the path of a data set, and the shapes and dtypes of its arrays."""
    random = np.random.default_rng(3)
    index = np.arange(SAMPLES)
    arrays = {
        "x": random.random((SAMPLES, 4), dtype="float32"), "y": index % 10, "w": random.random(SAMPLES),
        "three": random.random((SAMPLES, 3)), "six": random.random((SAMPLES, 6)),
        "words": (index[:, None] + np.arange(6)) % 12, "each": (index[:, None] * np.arange(6)) % 10,
        "text": np.array(["a", "b"] * (SAMPLES // 2)),
    }  # fmt: skip
    path: Path = tmp_path_factory.mktemp("data") / "data.npz"
    np.savez(path, **arrays)
    # An upload leaves text out, so that this case is the check's alone.
    return str(path), {**npz.inspect(path, 10**9).arrays, "text": ArrayInfo((SAMPLES,), "str")}


@pytest.fixture
def check_job(dataset: Any) -> Callable[[Json], tuple[list[Fault], list[Notice]]]:
    """Return a function that parses and checks a job as the API does, and returns all faults and notices."""

    def check_job(raw: Json) -> tuple[list[Fault], list[Notice]]:
        _, infos = dataset
        examined = examine_job(raw, lambda name: DatasetInfo(name, infos))
        spec = (examined.spec or examined.partial).to_json()
        check_request = {"spec": spec, "arrays": infos, "max_bytes": 10**12}
        result = check(ModelCheckRequest.model_validate(check_request), lambda pointer: None)
        return [*examined.faults, *result.faults], [*examined.notices, *result.notices]

    return check_job


@pytest.fixture
def make_job(make_spec: Callable[..., Json], dataset: Any) -> Callable[..., Json]:
    """Return a function that makes the spec of a valid job, with changes that nothing has checked."""

    def make(base: str, changes: Json) -> Json:
        x, y = ARRAYS.get(base, ("x", "y"))
        valid = make_spec(
            lambda name: DatasetInfo(name, dataset[1]),
            model=copy.deepcopy(MODELS[base]),
            compile={"optimizer": "sgd", "loss": LABELS},
            data={"dataset": "mine", "x": x, "y": y},
            fit={"epochs": 1, "batch_size": 8},
        )
        return changed({**valid, "fit": {"epochs": 1, "batch_size": 8}}, changes)

    return make


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_job_fails_in_training(
    name: str, make_job: Callable[..., Json], check_job: Callable[..., Any], train: Callable[..., Any], dataset: Any
) -> None:
    base, changes, expected = REFUSED[name]
    raw = make_job(base, changes)
    faults, _ = check_job(raw)
    assert {(fault.pointer, fault.code) for fault in faults} == expected, faults
    assert train(raw, dataset_path=dataset[0]).outcome.reason is not Reason.COMPLETED


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_accepted_job_trains(
    name: str, make_job: Callable[..., Json], check_job: Callable[..., Any], train: Callable[..., Any], dataset: Any
) -> None:
    base, changes, expected = ACCEPTED[name]
    raw = make_job(base, changes)
    faults, notices = check_job(raw)
    assert not faults
    assert {(notice.pointer, notice.code) for notice in notices} == expected, notices
    trained = train(raw, dataset_path=dataset[0])
    assert trained.outcome.reason is Reason.COMPLETED, (trained.outcome, trained.lines)
