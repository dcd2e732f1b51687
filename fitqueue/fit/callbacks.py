"""Keras's callbacks as the JSON of a job: each with all of its arguments, which Keras keeps in attributes."""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from fitqueue.fit.framework import is_builtin
from fitqueue.fit.plain import plain
from fitqueue.spec import MAX_EPOCHS
from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer
from fitqueue.spec.keras_objects.catalogue import Entry, kind, left_out

_NONE: Final = object()
"""What an argument is that is to be left out, so that its default holds."""

_ADDED_BY_KERAS: Final = frozenset({"History", "ProgbarLogger", "BaseLogger"})
"""Callbacks that Keras adds to every training."""

MAX_CHANGES: Final = 10_000
"""The most changes of the rate in the table of a LearningRateScheduler."""

_OWN: Final = "{name} is a callback of your own, which is code, and only data can be sent. {follow}"
_FOLLOW: Final = "Follow the job instead: by its metrics, events and checkpoints, or in `client.watch`."


@dataclass(frozen=True)
class Callbacks:
    """The callbacks of a job.

    Attributes:
        labels: how an error names each of them: by its place in the user's list.
        code: the pointers of those that are not data.
    """

    data: list[dict[str, Any]]
    labels: list[str]
    code: list[str]


def describe_callbacks(callbacks: Any, rate: float | None, epochs: Any, pointer: Pointer) -> Callbacks:
    """Return the callbacks as data, and report those that are not.

    Args:
        callbacks: one, or a list of them, as for `fit`.
        rate: the learning rate that the training begins with; None if it follows a schedule of the optimizer.
    """
    described = Callbacks([], [], [])
    for index, callback in enumerate(_flat(callbacks)):
        name = type(callback).__name__
        if name in _ADDED_BY_KERAS and is_builtin(type(callback)):
            continue
        where = pointer / len(described.data)
        data = _describe(callback, rate, epochs, where)
        if data is None:
            described.code.append(where.text)
        # What is not data keeps its index, so that the pointers of the others are right.
        described.data.append(data or {"class_name": "TerminateOnNaN", "config": {}})
        described.labels.append(f"callbacks[{index}] ({name})")
    return described


def _flat(callbacks: Any) -> Iterator[Any]:
    """Yield each callback: Keras takes one by itself, lists in lists, and a CallbackList."""
    if callbacks is None:
        return
    inner = getattr(callbacks, "callbacks", None) if type(callbacks).__name__ == "CallbackList" else callbacks
    if not isinstance(inner, Iterable) or isinstance(inner, str | Mapping):
        yield inner
        return
    for callback in inner:
        yield from _flat(callback)


def _describe(callback: Any, rate: float | None, epochs: Any, pointer: Pointer) -> dict[str, Any] | None:
    name = type(callback).__name__
    if not hasattr(callback, "set_model"):
        message = f"Expected a callback of Keras, received {callback!r:.80}."
        pointer.add_fault(FaultCode.WRONG_TYPE, message, name, "a callback of Keras")
        return None
    entry = kind("callbacks").classes.get(name) if is_builtin(type(callback)) else None
    if entry is None:
        pointer.add_fault(FaultCode.CUSTOM_OBJECT, _why_not(callback), name, "one of Keras's callbacks")
        return None
    if name == "LearningRateScheduler":
        return _describe_scheduler(callback, rate, epochs, pointer)
    config = _arguments(callback, entry)
    if name == "ModelCheckpoint":
        config["filepath"] = _without_folder(config["filepath"], pointer / "config" / "filepath")
    return {"class_name": name, "config": config}


def _why_not(callback: Any) -> str:
    name = type(callback).__name__
    reason = left_out(name, "callbacks") if is_builtin(type(callback)) else None
    if reason is None:
        return _OWN.format(name=name, follow=_FOLLOW)
    return reason if "instead" in reason else f"{reason} {_FOLLOW}"


def _without_folder(path: Any, pointer: Pointer) -> Any:
    """Return the name of a checkpoint: a job has files, but no folders."""
    folder, slash, name = str(path).replace(os.sep, "/").rpartition("/")
    if not slash or not name or "{" in folder:
        return path  # a folder for each epoch is refused
    message = f"The checkpoint {name!r} becomes a file of the job, and not one in {folder!r}: client.download gets it."
    pointer.add_notice(NoticeCode.TRANSLATED, message)
    return name


# --- Arguments -----------------------------------------------------------------------------------------------------


