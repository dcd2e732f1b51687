"""Check callbacks against the rest of their job: what they watch, and what names a checkpoint, must be logged."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fitqueue.spec.filepath import COUNTERS, BadTemplate, Template
from fitqueue.spec.keras_objects import dialect
from fitqueue.spec.logged import RATE_SETTERS, direction, epoch_names, training_names
from fitqueue.spec.report import FaultCode, NoticeCode, Pointer, did_you_mean, listed
from fitqueue.spec.training import KerasObject

Metrics = Sequence[str | KerasObject]


@dataclass(frozen=True)
class Logs:
    """What a callback finds in the logs when it looks, and why nothing else is there."""

    names: tuple[str, ...]
    lacking: str = ""

    def fault(self, name: str, what: str, at: Pointer) -> None:
        why = self.lacking if name.startswith("val_") else ""
        at.fault(
            FaultCode.NOT_LOGGED,
            f"{what} {name[:64]!r} is not logged.{why}" + did_you_mean(name, self.names),
            received=name,
            expected="one of " + listed(self.names, most=40),
        )


Callbacks = Sequence[KerasObject | None]
"""None stands for one that is faulty already."""


def check_optimizer(callbacks: Callbacks, optimizer: KerasObject, at: Pointer) -> None:
    """What callbacks need of the optimizer: a learning rate that they may set, averages that they may swap."""
    if isinstance(optimizer.config.get("learning_rate"), dict):
        for name in RATE_SETTERS:
            for i, _ in _of_class(name, callbacks):
                (at / i).fault(
                    FaultCode.CONFLICT,
                    f"{name} cannot set a learning rate that a schedule of the optimizer sets.",
                    expected=f"a number as the optimizer's learning_rate, or no {name}",
                )
    if not optimizer.config.get("use_ema"):
        for i, _ in _of_class("SwapEMAWeights", callbacks):
            (at / i).fault(
                FaultCode.CONFLICT,
                "SwapEMAWeights needs an optimizer that keeps averages of the weights.",
                expected="use_ema: true in the optimizer's config",
            )


def in_logged_names(callbacks: Sequence[KerasObject], names: Sequence[str], at: Pointer) -> list[KerasObject]:
    """The callbacks with what they watch, and what names their files, under the names that the job logs."""
    return [_renamed(callback, names, at / i / "config") for i, callback in enumerate(callbacks)]


def _renamed(callback: KerasObject, names: Sequence[str], at: Pointer) -> KerasObject:
    config = dict(callback.config)
    if "monitor" in config and not _is_left_at_default(callback):
        config["monitor"] = _logged_as(config["monitor"], names, at / "monitor")
    if callback.class_name == "ModelCheckpoint":
        here = at / "filepath"
        template = Template.parse(config["filepath"])
        config["filepath"] = template.renamed(lambda field: _logged_as(field, names, here)).keras_format()
    return callback.model_copy(update={"config": config})


def _logged_as(name: str, names: Sequence[str], at: Pointer) -> str:
    present = dialect.logged_as(name, names)
    if present != name:
        at.notice(NoticeCode.TRANSLATED, f"{name!r} is logged as {present!r} and read as that.")
    return present


def without_needless(callbacks: Sequence[KerasObject], at: Pointer) -> list[KerasObject]:
    """The callbacks less those that do what the service does for every job."""
    for i, _ in _of_class("BackupAndRestore", callbacks):
        (at / i).notice(NoticeCode.IGNORED, "Every job does it: one that loses its worker is put back. It is left out.")
    return [callback for callback in callbacks if callback.class_name != "BackupAndRestore"]


def check_logged(callbacks: Callbacks, metrics: Metrics, not_validated: str | None, at: Pointer) -> None:
    """What a callback watches, and what names a checkpoint, stands in the logs when the callback looks.

    `not_validated`: why no epoch ends with a validation; None where one does.
    """
    lacking = "" if not_validated is None else f" {not_validated}"
    names = epoch_names(metrics, validated=not_validated is None)
    for i, callback in enumerate(callbacks):
        # One that is faulty already may have been meant for it, too.
        if (callback is None or callback.class_name in RATE_SETTERS) and "learning_rate" not in names:
            names = (*names, "learning_rate")
        if callback is None:
            continue
        here, logs = at / i / "config", Logs(names, lacking)
        if callback.config.get("save_freq", "epoch") != "epoch":
            logs = Logs(training_names(metrics), " It is there at the end of an epoch only, not after a batch.")
        if "monitor" in callback.config:
            _check_monitor(callback, metrics, logs, here)
        if callback.class_name == "ModelCheckpoint":
            _check_fields(callback.config["filepath"], logs, here / "filepath")


def check_validated_names(callbacks: Callbacks, validation_freq: int | list[int], at: Pointer) -> None:
    """A name with a validated value needs one whenever a checkpoint is due."""
    for i, callback in _of_class("ModelCheckpoint", callbacks):
        if isinstance(validation_freq, int) and callback.config["period"] % validation_freq == 0:
            continue
        with suppress(BadTemplate):  # `check_checkpoints` says what is wrong with it
            for field in Template.parse(callback.config["filepath"]).fields:
                if field.startswith("val_"):
                    (at / i / "config" / "filepath").fault(
                        FaultCode.NOT_LOGGED,
                        f"The field {field!r} is not logged at the end of each epoch: see `fit.validation_freq`.",
                        received=field,
                        expected="a name without it, or a `period` that is a multiple of `validation_freq`",
                    )


def check_checkpoints(callbacks: Callbacks, at: Pointer) -> None:
    """What is wrong with a ModelCheckpoint whatever the rest of its job is."""
    for i, callback in _of_class("ModelCheckpoint", callbacks):
        _check_checkpoint(callback.config, at / i / "config")


def _of_class(name: str, callbacks: Callbacks) -> list[tuple[int, KerasObject]]:
    return [(i, callback) for i, callback in enumerate(callbacks) if callback and callback.class_name == name]


def _check_monitor(callback: KerasObject, metrics: Metrics, logs: Logs, at: Pointer) -> None:
    monitor = dialect.logged_as(callback.config["monitor"], logs.names)
    if _is_left_at_default(callback):
        return
    if monitor not in logs.names:
        logs.fault(monitor, "The monitor", at / "monitor")
    elif callback.config["mode"] == "auto" and direction(monitor, metrics) is None:
        (at / "mode").fault(
            FaultCode.MISSING,
            f"Keras cannot tell whether more or less of {monitor!r} is better.",
            received="auto",
            expected="'min' or 'max'",
        )


def _is_left_at_default(callback: KerasObject) -> bool:
    """A ModelCheckpoint that saves always watches nothing, so its default monitor need not be logged."""
    return (
        callback.class_name == "ModelCheckpoint"
        and not callback.config["save_best_only"]
        and callback.config["monitor"] == "val_loss"
    )


def _check_checkpoint(config: Mapping[str, Any], at: Pointer) -> None:
    if config["save_freq"] != "epoch" and config["period"] != 1:
        (at / "period").fault(
            FaultCode.CONFLICT, "period counts epochs and save_freq batches: give one of them.", config["period"]
        )
    here, filepath = at / "filepath", config["filepath"]
    ending = ".weights.h5" if config["save_weights_only"] else ".keras"
    try:
        template = Template.parse(filepath)
    except BadTemplate as error:
        here.fault(
            FaultCode.BAD_TEMPLATE, str(error), filepath, "a name such as 'ep{epoch:03d}-{loss:.3f}" + ending + "'"
        )
        return
    if not filepath.endswith(ending) or filepath == ending:
        what = "weights alone" if config["save_weights_only"] else "a whole model"
        here.fault(FaultCode.BAD_TEMPLATE, f"The name of a file with {what} ends in {ending}.", filepath, f"…{ending}")
    if "batch" in template.fields and config["save_freq"] == "epoch":
        here.fault(FaultCode.NOT_LOGGED, "The field 'batch' has a value only where save_freq counts batches.", "batch")


def _check_fields(filepath: str, logs: Logs, at: Pointer) -> None:
    with suppress(BadTemplate):  # `check_checkpoints` says what is wrong with it
        for field in Template.parse(filepath).fields:
            if field not in COUNTERS and dialect.logged_as(field, logs.names) not in logs.names:
                logs.fault(field, "The field", at)
