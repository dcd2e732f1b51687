"""Learning rate schedules as data."""

import math
from typing import Any

import pytest

from fitqueue.spec.findings import Findings, Pointer
from fitqueue.spec.keras_objects.schedules import check_schedule, read_schedule


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ({"kind": "step", "epochs": 2, "factor": 0.5}, [1, 1, 0.5, 0.5, 0.25]),
        ({"kind": "exponential", "factor": 0.1}, [1, 0.1, 0.01, 0.001, 0.0001]),
        ({"kind": "cosine", "epochs": 2}, [1, 0.5, 0, 0, 0]),
        ({"kind": "cosine", "epochs": 2, "final": 0.5}, [1, 0.75, 0.5, 0.5, 0.5]),
        ({"kind": "table", "rates": [[1, 0.3], [3, 0.1]]}, [1, 0.3, 0.3, 0.1, 0.1]),
        ({"kind": "warmup", "epochs": 2}, [0.5, 1, 1, 1, 1]),
        ({"kind": "warmup", "epochs": 2, "start": 0.5}, [0.75, 1, 1, 1, 1]),
        ({"kind": "warmup", "epochs": 1, "then": {"kind": "exponential", "factor": 0.5}}, [1, 1, 0.5, 0.25, 0.125]),
    ],
)
def test_the_rate_of_each_epoch(schedule: dict[str, Any], rates: list[float]) -> None:
    findings = Findings()
    stored = check_schedule(schedule, Pointer(findings))
    assert findings.faults == []
    for epoch, expected in enumerate(rates):
        assert math.isclose(read_schedule(stored).rate_at(epoch, 1.0), expected, abs_tol=1e-12)


@pytest.mark.parametrize(
    ("schedule", "pointer", "code"),
    [
        ("lambda epoch: 0.1", "", "wrong_type"),
        ({"kind": "stp"}, "/kind", "unknown_name"),
        ({"kind": ["step"]}, "/kind", "unknown_name"),
        ({}, "/kind", "unknown_name"),
        ({"kind": "step", "epochs": 0, "factor": 0.5}, "/epochs", "out_of_range"),
        ({"kind": "step", "epochs": "2", "factor": 0.5}, "/epochs", "wrong_type"),
        ({"kind": "step", "epochs": 2}, "/factor", "missing"),
        ({"kind": "exponential", "factor": 0.5, "gamma": 1}, "/gamma", "unknown_field"),
        ({"kind": "table", "rates": [[3, 0.1], [1, 0.3]]}, "/rates", "conflict"),
        ({"kind": "table", "rates": [[0, -0.1]]}, "/rates/0/1", "out_of_range"),
        ({"kind": "warmup", "epochs": 2, "then": {"kind": "warmup", "epochs": 2}}, "/then", "conflict"),
        ({"kind": "warmup", "epochs": 2, "then": {"kind": "cosine", "epochs": 0}}, "/then/epochs", "out_of_range"),
    ],
)
def test_invalid_schedules(schedule: Any, pointer: str, code: str) -> None:
    findings = Findings()
    check_schedule(schedule, Pointer(findings))
    assert [(fault.pointer, fault.code) for fault in findings.faults] == [(pointer, code)]
