"""The data of a job and the steps that prepare it, with their effect on an array's shape and dtype."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from fitqueue.datasets import ArrayInfo
from fitqueue.spec.keras_objects.graph import MAX_IO
from fitqueue.spec.strict import BY_NAME, SINGLE, SINGLE_OR_BY_NAME, Strict

DType = Literal[
    "float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"
]


class PadSequences(Strict):
    """`keras.utils.pad_sequences`: sequences of any length become rows of `maxlen` numbers."""

    maxlen: int = Field(ge=1, le=1_000_000, description="the length of all rows")
    value: float = Field(default=0.0, description="the number that fills up short sequences")
    padding: Literal["pre", "post"] = Field(default="pre", description="where short sequences are filled up")
    truncating: Literal["pre", "post"] = Field(default="pre", description="where long sequences are cut")


class PrepareStep(Strict):
    """One preparation step: an object with exactly one key, which names the step."""

    reshape: list[int] | None = Field(
        default=None, max_length=16, description="the new shape of a sample; one length may be -1, to be computed"
    )
    scale: float | None = Field(default=None, description="a factor to multiply by; the result is float32")
    offset: float | None = Field(default=None, description="a number to add; the result is float32")
    one_hot: int | None = Field(
        default=None, ge=2, le=1_000_000, description="the number of classes n; labels 0…n-1 become rows of n numbers"
    )
    astype: DType | None = Field(default=None, description="the dtype to convert to")
    pad_sequences: PadSequences | None = Field(default=None, description="make sequences of any length equally long")

    @model_validator(mode="after")
    def _has_one_key(self) -> "PrepareStep":
        if len(self._set_fields()) != 1:
            names = ", ".join(type(self).model_fields)
            count = len(self._set_fields())
            raise ValueError(f"A step needs exactly one of the keys {names}, but this one has {count}.")
        return self

    @model_serializer(mode="wrap")
    def _without_nulls(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}

    def _set_fields(self) -> list[str]:
        return [name for name in type(self).model_fields if getattr(self, name) is not None]

    @property
    def kind(self) -> str:
        """The name of the step, its only key."""
        return self._set_fields()[0]


Name = Annotated[str, Field(max_length=128)]
IOName = Annotated[str, Field(max_length=255)]
"""The name of an input or output: that of a layer."""
ArrayNames = Annotated[
    Annotated[Name, SINGLE] | Annotated[dict[IOName, Name], Field(min_length=1, max_length=MAX_IO), BY_NAME],
    SINGLE_OR_BY_NAME,
]
"""The name of one array, or of one array for each input (output) of the model, by the name of the input (output)."""

StepList = Annotated[list[PrepareStep], Field(max_length=32)]
Steps = Annotated[
    Annotated[StepList, SINGLE] | Annotated[dict[IOName, StepList], Field(max_length=MAX_IO), BY_NAME],
    SINGLE_OR_BY_NAME,
]
"""Steps for every array, or steps for the array of each input (output), by the name of the input (output)."""


class Prepare(Strict):
    """The steps for inputs and targets. Training data and validation data go through the same steps."""

    x: Steps = Field(default_factory=list, description="the steps for the inputs, in order")
    y: Steps = Field(default_factory=list, description="the steps for the targets, in order")


class Validation(Strict):
    """The arrays to validate on, from the same data set."""

    x: ArrayNames = Field(description="the array of the inputs; with several inputs, one for each of them")
    y: ArrayNames = Field(description="the array of the targets; with several outputs, one for each of them")
    sample_weight: ArrayNames | None = Field(default=None, description="how much each sample counts")


class DataSpec(Strict):
    """The data of a job. `dataset` is the name of a built-in data set, or the id or name of an uploaded one."""

    dataset: Name = Field(description="the name of a built-in data set, or the name or id of an uploaded one")
    x: ArrayNames = Field(description="the array of the inputs; with several inputs, one for each of them")
    y: ArrayNames = Field(description="the array of the targets; with several outputs, one for each of them")
    sample_weight: ArrayNames | None = Field(default=None, description="how much each sample counts in the loss")
    validation: Validation | None = Field(default=None, description="the arrays to validate on")
    shuffle_split: bool = Field(
        default=False, description="shuffle the samples by the seed of the job before `validation_split` takes its part"
    )
    prepare: Prepare = Field(default_factory=Prepare, description="steps that prepare the arrays for the model")


@dataclass(frozen=True)
class ArrayRef:
    """The name of an array and its steps. `key` is the input or output it is for; None for a single array."""

    key: str | None
    array: str
    steps: Sequence[PrepareStep]


Value = TypeVar("Value")


def array_refs(names: ArrayNames | None, steps: Steps | tuple[()] = ()) -> list[ArrayRef]:
    """Return each array of `names` with its steps. Steps under keys that `names` does not have are ignored."""
    if names is None:
        return []
    if isinstance(names, str):
        return [ArrayRef(None, names, steps if not isinstance(steps, Mapping) else ())]
    return [
        ArrayRef(key, name, steps.get(key, ()) if isinstance(steps, Mapping) else steps) for key, name in names.items()
    ]


def single_or_by_name(values: Mapping[str | None, Value]) -> Value | dict[str, Value]:
    """Return the single value (under the key None), or the values by name: the two forms that Keras accepts."""
    return values[None] if None in values else {str(key): value for key, value in values.items()}


class StepError(ValueError):
    """A step cannot be applied to its array; `index` is the position of the step."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


