"""The nearest known word."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.nearest import edit_distance, nearest


@pytest.mark.parametrize(
    ("kind", "word", "meant"),
    [
        ("optimizers", "adma", "Adam"),
        ("optimizers", "Admax", "Adamax"),
        ("optimizers", "sgdd", "SGD"),
        ("optimizers", "rms", "RMSprop"),
        ("optimizers", "adagrd", "Adagrad"),
        ("optimizers", "xyz", None),
        ("layers", "Conv2d", "Conv2D"),
        ("layers", "LSMT", "LSTM"),
        ("layers", "Dence", "Dense"),
        ("layers", "max_pooling_2d", "MaxPooling2D"),
        ("layers", "BatchNorm", "BatchNormalization"),
        ("optimizers", "keras.optimizers.Adam", "Adam"),
        ("optimizers", "tf.keras.optimizers.legacy.Adma", "Adam"),
        ("layers", "keras.layers.Dence", "Dense"),
        ("layers", "Conv", "Conv2D"),
        ("layers", "Convolution", "Convolution2D"),
        ("layers", "Pool", "MaxPooling2D"),
        ("layers", "MaxPool", "MaxPooling2D"),
        ("layers", "AveragePooling", "AveragePooling2D"),
        ("layers", "ConvLSTM", "ConvLSTM2D"),
        ("layers", "UpSampling", "UpSampling2D"),
        ("layers", "GlobalAvgPooling", "GlobalAvgPool2D"),
        ("layers", "SeparableConvolution", "SeparableConvolution2D"),
        ("layers", "Conv1d", "Conv1D"),
        ("layers", "conv_3d", "Conv3D"),
        ("metrics", "rmse", "RootMeanSquaredError"),
        ("metrics", "f1", "F1Score"),
        ("metrics", "r2", "R2Score"),
        ("metrics", "top_k", "TopKCategoricalAccuracy"),
        ("losses", "rmse", "mse"),
        ("metrics", "acurracy", "accuracy"),
        ("metrics", "mea", "mae"),
        ("losses", "mean_sqaured_error", "mean_squared_error"),
    ],
)
def test_what_was_probably_meant(kind: str, word: str, meant: str | None) -> None:
    assert nearest(word, catalogue.kind(kind).all_names()) in (meant, meant and meant.lower())


@pytest.mark.parametrize("word", ["", "_", "-.-", "x"])
def test_words_with_next_to_no_letters(word: str) -> None:
    assert nearest(word, ["Adam", "y"]) is None


def _distance(word: str, other: str) -> int:
    """Return the optimal string alignment distance by its definition."""
    costs: dict[tuple[int, int], int] = {}
    for i, j in itertools.product(range(len(word) + 1), range(len(other) + 1)):
        if not i or not j:
            costs[i, j] = i + j
            continue
        changed = costs[i - 1, j - 1] + (word[i - 1] != other[j - 1])
        costs[i, j] = min(costs[i - 1, j] + 1, costs[i, j - 1] + 1, changed)
        if i > 1 and j > 1 and word[i - 2 : i] == other[j - 2 : j][::-1]:
            costs[i, j] = min(costs[i, j], costs[i - 2, j - 2] + 1)
    return costs[len(word), len(other)]


@given(st.text("abc", max_size=8), st.text("abc", max_size=8), st.integers(0, 5))
def test_the_distance_is_that_of_its_definition(word: str, other: str, limit: int) -> None:
    assert edit_distance(word, other, limit) == min(_distance(word, other), limit + 1)
