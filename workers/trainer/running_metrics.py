"""The metrics of the running epoch, as Keras's own progress bar shows them."""

import math
from collections.abc import Callable
from typing import Final

import keras
from keras.src.utils.python_utils import pythonify_logs

from workers.trainer.scalar_logs import make_scalar

READING_SHARE: Final = 0.01
"""How much of the time reading may take. An AUC alone takes a hundredth of a second, and a large MeanIoU a tenth."""


class RunningMetrics:
    """Reads the metrics where Keras itself reads them at the end of an epoch: from their variables, unchanged.

    What a step returns cannot be used instead. On several devices, that is the mean over replicas of which only the
    first one knows the metrics.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._values: dict[str, float] = {}
        self._next_reading = -math.inf

    def begin_epoch(self) -> None:
        """Forget the values of the epoch before."""
        self._values = {}

    def read(self, model: keras.Model, loss: float) -> tuple[dict[str, float], bool]:
        """Return the metrics with this loss, and whether all of them were read now.

        Between two readings, all but the loss are those of the last reading.
        """
        began = self._clock()
        is_due = began >= self._next_reading
        if is_due:
            self._values = _read(model)
            ended = self._clock()
            self._next_reading = ended + (ended - began) / READING_SHARE
        return self._values | {"loss": loss}, is_due


def _read(model: keras.Model) -> dict[str, float]:
    values: dict[str, float] = pythonify_logs(model.get_metrics_result())
    make_scalar(values)
    return values
