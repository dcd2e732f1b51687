"""Check whether callbacks can come into effect within the epochs of a job, and whether its learning rate is usual."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fitqueue.spec.fields.training import FitSpec, KerasObject
from fitqueue.spec.findings import NoticeCode, Pointer

Callbacks = Sequence[KerasObject | None]
"""The callbacks of a job; None stands for a faulty one."""

_HIGHEST_RATE: Final = 1.0
"""The highest rate that is in use: that of Adadelta as it was published."""

_RATES_OF_SCHEDULES: Final = ("initial_learning_rate", "warmup_target", "end_learning_rate", "values")


# --- Callbacks -----------------------------------------------------------------------------------------------------


def check_timing(callbacks: Callbacks, fit: FitSpec | None, optimizer: KerasObject | None, pointer: Pointer) -> None:
    """Add notices about callbacks that cannot do anything before the training ends, or set implausible rates."""
    for i, callback in enumerate(callbacks):
        if callback is not None:
            config_pointer = pointer / i / "config"
            if fit is not None:
                _check_patience(callback, fit, config_pointer / "patience")
                _check_period(callback, fit, config_pointer / "period")
            if callback.class_name == "LearningRateScheduler":
                _check_table(callback.config.get("schedule"), config_pointer / "schedule" / "rates")
            if callback.class_name == "ReduceLROnPlateau":
                _check_plateau(callback, callbacks, config_pointer / "patience")
                _check_lowest_rate(callback, callbacks, optimizer, config_pointer / "min_lr")


def _check_patience(callback: KerasObject, fit: FitSpec, pointer: Pointer) -> None:
    if callback.class_name != "EarlyStopping":
        return
    patience, epochs = callback.config["patience"], _monitored_epochs(callback, fit)
    if epochs and patience > epochs:
        pointer.add_notice(
            NoticeCode.SUSPICIOUS,
            f"EarlyStopping waits for {patience:,} epochs without improvement, and sees its monitor {epochs:,} times: "
            "it never ends the training early.",
        )


def _monitored_epochs(callback: KerasObject, fit: FitSpec) -> int:
    """Return how often a callback finds its monitor in the logs."""
    start = int(callback.config.get("start_from_epoch") or 0)
    frequency = fit.validation_freq
    if not str(callback.config.get("monitor")).startswith("val_"):
        return max(fit.epochs - start, 0)
    if isinstance(frequency, int):
        return max(fit.epochs // frequency - start // frequency, 0)
    return len({epoch for epoch in frequency if start < epoch <= fit.epochs})


def _check_period(callback: KerasObject, fit: FitSpec, pointer: Pointer) -> None:
    period = callback.config.get("period")
    if callback.class_name == "ModelCheckpoint" and isinstance(period, int) and period > fit.epochs:
        pointer.add_notice(
            NoticeCode.SUSPICIOUS,
            f"ModelCheckpoint saves after every {period:,} epochs, and the job has {fit.epochs:,}: it never saves.",
        )


def _check_plateau(plateau: KerasObject, callbacks: Callbacks, pointer: Pointer) -> None:
    for other in callbacks:
        if (
            other is not None
            and other.class_name == "EarlyStopping"
            and other.config["monitor"] == plateau.config["monitor"]
            and not other.config.get("start_from_epoch")
            and plateau.config["patience"] > other.config["patience"]
        ):
            pointer.add_notice(
                NoticeCode.SUSPICIOUS,
                f"EarlyStopping ends the training after {other.config['patience']:,} epochs without improvement, "
                f"before ReduceLROnPlateau has waited for {plateau.config['patience']:,} to reduce the rate.",
            )


def _check_lowest_rate(
    plateau: KerasObject, callbacks: Callbacks, optimizer: KerasObject | None, pointer: Pointer
) -> None:
    if any(other is None or other.class_name == "LearningRateScheduler" for other in callbacks):
        return
    rate, lowest = optimizer.config.get("learning_rate") if optimizer is not None else None, plateau.config["min_lr"]
    if isinstance(rate, int | float) and lowest > rate:
        pointer.add_notice(
            NoticeCode.SUSPICIOUS,
            f"The learning rate begins at {rate:g}, below this minimum: ReduceLROnPlateau never reduces it.",
        )


def _check_table(schedule: object, pointer: Pointer) -> None:
    if isinstance(schedule, Mapping) and schedule.get("kind") == "table":
        _warn_about_rate(max(rate for _, rate in schedule["rates"]), pointer)


# --- The learning rate ---------------------------------------------------------------------------------------------


def check_learning_rate(optimizer: KerasObject, pointer: Pointer) -> None:
    """Add a notice about a learning rate with which no optimizer converges, or learns."""
    for rate_pointer, rate in _rates(optimizer.config, pointer / "config"):
        _warn_about_rate(rate, rate_pointer)


def _warn_about_rate(rate: float, pointer: Pointer) -> None:
    if rate > _HIGHEST_RATE:
        message = f"With a learning rate of {rate:g}, the loss will probably grow: 0.001 is usual."
        pointer.add_notice(NoticeCode.SUSPICIOUS, message)


def _rates(config: Mapping[str, Any], pointer: Pointer) -> Iterator[tuple[Pointer, float]]:
    """Yield the learning rates of an optimizer, and of the optimizer inside it."""
    inner, rate = config.get("inner_optimizer"), config.get("learning_rate")
    if isinstance(inner, Mapping):
        yield from _rates(inner["config"], pointer / "inner_optimizer" / "config")
    elif isinstance(rate, Mapping):
        yield from _scheduled_rates(rate["config"], pointer / "learning_rate" / "config")
    elif isinstance(rate, int | float):
        yield pointer / "learning_rate", rate


def _scheduled_rates(config: Mapping[str, Any], pointer: Pointer) -> Iterator[tuple[Pointer, float]]:
    for name in _RATES_OF_SCHEDULES:
        value = config.get(name)
        rates = value if isinstance(value, list) else [value]
        numbers = [rate for rate in rates if isinstance(rate, int | float)]
        if numbers:
            yield pointer / name, max(numbers)
