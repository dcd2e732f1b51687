"""A job that is right, and how to ask what is wrong with one that is not."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.errors import Fault, InvalidSpec
from fitqueue.spec import ParsedJob, parse_job

CNN: dict[str, Any] = {
    "model": {
        "class_name": "Sequential",
        "config": {
            "layers": [
                {"class_name": "Input", "config": {"shape": [8, 8, 1]}},
                {"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": [3, 3], "activation": "relu"}},
                {"class_name": "Flatten"},
                {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
            ]
        },
    },
    "compile": {"optimizer": "adam", "loss": "categorical_crossentropy", "metrics": ["accuracy"]},
    "data": {
        "dataset": "digits",
        "x": "x_train",
        "y": "y_train",
        "validation": {"x": "x_test", "y": "y_test"},
        "prepare": {"x": [{"reshape": [8, 8, 1]}, {"scale": 0.0625}], "y": [{"one_hot": 10}]},
    },
    "fit": {"epochs": 2},
    "callbacks": [],
}
UPLOADED = DatasetInfo(
    "mine",
    {
        "x": ArrayInfo((100, 12), "float32"),
        "y": ArrayInfo((100,), "int64"),
        "y_short": ArrayInfo((90,), "int64"),
        "number": ArrayInfo((), "float32"),
        "sequences": ArrayInfo((100, 5, 8), "float32"),
        "words": ArrayInfo((100, None), "int64"),
    },
)


def _find_dataset(name: str) -> DatasetInfo | None:
    return UPLOADED if name in {"mine", "ds_1"} else None


def _changed(path: str, value: Any) -> dict[str, Any]:
    """The CNN job with the value at this JSON pointer set; `...` removes it."""
    job = copy.deepcopy(CNN)
    here: Any = job
    *steps, last = [int(step) if step.isdigit() else step for step in path.strip("/").split("/")]
    for step in steps:
        here = here[step] if isinstance(step, int) else here.setdefault(step, {})
    if value is ...:
        del here[last]
    elif isinstance(here, list) and last == len(here):
        here.append(value)
    else:
        here[last] = value
    return job


@pytest.fixture
def cnn() -> dict[str, Any]:
    return copy.deepcopy(CNN)


@pytest.fixture
def changed() -> Callable[[str, Any], dict[str, Any]]:
    return _changed


@pytest.fixture
def parse() -> Callable[[Any], ParsedJob]:
    return lambda raw: parse_job(raw, _find_dataset)


@pytest.fixture
def faults() -> Callable[[Any], list[Fault]]:
    """The faults of a job; none for one that is right."""

    def find(raw: Any) -> list[Fault]:
        try:
            parse_job(raw, _find_dataset)
        except InvalidSpec as error:
            return error.errors
        return []

    return find


@pytest.fixture
def fault(faults: Callable[[Any], list[Fault]]) -> Callable[[Any], Fault]:
    """The only fault of a job."""

    def find(raw: Any) -> Fault:
        (found,) = faults(raw)
        return found

    return find
