"""The arguments of `compile` as `get_compile_config` writes them."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob
from tests.unit.fitqueue.spec.jobs import layer, notices_of, sequential_job

Parse = Callable[[Any], ParsedJob]
NULL = None
# What Keras 3.15 and tf_keras 2.21 return after `compile("adam", "mse", metrics=["mae"])`.
KERAS_3 = {"optimizer": "adam", "loss": "mse", "loss_weights": NULL, "metrics": ["mae"], "weighted_metrics": NULL,
           "run_eagerly": False, "steps_per_execution": 1, "jit_compile": False}  # fmt: skip
TF_KERAS = {"optimizer": "adam", "loss": "mse", "metrics": ["mae"], "loss_weights": NULL, "weighted_metrics": NULL,
            "run_eagerly": NULL, "steps_per_execution": NULL, "jit_compile": NULL}  # fmt: skip
KERAS_2 = {"optimizer": "adam", "loss": "mse", "metrics": NULL, "sample_weight_mode": NULL}


def job(compiled: dict[str, Any]) -> dict[str, Any]:
    return sequential_job(layer("Input", shape=[12]), layer("Dense", units=1)) | {"compile": copy.deepcopy(compiled)}


@pytest.mark.parametrize("compiled", [KERAS_3, TF_KERAS, KERAS_2], ids=["Keras 3", "tf_keras", "Keras 2"])
def test_a_compile_config_is_accepted_as_it_comes(compiled: dict[str, Any], parse: Parse) -> None:
    given = {name: value for name, value in compiled.items() if value is not NULL}
    given.pop("run_eagerly", None)
    parsed = parse(job(compiled))
    assert parsed.spec == parse(job(given)).spec
    assert notices_of(parsed) == []


@pytest.mark.parametrize(
    ("argument", "value", "code"),
    [
        ("run_eagerly", True, "ignored"),
        ("sample_weight_mode", "temporal", "ignored"),
        ("sample_weight_mode", {"a": NULL, "b": "temporal"}, "ignored"),
        ("sample_weight_mode", [NULL, NULL], NULL),
        ("auto_scale_loss", False, "ignored"),
        ("auto_scale_loss", True, NULL),
        ("dtype_policy", NULL, NULL),
    ],
)
def test_what_a_job_does_not_have_is_left_out(argument: str, value: Any, code: str | None, parse: Parse) -> None:
    parsed = parse(job({"optimizer": "sgd", "loss": "mse", argument: value}))
    assert parsed.spec == parse(job({"optimizer": "sgd", "loss": "mse"})).spec
    assert notices_of(parsed) == ([(f"/compile/{argument}", code)] if code else [])


def test_float16_is_always_scaled(only_fault: Callable[[Any], Fault]) -> None:
    compiled = {"optimizer": "sgd", "loss": "mse", "dtype_policy": "mixed_float16", "auto_scale_loss": False}
    fault = only_fault(job(compiled))
    assert (fault.pointer, fault.code) == ("/compile/auto_scale_loss", "not_supported")


@pytest.mark.parametrize("argument", ["optimizer", "loss"])
def test_null_is_no_optimizer_and_no_loss(argument: str, only_fault: Callable[[Any], Fault]) -> None:
    fault = only_fault(job({"optimizer": "sgd", "loss": "mse", argument: NULL}))
    assert (fault.pointer, fault.code) == (f"/compile/{argument}", "wrong_type")
