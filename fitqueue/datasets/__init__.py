"""The built-in data sets, and the description that every data set has.

`digits` is shipped with the package. The others are those of `keras.datasets`: Keras's own loader downloads one to the
worker when a job first uses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fitqueue.datasets.values import MAX_CLASSES as MAX_CLASSES
from fitqueue.datasets.values import ArrayValues, ClassCount

__all__ = [
    "BUILTIN",
    "MAX_CLASSES",
    "SINGLE_ARRAY",
    "ArrayInfo",
    "ArrayValues",
    "BuiltinDataset",
    "ClassCount",
    "DatasetInfo",
]

SINGLE_ARRAY: Final = "arr_0"
"""The name of the array in an `.npy` file, which has none. `numpy.savez` gives this one to an array without a name."""


@dataclass(frozen=True)
class ArrayInfo:
    """The shape and dtype of an array. The first axis is that of samples; None is an axis of unequal lengths.

    `values` is what is known of its values as they are stored; None if nothing is.
    """

    shape: tuple[int | None, ...]
    dtype: str
    values: ArrayValues | None = None


@dataclass(frozen=True)
class DatasetInfo:
    """The name of a data set, and its arrays by name.

    `left_out` says of each array that was left out at the upload why nobody can train on it.
    """

    name: str
    arrays: dict[str, ArrayInfo]
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BuiltinDataset:
    """A data set that every FitQueue has.

    Either `path` is set, to a shipped .npz file, or `keras_module`, to a module of `keras.datasets`.
    """

    info: DatasetInfo
    source: str
    path: Path | None = None
    keras_module: str | None = None


def _arrays(
    train: int,
    test: int,
    sample: tuple[int | None, ...],
    dtype: str,
    *,
    high: int | None = None,
    label: tuple[int, ...] = (),
    label_dtype: str,
    classes: int | None = None,
) -> dict[str, ArrayInfo]:
    """Return the four arrays that every data set of `keras.datasets` has.

    Args:
        high: the highest value of a sample, where the lowest is 0; None if it is not known.
        classes: the number of classes, whose labels count from 0; None if the targets are not labels. No data set is
            sorted by them.
    """
    x = ArrayValues(0, high) if high is not None else None
    y = ArrayValues(0, classes - 1) if classes is not None else None
    return {
        "x_train": ArrayInfo((train, *sample), dtype, x),
        "y_train": ArrayInfo((train, *label), label_dtype, y),
        "x_test": ArrayInfo((test, *sample), dtype, x),
        "y_test": ArrayInfo((test, *label), label_dtype, y),
    }


def _from_keras(name: str, source: str, arrays: dict[str, ArrayInfo]) -> BuiltinDataset:
    return BuiltinDataset(DatasetInfo(name, arrays), source, keras_module=name)


_DIGITS: Final = BuiltinDataset(
    DatasetInfo("digits", _arrays(1437, 360, (8, 8), "uint8", high=16, label_dtype="uint8", classes=10)),
    "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998; "
    "CC BY 4.0",
    path=Path(__file__).with_name("digits.npz"),
)

BUILTIN: Final[dict[str, BuiltinDataset]] = {
    dataset.info.name: dataset
    for dataset in (
        _DIGITS,
        _from_keras(
            "mnist",
            "MNIST handwritten digits, Y. LeCun, C. Cortes and C. Burges; CC BY-SA 3.0",
            _arrays(60_000, 10_000, (28, 28), "uint8", high=255, label_dtype="uint8", classes=10),
        ),
        _from_keras(
            "fashion_mnist",
            "Fashion-MNIST, Zalando SE, 2017; MIT",
            _arrays(60_000, 10_000, (28, 28), "uint8", high=255, label_dtype="uint8", classes=10),
        ),
        _from_keras(
            "cifar10",
            "CIFAR-10, A. Krizhevsky, 2009",
            _arrays(50_000, 10_000, (32, 32, 3), "uint8", high=255, label=(1,), label_dtype="uint8", classes=10),
        ),
        _from_keras(
            "cifar100",
            "CIFAR-100 (fine labels), A. Krizhevsky, 2009",
            _arrays(50_000, 10_000, (32, 32, 3), "uint8", high=255, label=(1,), label_dtype="int64", classes=100),
        ),
        _from_keras(
            "imdb",
            "IMDB movie reviews as word indices, A. Maas and others, 2011",
            _arrays(25_000, 25_000, (None,), "int64", label_dtype="int64", classes=2),
        ),
        _from_keras(
            "reuters",
            "Reuters newswire topics as word indices",
            _arrays(8_982, 2_246, (None,), "int64", label_dtype="int64", classes=46),
        ),
        _from_keras(
            "california_housing",
            "California housing prices, 1990 census, R. Pace and R. Barry, 1997",
            _arrays(16_512, 4_128, (8,), "float32", label_dtype="float32"),
        ),
        _from_keras(
            "boston_housing",
            "Boston housing prices, D. Harrison and D. Rubinfeld, 1978",
            _arrays(404, 102, (13,), "float64", label_dtype="float64"),
        ),
    )
}
