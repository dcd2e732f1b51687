"""What is known of the values of an array without reading it: collected once, when the array is uploaded."""

from dataclasses import dataclass
from typing import Final, NamedTuple

MAX_CLASSES: Final = 1000
"""Labels with more classes than this are not counted class by class."""


class ClassCount(NamedTuple):
    """One class of an array of labels: how many samples have it, and the indices of the first and the last of them."""

    label: int
    samples: int
    first: int
    last: int


@dataclass(frozen=True)
class ArrayValues:
    """The values of an array.

    Attributes:
        low: the lowest of its finite values; None if it has none.
        high: the highest of its finite values; None if it has none.
        integral: whether all finite values are integers, as labels are.
        nan: how many values are NaN.
        infinite: how many values are infinite.
        classes: its classes in the order of their first samples, if it has one label or one row of a one-hot encoding
            for each sample; None if it has neither, or too many classes.
        labels_per_sample: the most ones in a row, if it has one row of zeros and ones for each sample; else None.
    """

    low: int | float | None
    high: int | float | None
    integral: bool = True
    nan: int = 0
    infinite: int = 0
    classes: tuple[ClassCount, ...] | None = None
    labels_per_sample: int | None = None

    @property
    def are_finite(self) -> bool:
        """Whether no value is NaN or infinite."""
        return not self.nan and not self.infinite
