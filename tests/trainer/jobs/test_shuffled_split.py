"""With `data.shuffle_split`, the samples are shuffled before `validation_split` takes its part of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitqueue.datasets import BUILTIN, DatasetInfo
from fitqueue.spec.fields.data import DataSpec
from service import npz
from workers.trainer.data import Data, load
from workers.trainer.shuffling import shuffled


@pytest.fixture
def sorted_digits(tmp_path: Path) -> str:
    """The path of digits that are sorted by their labels, with weights."""
    path = BUILTIN["digits"].path
    assert path is not None
    with np.load(path) as digits:
        order = np.argsort(digits["y_train"], kind="stable")
        x, y = digits["x_train"][order] / np.float32(16), digits["y_train"][order]
    np.savez(tmp_path / "data.npz", x=x.astype("float32"), y=y, w=np.linspace(0, 1, len(y)))
    return str(tmp_path / "data.npz")


def test_the_history_is_that_of_a_plain_script(
    sorted_digits: str, make_spec: Callable[..., Any], train: Callable[..., Any], run_plain: Callable[..., Any]
) -> None:
    arrays = npz.inspect(Path(sorted_digits), 10**9).arrays
    histories = {}
    for shuffle in (False, True):
        spec = make_spec(
            lambda name: DatasetInfo(name, arrays),
            data={"dataset": "mine", "x": "x", "y": "y", "sample_weight": "w", "shuffle_split": shuffle},
            fit={"epochs": 2, "batch_size": 64, "shuffle": False, "validation_split": 0.25},
        )
        histories[shuffle] = train(spec, dataset_path=sorted_digits).history
    assert histories[True] == run_plain("shuffled_split.py", sorted_digits, 7)
    assert histories[False] != histories[True]


def _load(path: Path, **names: Any) -> Data:
    return load(DataSpec(dataset="mine", **names), path)


def test_samples_stay_together_and_validation_arrays_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    index = np.arange(50)
    np.savez(path, x=index[:, None] * [1, 2], second=index * 3, y=index * 4, w=index * 5)
    names = {"x": {"a": "x", "b": "second"}, "y": "y", "sample_weight": "w"}
    data = _load(path, **names, validation={"x": {"a": "x", "b": "second"}, "y": "y"})
    result = shuffled(data, 3)
    x, y, weights = result.train.x, result.train.y, result.train.weights
    order = np.random.default_rng(3).permutation(50)
    assert isinstance(x, dict)
    assert np.array_equal(x["a"], order[:, None] * [1, 2])
    assert np.array_equal(x["b"], order * 3)
    assert np.array_equal(y, order * 4)
    assert np.array_equal(weights, order * 5)
    assert result.validation is data.validation
    assert shuffled(_load(path, x="x", y="y"), 3).train.weights is None
