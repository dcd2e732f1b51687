"""Batches of classes that look like Keras's. `tests/trainer/fit` compares Keras's and TensorFlow's own with arrays."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fitqueue.fit.batches import NoEnd, collect, come_in_batches

X = np.arange(14.0).reshape(7, 2)
Y = np.arange(7)


def batches(size: int = 3) -> Iterator[tuple[Any, Any]]:
    for begin in range(0, 7, size):
        yield X[begin : begin + size], Y[begin : begin + size]


def endless() -> Iterator[tuple[Any, Any]]:
    while True:
        yield X[:3], Y[:3]


class PyDataset:
    num_batches: int | None = 3

    def __getitem__(self, index: int) -> Any:
        return list(batches())[index % 3]


PyDataset.__module__ = "keras.src.trainers"


class OldSequence:
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return list(batches())[index]


OldSequence.__module__, OldSequence.__name__ = "tf_keras.src.utils", "Sequence"


class Endless(PyDataset):
    num_batches = None


class Tensor:
    def __init__(self, array: Any) -> None:
        self.array = array

    def detach(self) -> "Tensor":
        return self

    def cpu(self) -> Any:
        return self.array


class DataLoader:
    sampler: Any = None

    def __iter__(self) -> Iterator[Any]:
        return ([Tensor(x), Tensor(y)] for x, y in batches())


DataLoader.__module__ = "torch.utils.data.dataloader"


class RandomSampler: ...


class Dataset:
    """What a `tf.data.Dataset` has."""

    element_spec = ()

    def __init__(self, before: "Dataset | None" = None, cardinality: int = 3) -> None:
        self.before, self.size, self.taken = before, cardinality, 0

    def cardinality(self) -> int:
        return self.size

    def _inputs(self) -> list["Dataset"]:
        return [self.before] if self.before else []

    def __iter__(self) -> Iterator[Any]:
        self.taken += 1
        return iter(batches()) if self.size != -1 else endless()


class ShuffleDataset(Dataset):
    _reshuffle_each_iteration: bool | None = None


def taken(value: Any, **options: Any) -> Any:
    return collect(value, lambda size: None, **options)


@pytest.mark.parametrize("make", [batches, PyDataset, OldSequence, DataLoader, Dataset])
def test_all_batches_together(make: Any) -> None:
    value = make()
    assert come_in_batches(value)
    found = taken(value)
    assert (found.x == X).all()
    assert (found.y == Y).all()
    assert found.sample_weight is None
    assert found.sizes == [3, 3, 1]
    assert found.are_even


@pytest.mark.parametrize("value", [X, X.tolist(), {"a": X}, (X, X), None, 3])
def test_what_does_not_come_in_batches(value: Any) -> None:
    assert not come_in_batches(value)


def test_the_bytes_are_reported() -> None:
    sizes: list[int] = []
    collect(batches(), sizes.append)
    assert sizes == [72, 144, 168]


def test_several_inputs_and_weights() -> None:
    found = taken(iter([({"a": X[:4], "b": [X[:4]]}, Y[:4], Y[:4]), ({"a": X[4:], "b": [X[4:]]}, Y[4:], Y[4:])]))
    assert (found.x["a"] == X).all()
    assert (found.x["b"][0] == X).all()
    assert (found.sample_weight == Y).all()


@pytest.mark.parametrize(("sizes", "are_even"), [([3, 3, 1], True), ([2], True), ([3, 1, 3], False), ([1, 3], False)])
def test_whether_the_job_has_the_same_batches(sizes: list[int], are_even: bool) -> None:
    assert taken(iter([(X[:size], Y[:size]) for size in sizes])).are_even is are_even


# --- Order ---------------------------------------------------------------------------------------------------------


def test_the_order_is_that_of_the_dataset() -> None:
    shuffled = ShuffleDataset(Dataset())
    assert taken(Dataset(Dataset(shuffled))).shuffled is True
    shuffled._reshuffle_each_iteration = False
    assert taken(Dataset(shuffled)).shuffled is False
    assert taken(Dataset(Dataset())).shuffled is False
    assert taken(batches()).shuffled is False


def test_the_order_of_a_loader_is_that_of_its_sampler() -> None:
    loader = DataLoader()
    assert taken(loader).shuffled is False
    loader.sampler = RandomSampler()
    assert taken(loader).shuffled is True


def test_a_pydataset_is_shuffled_if_fit_says_so() -> None:
    assert taken(PyDataset()).shuffled is None


# --- Ends ----------------------------------------------------------------------------------------------------------

NO_END = "It has no end. Leave .repeat() out: a job takes the data anew in each epoch."


def test_an_endless_dataset_is_refused_before_a_batch_is_taken() -> None:
    dataset = Dataset(cardinality=-1)
    with pytest.raises(NoEnd) as caught:
        taken(dataset)
    assert str(caught.value) == NO_END
    assert dataset.taken == 0


def test_an_endless_pydataset_is_refused_before_a_batch_is_taken() -> None:
    with pytest.raises(NoEnd, match="It has no end"):
        taken(Endless())


@pytest.mark.parametrize("make", [lambda: Dataset(cardinality=-1), Endless, endless])
def test_as_many_batches_as_fit_takes(make: Any) -> None:
    assert len(taken(make(), most=5).sizes) == 5


def test_a_dataset_that_ends_is_taken_whole() -> None:
    """With `steps_per_epoch`, Keras begins it anew where it ends."""
    for value in (Dataset(), PyDataset()):
        assert len(taken(value, most=2).sizes) == 3


def test_the_limit_is_named() -> None:
    with pytest.raises(NoEnd) as caught:
        taken(endless(), limit=100)
    assert str(caught.value) == (
        "It has yielded 0.0 GB in 2 batches and has not ended, and at most 0.0 GB can be sent. Let it end after one "
        "epoch, or use arrays."
    )


# --- What is not batches of arrays ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([], "It yields no batch."),
        ([X], "Each batch must be a tuple (x, y) or (x, y, sample_weight)."),
        ([(X, Y, Y, Y)], "Each batch must be a tuple (x, y) or (x, y, sample_weight)."),
        ([(X, Y), (X, Y, Y)], "Its batches have different parts."),
        ([(X, Y), (X[:, :1], Y)], "Its batches have different parts."),
        ([({"a": X}, Y), ({"b": X}, Y)], "Its batches have different parts."),
        ([(X[0], Y[0])], "The arrays of a batch do not have the same number of samples. If it yields single samples, "
                         "make batches: `x.batch(32)`."),
        ([(X[0], Y[:3])], "The arrays of a batch do not have the same number of samples. If it yields single samples, "
                          "make batches: `x.batch(32)`."),
        ([([[1], [1, 2]], Y[:2])], "The arrays of a batch do not have the same number of samples. If it yields single "
                                   "samples, make batches: `x.batch(32)`."),
    ],
)  # fmt: skip
def test_wrong_batches(items: list[Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        taken(iter(items))
