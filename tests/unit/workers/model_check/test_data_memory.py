"""What the data of a job takes follows from the shapes of its arrays alone."""

from typing import Any

import pytest

from fitqueue.datasets import ArrayInfo
from fitqueue.spec import PartialJob
from workers.model_check.data_memory import data_bytes

SAMPLES = 1000
PERMUTATIONS = 24 * SAMPLES
TARGETS = 4 * SAMPLES
ARRAYS = {
    "bytes": ArrayInfo((SAMPLES, 50), "uint8"),
    "halves": ArrayInfo((SAMPLES, 50), "float16"),
    "words": ArrayInfo((SAMPLES, None), "int64"),
    "labels": ArrayInfo((SAMPLES,), "int32"),
    "y": ArrayInfo((SAMPLES, 1), "float32"),
}


def size(x: str, *steps: dict[str, Any], **fields: Any) -> int:
    data = {"dataset": "d", "x": x, "y": "y", "prepare": {"x": list(steps)}, **fields}
    return data_bytes(PartialJob.model_validate({"data": data}), ARRAYS) - PERMUTATIONS - 3 * TARGETS


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (size("bytes"), 3 * 50 * SAMPLES),
        (size("halves"), (2 + 2 * 4) * 50 * SAMPLES),
        (size("bytes", {"scale": 0.5}), 3 * 4 * 50 * SAMPLES),
        (size("words", {"pad_sequences": {"maxlen": 200_000}}), 3 * 4 * 200_000 * SAMPLES),
        (size("labels", {"one_hot": 5000}), 3 * 4 * 5000 * SAMPLES),
        (size("bytes", {"astype": "int64"}, {"astype": "uint8"}), 50 * SAMPLES * 10 - PERMUTATIONS - 2 * TARGETS),
    ],
    ids=["as it is", "float32 of float16", "scaled", "padded", "one_hot", "a large step between"],
)
def test_the_largest_moment_counts(size: int, expected: int) -> None:
    assert size == expected


def test_validation_data_counts_as_training_data_does() -> None:
    validation = {"x": "bytes", "y": "y"}
    assert size("bytes", validation=validation) == 2 * 3 * 50 * SAMPLES + 3 * TARGETS


def test_a_job_without_data_takes_none() -> None:
    assert data_bytes(PartialJob(), ARRAYS) == 0
