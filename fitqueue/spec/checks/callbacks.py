"""Check callbacks against the rest of their job: what they monitor, and what names their files, must be logged."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from fitqueue.spec.checks.optimizers import applying_config
from fitqueue.spec.fields.logged import LEARNING_RATE_CALLBACKS, batch_names, direction, epoch_names
from fitqueue.spec.fields.training import KerasObject
from fitqueue.spec.filepath import COUNTERS, BadTemplate, Template
from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer, did_you_mean, listed, quoted
from fitqueue.spec.keras_objects.legacy.logged_names import logged_as

_MODES: Final = {"min": "down", "max": "up"}

Metrics = Sequence[str | KerasObject]
_DEFAULT_MONITOR: Final = "val_loss"
Callbacks = Sequence[KerasObject | None]
"""The callbacks of a job; None stands for a faulty one."""


@dataclass(frozen=True)
class Logs:
    """The names that a callback finds in the logs, and a sentence on why validation values are missing."""

    names: tuple[str, ...]
    why_not_validated: str = ""

    def report_missing(self, name: str, what: str, pointer: Pointer) -> None:
        """Report a name that is not logged; `what` says in a message what the name is for."""
        reason = self.why_not_validated if name.startswith("val_") else ""
        message = f"{what} {quoted(name)} is not logged.{reason}" + did_you_mean(name, self.names)
        if (metric := name.rpartition("/")[0]) in self.names:
            message = f"Of the values of a metric, only their mean can be followed: {metric!r}."
        pointer.add_fault(
            FaultCode.NOT_LOGGED,
            message,
            received=name,
            expected="one of " + listed(self.names, most=40),
        )


def _of_class(class_name: str, callbacks: Callbacks) -> list[tuple[int, KerasObject]]:
    """Return the callbacks of this class and their indices."""
    return [(i, callback) for i, callback in enumerate(callbacks) if callback and callback.class_name == class_name]


# --- What callbacks need of the optimizer --------------------------------------------------------------------------


def check_optimizer(callbacks: Callbacks, optimizer: KerasObject, pointer: Pointer) -> None:
    """Report callbacks that set a learning rate which is a schedule, or that swap averages which are not kept."""
    config, _ = applying_config(optimizer)
    if isinstance(config.get("learning_rate"), dict):
        for class_name in LEARNING_RATE_CALLBACKS:
            for i, _ in _of_class(class_name, callbacks):
                (pointer / i).add_fault(
                    FaultCode.CONFLICT,
                    f"{class_name} cannot set the learning rate, because the optimizer has a schedule for it.",
                    expected=f"a number as the optimizer's learning_rate, or no {class_name}",
                )
    if not config.get("use_ema"):
        for i, _ in _of_class("SwapEMAWeights", callbacks):
            (pointer / i).add_fault(
                FaultCode.CONFLICT,
                "SwapEMAWeights needs an optimizer that keeps moving averages of the weights.",
                expected="use_ema: true in the optimizer's config",
            )


# --- Completing the callbacks of a valid job -----------------------------------------------------------------------


def with_logged_names(
    callbacks: Sequence[KerasObject], logged_names: Sequence[str], pointer: Pointer
) -> list[KerasObject]:
    """Return the callbacks with monitors and filepaths that use the names which the job logs."""
    return [_with_logged_names(callback, logged_names, pointer / i / "config") for i, callback in enumerate(callbacks)]


def _with_logged_names(callback: KerasObject, logged_names: Sequence[str], pointer: Pointer) -> KerasObject:
    config = dict(callback.config)
    if "monitor" in config:
        config["monitor"] = _translate(config["monitor"], logged_names, pointer / "monitor")
    if callback.class_name == "ModelCheckpoint":
        template = Template.parse(config["filepath"])
        renamed = template.renamed(lambda field: _translate(field, logged_names, pointer / "filepath"))
        config["filepath"] = renamed.keras_format()
    return callback.model_copy(update={"config": config})


def _translate(name: str, logged_names: Sequence[str], pointer: Pointer) -> str:
    current_name = logged_as(name, logged_names)
    if current_name != name:
        pointer.add_notice(NoticeCode.TRANSLATED, f"{name!r} is logged as {current_name!r} and is read as that.")
    return current_name


def without_redundant(callbacks: Sequence[KerasObject], pointer: Pointer) -> list[KerasObject]:
    """Return the callbacks without those that do what the service does for every job."""
    for i, _ in _of_class("BackupAndRestore", callbacks):
        (pointer / i).add_notice(
            NoticeCode.IGNORED,
            "Every job resumes if its worker is lost, without BackupAndRestore: it is left out.",
        )
    return [callback for callback in callbacks if callback.class_name != "BackupAndRestore"]


# --- Logged values -------------------------------------------------------------------------------------------------


def check_logged_names(callbacks: Callbacks, metrics: Metrics, not_validated: str | None, pointer: Pointer) -> None:
    """Report monitors and filepath fields that are not in the logs when their callback reads them.

    Args:
        not_validated: why no epoch ends with a validation; None if one does.
    """
    why_not_validated = "" if not_validated is None else f" {not_validated}"
    names = epoch_names(metrics, validated=not_validated is None)
    for i, callback in enumerate(callbacks):
        # A faulty callback may have been meant to set the learning rate as well.
        sets_rate = callback is None or callback.class_name in LEARNING_RATE_CALLBACKS
        if sets_rate and "learning_rate" not in names:
            names = (*names, "learning_rate")
        if callback is None:
            continue
        logs = at_epoch = Logs(names, why_not_validated)
        if callback.config.get("save_freq", "epoch") != "epoch":
            logs = Logs(batch_names(metrics), " It is logged at the end of an epoch only, not after a batch.")
        config_pointer = pointer / i / "config"
        if _ignores_monitor(callback):
            _warn_about_ignored(callback.config["monitor"], at_epoch, config_pointer / "monitor")
        elif "monitor" in callback.config:
            _check_monitor(callback, metrics, logs, config_pointer)
        if callback.class_name == "ModelCheckpoint":
            _check_fields(callback.config["filepath"], logs, config_pointer / "filepath")


def _check_monitor(callback: KerasObject, metrics: Metrics, logs: Logs, pointer: Pointer) -> None:
    monitor = logged_as(callback.config["monitor"], logs.names)
    if monitor not in logs.names:
        logs.report_missing(monitor, "The monitor", pointer / "monitor")
        return
    better, mode = direction(monitor, metrics), callback.config["mode"]
    if better is not None and _MODES.get(mode, better) != better:
        (pointer / "mode").add_notice(
            NoticeCode.SUSPICIOUS,
            f"{callback.class_name} takes a {'lower' if mode == 'min' else 'higher'} {monitor!r} for better, but the "
            f"other way is right: give the mode 'auto'.",
        )
    elif mode == "auto" and better is None:
        (pointer / "mode").add_fault(
            FaultCode.MISSING,
            f"Keras cannot tell whether a higher or a lower {monitor!r} is better.",
            received="auto",
            expected="'min' or 'max'",
        )


def _ignores_monitor(callback: KerasObject) -> bool:
    """Return whether this is a ModelCheckpoint that saves always, so that it never reads its monitor."""
    return callback.class_name == "ModelCheckpoint" and not callback.config["save_best_only"]


def _warn_about_ignored(monitor: str, logs: Logs, pointer: Pointer) -> None:
    if monitor != _DEFAULT_MONITOR and logged_as(monitor, logs.names) not in logs.names:
        pointer.add_notice(
            NoticeCode.SUSPICIOUS,
            f"The monitor {quoted(monitor)} is not logged. It is not used, because save_best_only is false."
            + did_you_mean(monitor, logs.names),
        )


def _check_fields(filepath: str, logs: Logs, pointer: Pointer) -> None:
    with suppress(BadTemplate):  # `check_checkpoints` reports it
        for field in Template.parse(filepath).fields:
            if field not in COUNTERS and logged_as(field, logs.names) not in logs.names:
                logs.report_missing(field, "The field", pointer)


def check_validation_fields(callbacks: Callbacks, validation_freq: int | list[int], pointer: Pointer) -> None:
    """Report filepaths with `val_…` fields if a checkpoint can be due after an epoch without a validation."""
    for i, callback in _of_class("ModelCheckpoint", callbacks):
        if isinstance(validation_freq, int) and callback.config["period"] % validation_freq == 0:
            continue
        with suppress(BadTemplate):  # `check_checkpoints` reports it
            for field in Template.parse(callback.config["filepath"]).fields:
                if field.startswith("val_"):
                    (pointer / i / "config" / "filepath").add_fault(
                        FaultCode.NOT_LOGGED,
                        f"The field {field!r} is not logged after every epoch: see `fit.validation_freq`.",
                        received=field,
                        expected="a filepath without it, or a `period` that is a multiple of `validation_freq`",
                    )


# --- ModelCheckpoint by itself -------------------------------------------------------------------------------------


def check_checkpoints(callbacks: Callbacks, pointer: Pointer) -> None:
    """Report faults of a ModelCheckpoint that do not depend on the rest of the job."""
    for i, callback in _of_class("ModelCheckpoint", callbacks):
        _check_checkpoint(callback.config, pointer / i / "config")


def _check_checkpoint(config: Mapping[str, Any], pointer: Pointer) -> None:
    if config["save_freq"] != "epoch" and config["period"] != 1:
        message = "period counts epochs and save_freq counts batches: give only one of them."
        (pointer / "period").add_fault(FaultCode.CONFLICT, message, config["period"])
    filepath, filepath_pointer = config["filepath"], pointer / "filepath"
    ending = ".weights.h5" if config["save_weights_only"] else ".keras"
    try:
        template = Template.parse(filepath)
    except BadTemplate as error:
        example = "a name such as 'ep{epoch:03d}-{loss:.3f}" + ending + "'"
        filepath_pointer.add_fault(FaultCode.BAD_TEMPLATE, str(error), filepath, example)
        return
    if not filepath.endswith(ending) or filepath == ending:
        content = "weights only" if config["save_weights_only"] else "a whole model"
        message = f"The name of a file with {content} must end in {ending}."
        filepath_pointer.add_fault(FaultCode.BAD_TEMPLATE, message, filepath, f"…{ending}")
    if "batch" in template.fields and config["save_freq"] == "epoch":
        message = "The field 'batch' has a value only if save_freq counts batches."
        filepath_pointer.add_fault(FaultCode.NOT_LOGGED, message, "batch")
