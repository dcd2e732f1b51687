"""Null where Keras has it as the default, and arguments of Keras 2 that have no effect."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from tests.unit.fitqueue.spec.jobs import layer, notices_of, sequential_job

Parse = Callable[[Any], ParsedJob]
# The defaults of `fit` in Keras 2.4 and 3 that are null.
NULLS = dict.fromkeys([
    "x", "y", "batch_size", "callbacks", "validation_data", "class_weight", "sample_weight", "steps_per_epoch",
    "validation_steps", "validation_batch_size",
])  # fmt: skip


def _job(**fields: Any) -> dict[str, Any]:
    return sequential_job(layer("Input", shape=[12]), layer("Dense", units=1)) | fields


@pytest.mark.parametrize("fields", [{"fit": None}, {"callbacks": None}, {"fit": NULLS}])
def test_null_is_the_default(fields: dict[str, Any], parse: Parse) -> None:
    parsed = parse(_job(**fields))
    assert parsed.spec == parse(_job()).spec
    assert parsed.spec.fit.batch_size == 32
    assert notices_of(parsed) == []


@pytest.mark.parametrize(
    ("part", "argument", "value"),
    [
        ("fit", "workers", 4),
        ("fit", "use_multiprocessing", False),
        ("fit", "max_queue_size", 10),
        ("fit", "initial_epoch", 0),
        ("compile", "target_tensors", None),
    ],
)
def test_an_argument_of_keras_2_without_effect(part: str, argument: str, value: Any, parse: Parse) -> None:
    job = _job()
    job[part] = {**job.get(part, {}), argument: value}
    parsed = parse(job)
    assert parsed.spec == parse(_job()).spec
    assert notices_of(parsed) == [(f"/{part}/{argument}", "ignored")]


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"fit": {"initial_epoch": 3}}, "/fit/initial_epoch", "unknown_field"),
        ({"fit": {"initial_epoch": False}}, "/fit/initial_epoch", "unknown_field"),
        ({"compile": {"optimizer": "sgd", "loss": "mse", "target_tensors": [1]}}, "/compile/target_tensors",
         "unknown_field"),
        ({"fit": {"epochs": None}}, "/fit/epochs", "wrong_type"),
        ({"compile": None}, "/compile", "wrong_type"),
        ({"data": None}, "/data", "wrong_type"),
    ],
)  # fmt: skip
def test_what_would_have_an_effect_is_a_fault(
    fields: dict[str, Any], pointer: str, code: str, only_fault: Callable[[Any], Fault]
) -> None:
    fault = only_fault(_job(**fields))
    assert (fault.pointer, fault.code) == (pointer, code)
