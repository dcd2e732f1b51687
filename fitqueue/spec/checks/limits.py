"""Check a job against the limits of one service, as far as the job itself decides whether it reaches them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fitqueue.spec.fields.training import FitSpec, KerasObject
from fitqueue.spec.filepath import Template
from fitqueue.spec.findings import FaultCode, Pointer

_EPOCH: Final = "epoch"
_BATCH: Final = "batch"


@dataclass(frozen=True)
class Saves:
    """When a ModelCheckpoint saves: after so many epochs, or after every `frequency` batches of `steps` in an epoch."""

    epochs: int
    period: int
    frequency: int | None
    steps: int | None
    """None: it is not known how many batches an epoch has."""

    def count_names(self, fields: frozenset[str]) -> int:
        """Return how many different names a template with these fields gives, at the least."""
        if not fields & {_EPOCH, _BATCH}:
            return 1  # logged values may be equal
        if self.frequency is None:
            return self.epochs // self.period
        if self.steps is None:
            return 1
        saves = self.epochs * self.steps // self.frequency
        if fields >= {_EPOCH, _BATCH}:
            return saves
        most = self.epochs if _EPOCH in fields else self.steps // math.gcd(self.steps, self.frequency)
        return min(saves, most)


def check_epochs(fit: FitSpec, most: int, pointer: Pointer) -> None:
    """Report too many epochs; `pointer` leads to `fit`."""
    if fit.epochs > most:
        message = f"This service trains a job for at most {most:,} epochs."
        (pointer / "epochs").add_fault(FaultCode.OUT_OF_RANGE, message, fit.epochs, f"at most {most}")


def check_checkpoints(
    fit: FitSpec, callbacks: Sequence[KerasObject], samples: int | None, most: int, pointer: Pointer
) -> None:
    """Report more checkpoints than a service keeps, if no callback may end the job before it has them.

    Args:
        samples: the length of the arrays to train on; None if it is not known.
        pointer: leads to the callbacks.
    """
    if any(callback.class_name == "EarlyStopping" for callback in callbacks):
        return
    names = 0
    for i, callback in enumerate(callbacks):
        if callback.class_name != "ModelCheckpoint" or callback.config["save_best_only"]:
            continue
        fields = Template.parse(callback.config["filepath"]).fields
        names += _saves(callback, fit, samples).count_names(frozenset(fields))
        if names > most:
            (pointer / i / "config" / "filepath").add_fault(
                FaultCode.TOO_LARGE,
                f"The job would have {names:,} checkpoints, and this service keeps {most:,} of a job. Save less often, "
                "or under names that are used again.",
                received=callback.config["filepath"],
                expected=f"at most {most} names",
            )
            return


def _saves(callback: KerasObject, fit: FitSpec, samples: int | None) -> Saves:
    frequency = callback.config["save_freq"]
    return Saves(
        epochs=fit.epochs,
        period=callback.config["period"],
        frequency=None if frequency == _EPOCH else frequency,
        steps=None if samples is None else _steps(fit, samples),
    )


def _steps(fit: FitSpec, samples: int) -> int:
    """Return how many steps an epoch has."""
    batches = fit.batches(fit.training_samples(samples))
    return batches if fit.steps_per_epoch is None else min(batches, fit.steps_per_epoch)
