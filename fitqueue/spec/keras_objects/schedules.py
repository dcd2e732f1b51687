"""The learning rate by epoch, declared: what the function of a LearningRateScheduler says in a script.

Epochs count from 0, as Keras counts them for a schedule. `initial` is the learning rate that the optimizer starts with.
"""

import itertools
import math
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from fitqueue.spec.report import FaultCode, Pointer, did_you_mean
from fitqueue.spec.strict import Strict, report_validation_error

Epochs = Annotated[int, Field(ge=1, le=1_000_000)]
Rate = Annotated[float, Field(ge=0, le=1e6)]


class Step(Strict):
    """The rate times `factor` after each `epochs` epochs."""

    kind: Literal["step"]
    epochs: Epochs
    factor: float = Field(gt=0, le=10)

    def at(self, epoch: int, initial: float) -> float:
        return initial * self.factor ** (epoch // self.epochs)


class Exponential(Strict):
    """The rate times `factor` after each epoch."""

    kind: Literal["exponential"]
    factor: float = Field(gt=0, le=10)

    def at(self, epoch: int, initial: float) -> float:
        return initial * self.factor**epoch


class Cosine(Strict):
    """Half a cosine from the initial rate down to `final` of it, over `epochs` epochs; from there on level."""

    kind: Literal["cosine"]
    epochs: Epochs
    final: float = Field(default=0.0, ge=0, le=1)

    def at(self, epoch: int, initial: float) -> float:
        share = (1 + math.cos(math.pi * min(epoch, self.epochs) / self.epochs)) / 2
        return initial * (self.final + (1 - self.final) * share)


class Table(Strict):
    """Pairs `[epoch, rate]`: each rate holds from its epoch to the next one's; before the first, the initial rate."""

    kind: Literal["table"]
    rates: list[tuple[int, Rate]] = Field(min_length=1, max_length=10_000)

    # JSON has no tuples: a pair arrives as a list, which a strict model does not take for one.
    @field_validator("rates", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        return [tuple(one) if isinstance(one, list) else one for one in value] if isinstance(value, list) else value

    @field_validator("rates")
    @classmethod
    def _ascending(cls, value: list[tuple[int, float]]) -> list[tuple[int, float]]:
        epochs = [epoch for epoch, _ in value]
        if epochs[0] < 0 or any(later <= earlier for earlier, later in itertools.pairwise(epochs)):
            raise ValueError("The epochs of the pairs count from 0 and ascend.")
        return value

    def at(self, epoch: int, initial: float) -> float:
        return next((rate for start, rate in reversed(self.rates) if start <= epoch), initial)


class WarmUp(Strict):
    """A straight line from `start` of the initial rate up to all of it; `then` counts from its end."""

    kind: Literal["warmup"]
    epochs: Epochs
    start: float = Field(default=0.0, ge=0, le=1)
    then: "Annotated[Step | Exponential | Cosine | Table, Field(discriminator='kind')] | None" = None

    def at(self, epoch: int, initial: float) -> float:
        if epoch < self.epochs:
            return initial * (self.start + (1 - self.start) * (epoch + 1) / self.epochs)
        return self.then.at(epoch - self.epochs, initial) if self.then is not None else initial


Schedule = Annotated[Step | Exponential | Cosine | Table | WarmUp, Field(discriminator="kind")]
_KINDS: Final[dict[str, type[Strict]]] = {
    "step": Step,
    "exponential": Exponential,
    "cosine": Cosine,
    "warmup": WarmUp,
    "table": Table,
}
_SCHEDULE: Final[TypeAdapter[Schedule]] = TypeAdapter(Schedule)


def read_schedule(stored: Any) -> Schedule:
    """A schedule that was checked before."""
    return _SCHEDULE.validate_python(stored)


def rate(schedule: Schedule, epoch: int, initial_rate: float) -> float:
    """The learning rate of this epoch (counted from 0), never below 0."""
    return schedule.at(epoch, initial_rate)


def check_schedule(value: Any, at: Pointer) -> Any:
    """The schedule as it is stored; what is wrong with it is written down."""
    expected = '{"kind": …} with one of the kinds ' + ", ".join(_KINDS)
    if not isinstance(value, dict):
        at.fault(FaultCode.WRONG_TYPE, f"Functions cannot travel as JSON. Expected {expected}.", value, expected)
        return value
    kind = value.get("kind")
    model = _KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        message = f"Expected {expected}." + (did_you_mean(kind, _KINDS) if isinstance(kind, str) else "")
        (at / "kind").fault(FaultCode.UNKNOWN_NAME, message, kind, "one of " + ", ".join(_KINDS))
        return value
    if model is WarmUp and value.get("then") is not None:
        return _check_warm_up(value, at)
    return _check(value, model, at)


def _check_warm_up(value: dict[str, Any], at: Pointer) -> Any:
    """What comes after is checked for itself: pydantic would name its kind among the steps of a fault's pointer."""
    here, then = at / "then", value["then"]
    if isinstance(then, dict) and then.get("kind") == "warmup":
        here.fault(FaultCode.CONFLICT, "A warm-up cannot follow a warm-up.", then, "another kind of schedule")
        return value
    first = _check({name: part for name, part in value.items() if name != "then"}, WarmUp, at)
    return {**first, "then": check_schedule(then, here)}


def _check(value: dict[str, Any], model: type[Strict], at: Pointer) -> Any:
    try:
        return model.model_validate(value).model_dump(mode="json")
    except ValidationError as error:
        report_validation_error(error, model, at)
        return value
