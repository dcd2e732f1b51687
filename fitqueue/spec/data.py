"""Which data a job trains on, and the steps that prepare it: what becomes of an array's shape and type."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from fitqueue.datasets import ArrayInfo
from fitqueue.spec.strict import EACH, ONE, ONE_OR_EACH, Strict

DType = Literal[
    "float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"
]


class PadSequences(Strict):
    """`keras.utils.pad_sequences`: sequences of any length become rows of `maxlen` numbers."""

    maxlen: int = Field(ge=1, le=1_000_000)
    value: float = 0.0
    padding: Literal["pre", "post"] = "pre"
    truncating: Literal["pre", "post"] = "pre"


class PrepareStep(Strict):
    """One step, named by its only key."""

    reshape: list[int] | None = Field(default=None, max_length=16, description="shape of a sample; one -1 is free")
    scale: float | None = Field(default=None, description="multiply by this; the result is float32")
    offset: float | None = Field(default=None, description="add this; the result is float32")
    one_hot: int | None = Field(default=None, ge=2, le=1_000_000, description="labels 0…n-1 become rows of n numbers")
    astype: DType | None = None
    pad_sequences: PadSequences | None = None

    @model_validator(mode="after")
    def _one_key(self) -> "PrepareStep":
        if len(self._set()) != 1:
            names = ", ".join(type(self).model_fields)
            raise ValueError(f"A step has exactly one of the keys {names}; this one has {len(self._set())}.")
        return self

    @model_serializer(mode="wrap")
    def _without_nulls(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}

    def _set(self) -> list[str]:
        return [name for name in type(self).model_fields if getattr(self, name) is not None]

    @property
    def kind(self) -> str:
        """The step's only key."""
        return self._set()[0]


MAX_PARTS: Final = 64
"""Inputs of a model, and outputs."""

Name = Annotated[str, Field(max_length=128)]
Names = Annotated[
    Annotated[Name, ONE] | Annotated[dict[Name, Name], Field(min_length=1, max_length=MAX_PARTS), EACH], ONE_OR_EACH
]
"""The name of an array, or of one for each input (output) of the model, under the input's (output's) name."""

StepList = Annotated[list[PrepareStep], Field(max_length=32)]
Steps = Annotated[
    Annotated[StepList, ONE] | Annotated[dict[Name, StepList], Field(max_length=MAX_PARTS), EACH], ONE_OR_EACH
]
"""Steps for each array, or for the array of each input (output) its own."""


class Prepare(Strict):
    """Steps for the inputs and for the targets, of training and validation alike."""

    x: Steps = Field(default_factory=list)
    y: Steps = Field(default_factory=list)


class Validation(Strict):
    """Names of the arrays to validate on, in the same data set."""

    x: Names
    y: Names
    sample_weight: Names | None = None


class DataSpec(Strict):
    """`dataset` is the name of a built-in set, or the id or name of an uploaded one."""

    dataset: Name
    x: Names
    y: Names
    sample_weight: Names | None = Field(default=None, description="how much each sample counts in the loss")
    validation: Validation | None = None
    prepare: Prepare = Field(default_factory=Prepare)


@dataclass(frozen=True)
class Part:
    """An array and the steps that prepare it. `key` names the input or output it is for; None: there is but one."""

    key: str | None
    array: str
    steps: Sequence[PrepareStep]


Value = TypeVar("Value")


def parts(names: Names | None, steps: Steps | tuple[()] = ()) -> list[Part]:
    """What `names` and `steps` say, array by array. Steps for keys that no name has are left aside."""
    if names is None:
        return []
    if isinstance(names, str):
        return [Part(None, names, steps if not isinstance(steps, Mapping) else ())]
    return [Part(key, name, steps.get(key, ()) if isinstance(steps, Mapping) else steps) for key, name in names.items()]


def joined(values: Mapping[str | None, Value]) -> Value | dict[str, Value]:
    """The only value, or the values under the names of what they are for: as Keras takes them."""
    return values[None] if None in values else {str(key): value for key, value in values.items()}


class StepError(ValueError):
    """A step does not fit the array that it gets; `index` says which step."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


def prepared_shape(array: ArrayInfo, steps: Sequence[PrepareStep]) -> ArrayInfo:
    """What the array is after these steps. Raises StepError for the first that does not fit."""
    for index, step in enumerate(steps):
        try:
            array = _after(array, step)
        except ValueError as error:
            raise StepError(index, str(error)) from error
    return array


def _after(array: ArrayInfo, step: PrepareStep) -> ArrayInfo:
    samples, *sample = array.shape
    if step.reshape is not None:
        return ArrayInfo((samples, *_reshaped(sample, step.reshape)), array.dtype)
    if step.pad_sequences is not None:
        return _padded(array, step.pad_sequences)
    if None in sample:
        raise ValueError(f"{step.kind} needs samples of one length, and these differ: use pad_sequences first")
    if step.one_hot is not None:
        return _one_hot(array, step.one_hot)
    return ArrayInfo(array.shape, step.astype or "float32")


def _reshaped(sample: Sequence[int | None], shape: Sequence[int]) -> list[int]:
    if any(length is None for length in sample):
        raise ValueError("reshape needs samples of one length, and these differ: use pad_sequences first")
    have = math.prod(length for length in sample if length is not None)
    known = math.prod(length for length in shape if length != -1)
    free = list(shape).count(-1)
    if free > 1 or any(length < 1 and length != -1 for length in shape):
        raise ValueError(f"the lengths of a shape are positive, and at most one is -1; received {list(shape)}")
    if (have != known) if not free else (have % known):
        raise ValueError(f"a sample of shape {list(sample)} has {have} values and cannot become {list(shape)}")
    return [have // known if length == -1 else length for length in shape]


def _one_hot(array: ArrayInfo, classes: int) -> ArrayInfo:
    if not array.dtype.startswith(("int", "uint", "bool")):
        raise ValueError(f"one_hot needs whole numbers, and the values are {array.dtype}: use astype first")
    _, *sample = array.shape
    # As keras.utils.to_categorical: labels in a column lose that column.
    labels = sample[:-1] if sample and sample[-1] == 1 else sample
    return ArrayInfo((array.shape[0], *labels, classes), "float32")


def _padded(array: ArrayInfo, step: PadSequences) -> ArrayInfo:
    if len(array.shape) != 2:
        raise ValueError(f"pad_sequences needs one sequence a sample; the array has the shape {list(array.shape)}")
    return ArrayInfo((array.shape[0], step.maxlen), "int32" if step.value.is_integer() else "float32")