def _mode(callback: Any) -> Any:
    """Return the mode. Keras 2 forgets it, and keeps the comparison that it means, or decides by the name alone."""
    if not hasattr(callback, "mode"):
        return {"less": "min", "greater": "max"}.get(getattr(callback.monitor_op, "__name__", ""), "auto")
    is_keras_2 = callable(callback.monitor_op) and not hasattr(callback, "_set_monitor_op")
    if is_keras_2 and callback.mode == "auto":
        return "max" if "acc" in callback.monitor else "min"
    return callback.mode


def _threshold(callback: Any) -> Any:
    """Return the best value so far. Keras 2 begins with infinity."""
    best = callback.best
    return float(best) if best is not None and np.isfinite(best) else _NONE


def _profiled(callback: Any) -> Any:
    first, last = callback._start_batch, callback._stop_batch
    return first if first == last else [first, last]


_SPECIAL: Final[Mapping[str, Callable[[Any], Any]]] = {
    "mode": _mode,
    "min_delta": lambda callback: abs(callback.min_delta),  # Keras turns its sign for a loss
    "initial_value_threshold": _threshold,
    "separator": lambda callback: callback.sep,
    "profile_batch": _profiled,
    "verbose": lambda callback: int(callback.verbose > 0),  # more than 1 is the same to Keras
}


def _arguments(callback: Any, entry: Entry) -> dict[str, Any]:
    values = {name: _read(callback, name) for name in entry.properties}
    return {name: plain(value) for name, value in values.items() if value is not _NONE}


def _read(callback: Any, name: str) -> Any:
    if name in _SPECIAL:
        return _SPECIAL[name](callback)
    return getattr(callback, name, _NONE)


# --- LearningRateScheduler -----------------------------------------------------------------------------------------


def _describe_scheduler(callback: Any, rate: float | None, epochs: Any, pointer: Pointer) -> dict[str, Any] | None:
    if rate is None:
        message = "A LearningRateScheduler cannot change a rate that follows a schedule of the optimizer."
        pointer.add_fault(FaultCode.CONFLICT, message, "LearningRateScheduler", "an optimizer with a constant rate")
        return None
    where = pointer / "config" / "schedule"
    if not isinstance(epochs, int) or not 1 <= epochs <= MAX_EPOCHS:
        return None  # `epochs` has a fault
    try:
        rates = _sample(callback.schedule, rate, epochs)
    except Exception as error:  # the user's function runs here, and may raise anything
        message = f"Its function failed: {type(error).__name__}: {error}"
        where.add_fault(FaultCode.REFUSED_BY_KERAS, message, None, "a function of the epoch, or of the epoch and rate")
        return None
    changes = _changes(rates)
    if len(changes) > MAX_CHANGES:
        message = (
            f"The rate changes in {len(changes)} epochs, and at most {MAX_CHANGES} changes can be sent. Use a "
            "schedule of keras.optimizers.schedules as the optimizer's rate."
        )
        where.add_fault(FaultCode.TOO_LARGE, message, len(changes), f"at most {MAX_CHANGES} changes of the rate")
        return None
    message = f"Your function was called for each of the {epochs} epochs, and its rates are sent as a table."
    where.add_notice(NoticeCode.TRANSLATED, message)
    config = {"schedule": {"kind": "table", "rates": changes}, "verbose": int(callback.verbose > 0)}
    return {"class_name": "LearningRateScheduler", "config": config}


def _sample(schedule: Callable[..., Any], rate: float, epochs: int) -> list[float]:
    """Return the rate of each epoch. Keras passes what the last call returned, as a float32."""
    rates = []
    for epoch in range(epochs):
        rate = float(_call(schedule, epoch, float(np.float32(rate))))
        if not math.isfinite(rate):
            raise ValueError(f"it returned {rate} for epoch {epoch}")
        rates.append(rate)
    return rates


def _call(schedule: Callable[..., Any], epoch: int, rate: float) -> Any:
    try:
        return schedule(epoch, rate)
    except TypeError as error:
        try:
            return schedule(epoch)  # as Keras does: older functions take the epoch alone
        except TypeError:
            raise error from None


def _changes(rates: Sequence[float]) -> list[list[float]]:
    """Return the epochs in which the rate changes, each with its rate."""
    later = enumerate(pairwise(rates), 1)
    return [[0, rates[0]], *([epoch, after] for epoch, (before, after) in later if after != before)]
