"""What the check says of a job before it trains, and what becomes of it in training: refused is what really fails.

Jobs of several inputs and outputs, above all: Keras pairs their parts by name or by order, and looks at some of them
after the first batch only.
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
from tests.trainer.wrong_specs.test_wrong_specs import changed
from workers.model_check.check import check

Json = dict[str, Any]
SAMPLES = 24
LABELS = "sparse_categorical_crossentropy"
ROWS = "categorical_crossentropy"
BY_ROWS = {"class_name": "TopKCategoricalAccuracy", "config": {}}


def layer(class_name: str, *sources: str, **config: Any) -> Json:
    tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}} for name in sources]
    nodes = [{"args": tensors if len(tensors) == 1 else [tensors], "kwargs": {}}] if tensors else []
    return {"class_name": class_name, "config": config, "inbound_nodes": nodes}


def dense(name: str, source: str, units: int = 10) -> Json:
    return layer("Dense", source, name=name, units=units, activation="softmax")


def functional(layers: list[Json], inputs: Any, outputs: Any) -> Json:
    return {"class_name": "Functional", "config": {"layers": layers, "input_layers": inputs, "output_layers": outputs}}


def end(name: str) -> list[Any]:
    return [name, 0, 0]


FOUR = layer("InputLayer", name="in", shape=[4])
PAIR = [layer("InputLayer", name="p", shape=[4]), layer("InputLayer", name="q", shape=[4]),
        layer("Concatenate", "p", "q", name="both"), dense("a", "both")]  # fmt: skip
MODELS: dict[str, Json] = {
    "two outputs": functional([FOUR, dense("a", "in"), dense("b", "in")], end("in"), [end("a"), end("b")]),
    "outputs by name": functional(
        [FOUR, dense("a", "in"), dense("b", "in")], end("in"), {"u": end("a"), "v": end("b")}),
    "two inputs": functional(PAIR, [end("p"), end("q")], end("a")),
    "inputs by name": functional(PAIR, {"r": end("p"), "s": end("q")}, end("a")),
    "one output": functional([FOUR, dense("a", "in")], end("in"), end("a")),
    "sequence": {"class_name": "Sequential", "config": {"layers": [
        {"class_name": "InputLayer", "config": {"shape": [4]}},
        {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}}]}},
    "words": {"class_name": "Sequential", "config": {"layers": [
        {"class_name": "InputLayer", "config": {"shape": [6]}},
        {"class_name": "Embedding", "config": {"input_dim": 20, "output_dim": 3}},
        {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}}]}},
}  # fmt: skip
PARTS: dict[str, tuple[Any, Any]] = {
    "two outputs": ("x", {"a": "y", "b": "y"}),
    "outputs by name": ("x", {"u": "y", "v": "y"}),
    "two inputs": ({"p": "x", "q": "x"}, "y"),
    "inputs by name": ({"r": "x", "s": "x"}, "y"),
    "words": ("words", "each"),
}

PAIR_IN_FRONT = {"class_name": "Sequential", "config": {"layers": [
    MODELS["two inputs"] | {"config": {**MODELS["two inputs"]["config"], "name": "pair"}},
    {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}}]}}  # fmt: skip

REFUSED: dict[str, tuple[str, Json, set[tuple[str, str]]]] = {
    "too few units at one output": (
        "two outputs", {"/model/config/layers/2/config/units": 3},
        {("/model/config/layers/2/config/units", "bad_targets")}),
    "a loss of rows at one output": (
        "two outputs", {"/compile/loss": {"a": LABELS, "b": ROWS}}, {("/compile/loss/b", "bad_targets")}),
    "a metric of rows at one output": (
        "two outputs", {"/compile/metrics": {"b": [BY_ROWS]}}, {("/compile/metrics/b/0", "bad_targets")}),
    "a weighted metric of rows": (
        "outputs by name", {"/compile/weighted_metrics": {"v": [BY_ROWS]}},
        {("/compile/weighted_metrics/v/0", "bad_targets")}),
    "no loss for an output of a list": (
        "two outputs", {"/compile/loss": {"a": LABELS}}, {("/compile/loss", "missing")}),
    "no targets for an output": ("two outputs", {"/data/y": {"a": "y"}}, {("/data/y", "missing")}),
    "no targets for an output by name": ("outputs by name", {"/data/y": {"u": "y"}}, {("/data/y", "missing")}),
    "targets under the names of layers": (
        "outputs by name", {"/data/y": {"a": "y", "b": "y"}},
        {("/data/y/a", "unknown_name"), ("/data/y/b", "unknown_name"), ("/data/y", "missing")}),
    "targets for an output that is not there": (
        "two outputs", {"/data/y": {"a": "y", "c": "y"}}, {("/data/y/c", "unknown_name"), ("/data/y", "missing")}),
    "one array of targets for two outputs": ("two outputs", {"/data/y": "y"}, {("/data/y", "bad_targets")}),
    "a factor for an output that is not there": (
        "two outputs", {"/compile/loss_weights": {"a": 1.0, "zz": 2.0}}, {("/compile/loss_weights", "conflict")}),
    "two factors for one loss": (
        "two outputs", {"/compile/loss_weights": {"a": 1.0, "b": 2.0}}, {("/compile/loss_weights", "conflict")}),
    "a factor for none of the losses": (
        "two outputs", {"/compile/loss": {"a": LABELS, "b": LABELS}, "/compile/loss_weights": {"zz": 2.0}},
        {("/compile/loss_weights/zz", "unknown_name"), ("/compile/loss_weights", "missing")}),
    "one factor for two losses": (
        "two outputs", {"/compile/loss": {"a": LABELS, "b": LABELS}, "/compile/loss_weights": 2.0},
        {("/compile/loss_weights", "wrong_type")}),
    "no factors": ("one output", {"/compile/loss_weights": {}}, {("/compile/loss_weights", "conflict")}),
    "weights of three numbers for two outputs": (
        "two outputs", {"/data/sample_weight": "three"}, {("/data/sample_weight", "bad_shape")}),
    "weights of three numbers": (
        "one output", {"/data/sample_weight": "three"}, {("/compile/loss", "bad_targets")}),
    "an input that is not there": (
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
    "a loss for an output that is not there": (
        "one output", {"/compile/loss": {"zz": LABELS}},
        {("/compile/loss/zz", "unknown_name"), ("/compile/loss", "missing")}),
    "too few units, targets by name": (
        "one output", {"/data/y": {"a": "y"}, "/model/config/layers/1/config/units": 3},
        {("/model/config/layers/1/config/units", "bad_targets")}),
    "too few units for a loss by its class": (
        "one output", {"/compile/loss": "SparseCategoricalCrossentropy", "/model/config/layers/1/config/units": 3},
        {("/model/config/layers/1/config/units", "bad_targets")}),
    "too few units for a loss that is chosen by shapes": (
        "one output", {"/compile/loss": "crossentropy", "/model/config/layers/1/config/units": 3},
        {("/model/config/layers/1/config/units", "bad_targets")}),
    "labels that a step has moved": (
        "one output", {"/data/prepare/y": [{"astype": "int32"}, {"offset": 1.0}]},
        {("/model/config/layers/1/config/units", "bad_targets")}),
    "indices beyond the table": (
        "words", {"/model/config/layers/1/config/input_dim": 9},
        {("/model/config/layers/1/config/input_dim", "out_of_range")}),
    "indices that a step has moved": (
        "words", {"/data/prepare/x": [{"scale": 2.0}]}, {("/model/config/layers/1/config/input_dim", "out_of_range")}),
    "classes of rows of labels": (
        "words", {"/data/prepare/y": [{"one_hot": 10}], "/compile/loss": ROWS, "/fit/class_weight": {"1": 2.0}},
        {("/fit/class_weight", "bad_targets")}),
    "classes of many labels a sample": (
        "words", {"/fit/class_weight": {"1": 2.0}}, {("/compile/loss", "bad_targets")}),
    "a Sequential that begins with two inputs": (
        "two inputs", {"/model": PAIR_IN_FRONT}, {("/model/config/layers/0", "not_supported")}),
    "text": ("one output", {"/data/y": "text"}, {("/data/y", "wrong_type")}),
}  # fmt: skip

DENSE = {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}}
NESTED = {"class_name": "Sequential", "config": {"layers": [
    {"class_name": "Sequential", "config": {"layers": [DENSE]}}, DENSE]}}  # fmt: skip

TAKEN: dict[str, tuple[str, Json, set[tuple[str, str]]]] = {
    "two outputs": ("two outputs", {"/compile/metrics": {"b": ["accuracy"]}}, set()),
    "a loss by the only output's name": ("one output", {"/compile/loss": {"a": LABELS}}, set()),
    "targets by the only output's name": ("one output", {"/data/y": {"a": "y"}}, set()),
    "all by the only output's name": (
        "one output",
        {"/data/y": {"a": "y"}, "/compile/loss": {"a": LABELS}, "/compile/metrics": {"a": ["accuracy"]},
         "/compile/loss_weights": {"a": 2.0}, "/data/sample_weight": {"a": "w"}}, set()),
    "outputs by name, a loss for one": ("outputs by name", {"/compile/loss": {"u": LABELS}}, set()),
    "factors by name": (
        "two outputs", {"/compile/loss": {"a": LABELS, "b": LABELS}, "/compile/loss_weights": {"a": 1.0, "b": 0.5}},
        set()),
    "one factor": ("two outputs", {"/compile/loss_weights": {"a": 2.0}}, {("/compile/loss_weights", "suspicious")}),
    "weights for one of two outputs": ("two outputs", {"/data/sample_weight": {"b": "w"}}, set()),
    "weights for one of two outputs by name": ("outputs by name", {"/data/sample_weight": {"v": "w"}}, set()),
    "weights for both outputs": ("outputs by name", {"/data/sample_weight": "w"}, set()),
    "inputs by name": ("inputs by name", {}, set()),
    "an input that only the data will tell": ("one output", {"/model": NESTED}, {("/model", "filled_in")}),
    "an array too many": (
        "two inputs", {"/data/x": {"p": "x", "q": "x", "zzz": "x"}}, {("/data/x/zzz", "suspicious")}),
    "an input of a Sequential by its name": (
        "sequence", {"/model/config/layers/0/config/name": "in", "/data/x": {"in": "x"}}, set()),
    "a metric under a name that is none": (
        "one output", {"/compile/metrics": {"zz": ["accuracy"]}}, {("/compile/metrics/zz", "suspicious")}),
    "labels of another type": ("one output", {"/data/prepare/y": [{"astype": "int32"}]}, set()),
    "weights for each label": ("words", {"/data/sample_weight": "six"}, set()),
    "a class that is not there": (
        "one output", {"/fit/class_weight": {"12": 2.0, "1": -1.0}},
        {("/fit/class_weight/12", "suspicious"), ("/fit/class_weight/1", "suspicious")}),
    "negative indices": (
        "words", {"/data/prepare/x": [{"offset": -1.0}]}, {("/model/config/layers/1/config/input_dim", "suspicious")}),
    "more steps than batches": (
        "one output", {"/fit/steps_per_epoch": 1000}, {("/fit/steps_per_epoch", "suspicious")}),
    "a validation of nothing": (
        "one output", {"/fit/validation_freq": 2, "/fit/validation_steps": 1},
        {("/fit/validation_freq", "ignored"), ("/fit/validation_steps", "ignored")}),
}  # fmt: skip


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, ArrayInfo]]:
    random = np.random.default_rng(3)
    each = np.arange(SAMPLES)
    made = {
        "x": random.random((SAMPLES, 4), dtype="float32"), "y": each % 10, "w": random.random(SAMPLES),
        "three": random.random((SAMPLES, 3)), "six": random.random((SAMPLES, 6)),
        "words": (each[:, None] + np.arange(6)) % 12, "each": (each[:, None] * np.arange(6)) % 10,
        "text": np.array(["a", "b"] * (SAMPLES // 2)),
    }  # fmt: skip
    path: Path = tmp_path_factory.mktemp("data") / "data.npz"
    np.savez(path, **made)
    infos = {
        name: ArrayInfo(one.shape, "str" if one.dtype.kind == "U" else str(one.dtype)) for name, one in made.items()
    }
    return str(path), infos


@pytest.fixture
def said(arrays: Any) -> Callable[[Json], tuple[list[Fault], list[Notice]]]:
    """What the parse and the check say of a job, as the POST does."""

    def ask(raw: Json) -> tuple[list[Fault], list[Notice]]:
        path, infos = arrays
        examined = examine_job(raw, lambda name: DatasetInfo(name, infos))
        spec = (examined.spec or examined.partial).to_json()
        check_request = {"spec": spec, "arrays": infos, "classes": None, "dataset_path": path, "max_bytes": 10**12}
        answer = check(ModelCheckRequest.model_validate(check_request), lambda pointer: None)
        return [*examined.faults, *answer.faults], [*examined.notices, *answer.notices]

    return ask


@pytest.fixture
def job(make_spec: Callable[..., Json], arrays: Any) -> Callable[..., Json]:
    """A checked job as it is stored, then changed as if nobody looked."""

    def make(base: str, changes: Json) -> Json:
        x, y = PARTS.get(base, ("x", "y"))
        stored = make_spec(
            lambda name: DatasetInfo(name, arrays[1]),
            model=copy.deepcopy(MODELS[base]),
            compile={"optimizer": "sgd", "loss": LABELS},
            data={"dataset": "mine", "x": x, "y": y},
            fit={"epochs": 1, "batch_size": 8},
        )
        written = {**stored, "fit": {"epochs": 1, "batch_size": 8}}
        return changed(written, changes)

    return make


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_fails_in_training(
    name: str, job: Callable[..., Json], said: Callable[..., Any], train: Callable[..., Any], arrays: Any
) -> None:
    base, changes, expected = REFUSED[name]
    raw = job(base, changes)
    faults, _ = said(raw)
    assert {(fault.pointer, fault.code) for fault in faults} == expected, faults
    assert train(raw, dataset_path=arrays[0]).ending.reason is not Reason.COMPLETED


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken_trains(
    name: str, job: Callable[..., Json], said: Callable[..., Any], train: Callable[..., Any], arrays: Any
) -> None:
    base, changes, expected = TAKEN[name]
    raw = job(base, changes)
    faults, notices = said(raw)
    assert not faults
    assert {(notice.pointer, notice.code) for notice in notices} == expected, notices
    trained = train(raw, dataset_path=arrays[0])
    assert trained.ending.reason is Reason.COMPLETED, (trained.ending, trained.lines)
