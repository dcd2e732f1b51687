"""Makes each value in Keras's logs a single number, so that callbacks and reports can use it."""

from typing import Any

import keras
import numpy as np

from fitqueue.spec.fields.logged import names_of_values


class ScalarLogs(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Replaces what a metric gives for each class by numbers of their own, after their mean. It comes first.

    Keras passes the same dict to the callbacks after this one, and to its own.
    """

    async_safe = True

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        make_scalar(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        make_scalar(logs)


def make_scalar(logs: dict[str, Any] | None) -> None:
    """Replace each array in the logs by its mean and its values."""
    if not logs or all(isinstance(value, float) for value in logs.values()):
        return
    scalar = {key: number for name, value in logs.items() for key, number in _numbers(name, value).items()}
    logs.clear()
    logs.update(scalar)


def _numbers(name: str, value: Any) -> dict[str, float]:
    """Return the value under its name; or, if it is an array, its mean, followed by its values."""
    if isinstance(value, float):
        return {name: value}
    values = np.asarray(value, dtype=np.float64).reshape(-1)
    return {name: float(values.mean()), **dict(zip(names_of_values(name, values.size), values.tolist(), strict=False))}
