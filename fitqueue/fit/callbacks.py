"""Keras's callbacks as the JSON of a job: each with all of its arguments, which Keras keeps in attributes."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from fitqueue.fit.framework import is_builtin
from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer
from fitqueue.spec.keras_objects.catalogue import Entry, kind, left_out

_NONE: Final = object()
"""What an argument is that is to be left out, so that its default holds."""

_OWN: Final = (
    "{name} is a callback of your own, which is code, and only data can be sent. Follow the job instead: by its "
    "metrics, events and checkpoints, or in `client.watch`."
)


def _mode(callback: Any) -> Any:
    """Return the mode. Keras 2 forgets it, and keeps the comparison that it means."""
    if hasattr(callback, "mode"):
        return callback.mode
    return {"less": "min", "greater": "max"}.get(getattr(callback.monitor_op, "__name__", ""), "auto")


def _threshold(callback: Any) -> Any:
    """Return the best value so far. Keras 2 begins with infinity."""
    return callback.best if callback.best is not None and np.isfinite(callback.best) else _NONE


def _profiled(callback: Any) -> Any:
    first, last = callback._start_batch, callback._stop_batch
    return first if first == last else [first, last]


_SPECIAL: Final[Mapping[str, Callable[[Any], Any]]] = {
    "mode": _mode,
    "min_delta": lambda callback: abs(callback.min_delta),  # Keras turns its sign for a loss
    "initial_value_threshold": _threshold,
    "separator": lambda callback: callback.sep,
    "profile_batch": _profiled,
}


def describe_callbacks(
    callbacks: Sequence[Any], rate: float | None, epochs: int, pointer: Pointer
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the callbacks that are data, and the pointers of those that are not.

    Args:
        rate: the learning rate that the training begins with; None if it follows a schedule of the optimizer.
    """
    described, reported = [], []
    for index, callback in enumerate(callbacks):
        data = _describe(callback, rate, epochs, pointer / index)
        if data is None:
            reported.append((pointer / index).text)
        # What is not data keeps its index, so that the pointers of the others are right.
        described.append(data or {"class_name": "TerminateOnNaN", "config": {}})
    return described, reported


def _describe(callback: Any, rate: float | None, epochs: int, pointer: Pointer) -> dict[str, Any] | None:
    name = type(callback).__name__
    entry = kind("callbacks").classes.get(name) if is_builtin(type(callback)) else None
    if entry is None:
        reason = left_out(name, "callbacks") if is_builtin(type(callback)) else None
        message = reason or _OWN.format(name=name)
        pointer.add_fault(FaultCode.CUSTOM_OBJECT, message, name, "one of Keras's callbacks")
        return None
    if name == "LearningRateScheduler":
        return _describe_scheduler(callback, rate, epochs, pointer)
    return {"class_name": name, "config": _arguments(callback, entry)}


def _arguments(callback: Any, entry: Entry) -> dict[str, Any]:
    values = {name: _read(callback, name) for name in entry.properties}
    return {name: _as_data(value) for name, value in values.items() if value is not _NONE}


def _read(callback: Any, name: str) -> Any:
    if name in _SPECIAL:
        return _SPECIAL[name](callback)
    return getattr(callback, name, _NONE)


def _as_data(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return list(value) if isinstance(value, tuple) else value


# --- LearningRateScheduler -----------------------------------------------------------------------------------------


def _describe_scheduler(callback: Any, rate: float | None, epochs: int, pointer: Pointer) -> dict[str, Any] | None:
    if rate is None:
        message = "A LearningRateScheduler cannot change a rate that follows a schedule of the optimizer."
        pointer.add_fault(FaultCode.CONFLICT, message, "LearningRateScheduler", "an optimizer with a constant rate")
        return None
    try:
        rates = _sample(callback.schedule, rate, epochs)
    except Exception as error:  # the user's function runs here, and may raise anything
        message = f"The function of the LearningRateScheduler failed: {type(error).__name__}: {error}"
        pointer.add_fault(FaultCode.REFUSED_BY_KERAS, message, None, "a function of the epoch and the rate")
        return None
    message = f"Your function was called for each of the {epochs} epochs, and its rates are sent as a table."
    (pointer / "config" / "schedule").add_notice(NoticeCode.TRANSLATED, message)
    later = enumerate(pairwise(rates), 1)
    changes = [[0, rates[0]], *([epoch, after] for epoch, (before, after) in later if after != before)]
    table = {"kind": "table", "rates": changes}
    return {"class_name": "LearningRateScheduler", "config": {"schedule": table, "verbose": callback.verbose}}


def _sample(schedule: Callable[..., Any], rate: float, epochs: int) -> list[float]:
    """Return the rate of each epoch. Keras passes what the last call returned, as a float32."""
    rates = []
    for epoch in range(epochs):
        current = float(np.float32(rate))
        try:
            rate = schedule(epoch, current)
        except TypeError:  # as Keras does: older functions take the epoch alone
            rate = schedule(epoch)
        rate = float(rate)
        rates.append(rate)
    return rates
