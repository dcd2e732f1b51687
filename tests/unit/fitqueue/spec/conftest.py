"""A valid job, changed copies of it, and the faults of a job."""

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
    {"text": "its type is text, and Keras trains on plain numbers"},
)


def _find_dataset(name: str) -> DatasetInfo | None:
    return UPLOADED if name in {"mine", "ds_1"} else None


def _changed(path: str, value: Any) -> dict[str, Any]:
    """Return the CNN job with the value at this JSON pointer set; `...` removes it."""
    job = copy.deepcopy(CNN)
    container: Any = job
    *keys, last = [int(token) if token.isdigit() else token for token in path.strip("/").split("/")]
    for key in keys:
        container = container[key] if isinstance(key, int) else container.setdefault(key, {})
    if value is ...:
        del container[last]
    elif isinstance(container, list) and last == len(container):
        container.append(value)
    else:
        container[last] = value
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
def find_faults() -> Callable[[Any], list[Fault]]:
    """A function that returns the faults of a job."""

    def find(raw: Any) -> list[Fault]:
        try:
            parse_job(raw, _find_dataset)
        except InvalidSpec as error:
            return error.errors
        return []

    return find


@pytest.fixture
def only_fault(find_faults: Callable[[Any], list[Fault]]) -> Callable[[Any], Fault]:
    """A function that returns the fault of a job that has exactly one."""

    def find(raw: Any) -> Fault:
        (fault,) = find_faults(raw)
        return fault

    return find
