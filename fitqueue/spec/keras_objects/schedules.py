"""Learning rate schedules as data: the declared counterpart of the function of a LearningRateScheduler.

Epochs count from 0, as in Keras. `initial` is the learning rate of the optimizer at the start of training.
"""

import itertools
import math
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from fitqueue.spec.findings import FaultCode, Pointer, did_you_mean
from fitqueue.spec.strict import Strict, report_validation_error

Epochs = Annotated[int, Field(ge=1, le=1_000_000)]
Rate = Annotated[float, Field(ge=0, le=1e6)]


class Step(Strict):
    """Multiplies the rate by `factor` after every `epochs` epochs."""

    kind: Literal["step"]
    epochs: Epochs
    factor: float = Field(gt=0, le=10)

    def rate_at(self, epoch: int, initial: float) -> float:
        """Return the learning rate of an epoch."""
        return initial * self.factor ** (epoch // self.epochs)


class Exponential(Strict):
    """Multiplies the rate by `factor` after every epoch."""

    kind: Literal["exponential"]
    factor: float = Field(gt=0, le=10)

    def rate_at(self, epoch: int, initial: float) -> float:
        """Return the learning rate of an epoch."""
        return initial * self.factor**epoch


class Cosine(Strict):
    """Half a cosine over `epochs` epochs, from the initial rate down to the fraction `final` of it, and level after."""

    kind: Literal["cosine"]
    epochs: Epochs
    final: float = Field(default=0.0, ge=0, le=1)

    def rate_at(self, epoch: int, initial: float) -> float:
        """Return the learning rate of an epoch."""
        fraction = (1 + math.cos(math.pi * min(epoch, self.epochs) / self.epochs)) / 2
        return initial * (self.final + (1 - self.final) * fraction)


class Table(Strict):
    """Pairs `[epoch, rate]`: each rate holds until the epoch of the next pair, the initial rate until the first one."""

    kind: Literal["table"]
    rates: list[tuple[int, Rate]] = Field(min_length=1, max_length=10_000)

    # JSON has no tuples, and a strict model does not convert the lists that arrive in their place.
    @field_validator("rates", mode="before")
    @classmethod
    def _lists_to_pairs(cls, value: Any) -> Any:
        return [tuple(pair) if isinstance(pair, list) else pair for pair in value] if isinstance(value, list) else value

    @field_validator("rates")
    @classmethod
    def _check_ascending(cls, value: list[tuple[int, float]]) -> list[tuple[int, float]]:
        epochs = [epoch for epoch, _ in value]
        if epochs[0] < 0 or any(later <= earlier for earlier, later in itertools.pairwise(epochs)):
            raise ValueError("The epochs of the pairs must be 0 or higher, and ascend.")
        return value

    def rate_at(self, epoch: int, initial: float) -> float:
        """Return the learning rate of an epoch."""
        return next((rate for start, rate in reversed(self.rates) if start <= epoch), initial)


class WarmUp(Strict):
    """A linear rise over `epochs` epochs, from the fraction `start` of the initial rate. `then` starts at its end."""

    kind: Literal["warmup"]
    epochs: Epochs
    start: float = Field(default=0.0, ge=0, le=1)
    then: "Annotated[Step | Exponential | Cosine | Table, Field(discriminator='kind')] | None" = None

    def rate_at(self, epoch: int, initial: float) -> float:
        """Return the learning rate of an epoch."""
        if epoch < self.epochs:
            return initial * (self.start + (1 - self.start) * (epoch + 1) / self.epochs)
        return self.then.rate_at(epoch - self.epochs, initial) if self.then is not None else initial


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
    """Return the schedule that `check_schedule` returned as JSON."""
    return _SCHEDULE.validate_python(stored)


def json_schemas(title: str) -> dict[str, Any]:
    """Return the JSON Schema of a schedule under this title, and those of its kinds under titles that begin with it."""
    schema = _SCHEDULE.json_schema(ref_template=f"#/$defs/{title}{{model}}")
    kinds = schema.pop("$defs")
    return {title: {"oneOf": schema["oneOf"]}, **{f"{title}{kind}": each for kind, each in kinds.items()}}


def check_schedule(value: Any, pointer: Pointer) -> Any:
    """Return a schedule as it is stored, and report its faults."""
    expected = '{"kind": …} with one of the kinds ' + ", ".join(_KINDS)
    if not isinstance(value, dict):
        pointer.add_fault(
            FaultCode.WRONG_TYPE, f"A function cannot be sent as JSON. Expected {expected}.", value, expected
        )
        return value
    kind = value.get("kind")
    model = _KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        message = f"Expected {expected}." + (did_you_mean(kind, _KINDS) if isinstance(kind, str) else "")
        (pointer / "kind").add_fault(FaultCode.UNKNOWN_NAME, message, kind, "one of " + ", ".join(_KINDS))
        return value
    if model is WarmUp and value.get("then") is not None:
        return _check_warm_up(value, pointer)
    return _check(value, model, pointer)


def _check_warm_up(value: dict[str, Any], pointer: Pointer) -> Any:
    """Check the schedule after the warm-up by itself: pydantic would put its kind into the pointers of its faults."""
    then = value["then"]
    if isinstance(then, dict) and then.get("kind") == "warmup":
        (pointer / "then").add_fault(
            FaultCode.CONFLICT, "A warm-up cannot follow a warm-up.", then, "another kind of schedule"
        )
        return value
    warm_up = _check({name: argument for name, argument in value.items() if name != "then"}, WarmUp, pointer)
    return {**warm_up, "then": check_schedule(then, pointer / "then")}


def _check(value: dict[str, Any], model: type[Strict], pointer: Pointer) -> Any:
    try:
        return model.model_validate(value).model_dump(mode="json")
    except ValidationError as error:
        report_validation_error(error, model, value, pointer)
        return value