def prepared_info(array: ArrayInfo, steps: Sequence[PrepareStep]) -> ArrayInfo:
    """Return the shape and dtype of an array after these steps.

    Raises:
        StepError: for the first step that cannot be applied.
    """
    for index, step in enumerate(steps):
        try:
            array = _info_after(array, step)
        except ValueError as error:
            raise StepError(index, str(error)) from error
    return array


def _info_after(array: ArrayInfo, step: PrepareStep) -> ArrayInfo:
    samples, *sample = array.shape
    if step.reshape is not None:
        return ArrayInfo((samples, *_reshaped(sample, step.reshape)), array.dtype)
    if step.pad_sequences is not None:
        return _padded(array, step.pad_sequences)
    if None in sample:
        raise ValueError(f"{step.kind} needs samples of equal length, and these differ: use pad_sequences first")
    if step.one_hot is not None:
        return _one_hot(array, step.one_hot)
    return ArrayInfo(array.shape, step.astype or "float32")


def _reshaped(sample: Sequence[int | None], shape: Sequence[int]) -> list[int]:
    if any(length is None for length in sample):
        raise ValueError("reshape needs samples of equal length, and these differ: use pad_sequences first")
    size = math.prod(length for length in sample if length is not None)
    known_size = math.prod(length for length in shape if length != -1)
    free_axes = list(shape).count(-1)
    if free_axes > 1 or any(length < 1 and length != -1 for length in shape):
        raise ValueError(f"lengths must be positive, and at most one may be -1; received {list(shape)}")
    if (size != known_size) if not free_axes else (size % known_size):
        raise ValueError(f"a sample of shape {list(sample)} has {size} values and cannot be reshaped to {list(shape)}")
    return [size // known_size if length == -1 else length for length in shape]


def _one_hot(array: ArrayInfo, classes: int) -> ArrayInfo:
    if not array.dtype.startswith(("int", "uint", "bool")):
        raise ValueError(f"one_hot needs whole numbers, and the values are {array.dtype}: use astype first")
    _, *sample = array.shape
    # keras.utils.to_categorical drops the last axis of labels that form a column.
    labels = sample[:-1] if sample and sample[-1] == 1 else sample
    return ArrayInfo((array.shape[0], *labels, classes), "float32")


def _padded(array: ArrayInfo, step: PadSequences) -> ArrayInfo:
    if len(array.shape) != 2:
        raise ValueError(f"pad_sequences needs one sequence per sample; the array has the shape {list(array.shape)}")
    return ArrayInfo((array.shape[0], step.maxlen), "int32" if step.value.is_integer() else "float32")
