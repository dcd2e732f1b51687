import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitqueue.fit.plain import plain, report_not_finite
from fitqueue.spec.findings import Findings, Pointer


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.array([1, 2]), [1, 2]),
        ((1, (2, 3)), [1, [2, 3]]),
        (range(2), [0, 1]),
        (Path("logs") / "a", "logs/a"),
        ({0: np.float64(2), 1.0: 1, np.int32(2): None, "a": "b"}, {"0": 2.0, "1": 1, "2": None, "a": "b"}),
        ("text", "text"),
        (None, None),
    ],
)
def test_values_of_json(value: Any, expected: Any) -> None:
    result = plain(value)
    assert result == expected
    assert type(result) is type(expected)


def test_numbers_that_json_cannot_hold() -> None:
    findings = Findings()
    report_not_finite({"a": [1.0, math.nan], "b": {"c/d": -math.inf}, "e": True, "f": None}, Pointer(findings, "/fit"))
    assert [(fault.pointer, fault.message, fault.received) for fault in findings.faults] == [
        ("/fit/a/1", "nan is not a number that can be sent.", "nan"),
        ("/fit/b/c~1d", "-inf is not a number that can be sent.", "-inf"),
    ]
