"""A data set whose values are known, and jobs on it, for the tests of this folder."""

import copy
from typing import Any

from fitqueue.datasets import ArrayInfo, ArrayValues, ClassCount, DatasetInfo
from fitqueue.spec import ExaminedJob, examine_job

SAMPLES = 64
LABELS = ArrayValues(0, 2, classes=(ClassCount(0, 21, 0, 63), ClassCount(1, 21, 1, 61), ClassCount(2, 22, 2, 62)))
NORMAL = ArrayValues(-2.5, 2.5, integral=False)


def array(shape: tuple[int, ...], values: ArrayValues | None, dtype: str = "float32") -> ArrayInfo:
    return ArrayInfo((SAMPLES, *shape), dtype, values)


ARRAYS = {
    "x": array((4,), NORMAL),
    "x_test": array((4,), NORMAL),
    "y": array((), LABELS, "int64"),
    "y_test": array((), LABELS, "int64"),
    "weights": array((), ArrayValues(0, 1, integral=False)),
}
JOB: dict[str, Any] = {
    "model": {
        "class_name": "Sequential",
        "config": {"layers": [{"class_name": "Dense", "config": {"units": 3, "activation": "softmax"}}]},
    },
    "compile": {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
    "data": {"dataset": "mine", "x": "x", "y": "y", "validation": {"x": "x_test", "y": "y_test"}},
    "fit": {"epochs": 20},
    "seed": 1,
}


def examine(changes: dict[str, Any] | None = None, **arrays: ArrayInfo) -> ExaminedJob:
    """Examine the job with top-level fields updated by `changes`, on a data set with these arrays besides its own."""
    job = copy.deepcopy(JOB)
    for field, value in (changes or {}).items():
        job[field] = {**job[field], **value} if isinstance(value, dict) and field in job else value
    return examine_job(job, lambda name: DatasetInfo(name, {**ARRAYS, **arrays}))


def suspicions(examined: ExaminedJob) -> list[tuple[str, str]]:
    """Return the pointer and message of each suspicious notice of a job without faults."""
    assert examined.faults == []
    return [(notice.pointer, notice.message) for notice in examined.notices if notice.code == "suspicious"]
