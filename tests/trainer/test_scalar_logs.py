"""The values that a metric gives for several classes, in Keras's logs."""

from typing import Any

import numpy as np
import pytest

from workers.trainer.scalar_logs import ScalarLogs


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, {"m": 0.5}),
        (np.float32([0.25, 0.75]), {"m": 0.5, "m/0": 0.25, "m/1": 0.75}),
        (np.float32([[1, 2], [3, 4]]), {"m": 2.5, "m/0": 1.0, "m/1": 2.0, "m/2": 3.0, "m/3": 4.0}),
        (np.float32([0.25]), {"m": 0.25}),
        (np.zeros(101, "float32"), {"m": 0.0}),
    ],
)
def test_an_array_becomes_its_mean_and_its_values(value: Any, expected: dict[str, float]) -> None:
    logs = {"loss": 1.0, "m": value, "val_loss": 2.0}
    ScalarLogs().on_epoch_end(0, logs)
    assert list(logs.items()) == [("loss", 1.0), *expected.items(), ("val_loss", 2.0)]
    assert all(type(number) is float for number in logs.values())


def test_a_hundred_values_have_names_of_their_own() -> None:
    logs: dict[str, Any] = {"m": np.arange(100)}
    ScalarLogs().on_train_batch_end(0, logs)
    assert list(logs)[:2] == ["m", "m/0"]
    assert (len(logs), logs["m"], logs["m/99"]) == (101, 49.5, 99.0)
