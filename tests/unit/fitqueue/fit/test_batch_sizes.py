"""The batch sizes that a job gets are those that Keras takes. `tests/acceptance/test_fit.py` compares the losses."""

from typing import Any

import pytest

from fitqueue.fit.batch_sizes import chosen_sizes


@pytest.mark.parametrize(
    ("fit", "samples", "validation_samples", "sizes"),
    [
        ({}, 100, None, {}),
        ({}, 100, 50, {}),
        ({"batch_size": 8, "steps_per_epoch": 3, "validation_steps": 2}, 100, 50, {}),
        ({"steps_per_epoch": 7}, 100, None, {"batch_size": 15}),
        ({"steps_per_epoch": 7}, 100, 50, {"batch_size": 15, "validation_batch_size": 32}),
        ({"validation_steps": 7}, 100, 50, {"batch_size": 32, "validation_batch_size": 8}),
        ({"validation_steps": 7, "validation_batch_size": 5}, 100, 50, {}),
        ({"steps_per_epoch": 10, "validation_split": 0.25}, 100, None, {"batch_size": 8, "validation_batch_size": 32}),
        ({"steps_per_epoch": 1000}, 100, None, {"batch_size": 1}),
    ],
)
def test_batch_sizes(fit: dict[str, Any], samples: int, validation_samples: int | None, sizes: dict[str, int]) -> None:
    assert chosen_sizes(fit, samples, validation_samples) == sizes
