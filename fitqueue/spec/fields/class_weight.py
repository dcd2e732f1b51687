"""`class_weight` of `fit`: how much each class counts, and what in an array of targets is a class."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, cast

from pydantic import Discriminator, Field, Tag

from fitqueue.spec.keras_objects.graph import MAX_IO
from fitqueue.spec.strict import BY_NAME, SINGLE, Pattern

Shape = Sequence[int | None]
"""The shape of one sample, without the axis of samples."""


ClassIndex = Annotated[str, Pattern("0|[1-9][0-9]{0,6}", 'the number of a class as a string, such as "0"')]
"""The label of a class, as a string: the keys of a JSON object are strings."""

_BALANCED: Final = Tag("[balanced]")
_BY_CLASS: Final = Tag("[by class]")

OutputClassWeight = Annotated[
    Annotated[Literal["balanced"], _BALANCED]
    | Annotated[dict[ClassIndex, float], Field(min_length=1, max_length=10_000), _BY_CLASS],
    Discriminator(lambda value: _BALANCED.tag if isinstance(value, str) else _BY_CLASS.tag),
]
"""The weights of an output's classes: by label, or `balanced`, which computes them from the targets."""

ClassWeight = Annotated[
    Annotated[OutputClassWeight, SINGLE]
    | Annotated[dict[str, OutputClassWeight], Field(min_length=1, max_length=MAX_IO), BY_NAME],
    Discriminator(lambda value: BY_NAME.tag if is_by_output(value) else SINGLE.tag),
]
"""The weights of the classes of the only output, or of several outputs by name."""


def is_by_output(value: Any) -> bool:
    """Return whether class weights are an object with those of each output, and not those of the only output."""
    return isinstance(value, Mapping) and any(
        isinstance(of_output, Mapping)
        or of_output == "balanced"
        or (isinstance(of_output, str) and not str(key).isdecimal())
        for key, of_output in value.items()
    )


def class_weight_of(class_weight: ClassWeight | None, output: str | None) -> OutputClassWeight | None:
    """Return the weights of an output's classes; None if they all count the same.

    Args:
        output: its name in the job; None for the only output, if the job does not name it.
    """
    if class_weight is None or not is_by_output(class_weight):
        return cast(OutputClassWeight | None, class_weight)
    by_output = cast(dict[str, OutputClassWeight], class_weight)
    return by_output.get(output) if output is not None else next(iter(by_output.values()))


# --- Classes in targets --------------------------------------------------------------------------------------------


def has_class_axis(targets: Shape, outputs: Shape) -> bool:
    """Return whether the last axis of the targets has a number for each class, or a single label.

    Targets with as many axes as the outputs have such an axis, as in a one-hot row or image. Others are labels.
    """
    return bool(targets) and len(targets) >= max(1, len(outputs))


def label_shape(targets: Shape, outputs: Shape) -> Shape:
    """Return the shape of the labels of one sample, each of which gets a weight: `[]` if a sample has one label."""
    return targets[:-1] if has_class_axis(targets, outputs) else targets


def separated(targets: Shape, outputs: Shape) -> Shape:
    """Return the shape of targets with which Keras computes one loss for each label.

    Keras takes the mean over the last axis first. If that is an axis of labels, as in a mask of an image, it needs
    another one behind it, which changes neither the mean of all losses nor a metric.
    """
    is_mask = bool(targets) and len(targets) + 1 == len(outputs) and outputs[-1] == 1
    return [*targets, 1] if is_mask else targets


def aligned(weights: Shape, labels: Shape) -> tuple[Shape, Shape]:
    """Return the shapes of sample weights and of labels' weights in which they can be multiplied, with equal ranks."""
    while len(weights) > len(labels) and weights[-1] == 1:
        weights = weights[:-1]
    rank = max(len(weights), len(labels))
    return _padded(weights, rank), _padded(labels, rank)


def _padded(shape: Shape, rank: int) -> Shape:
    return [*shape, *[1] * (rank - len(shape))]


def product_shape(weights: Shape, labels: Shape) -> Shape | None:
    """Return the shape of the products of sample weights and labels' weights; None if they cannot be multiplied."""
    pairs = list(zip(*aligned(weights, labels), strict=True))
    if any(weight != label and 1 not in (weight, label) for weight, label in pairs):
        return None
    return [label if weight == 1 else weight for weight, label in pairs]
