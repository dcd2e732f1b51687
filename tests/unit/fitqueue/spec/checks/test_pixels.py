from typing import Any

import pytest

from fitqueue.datasets import ArrayInfo, ArrayValues
from tests.unit.fitqueue.spec.checks.stored import array, examine, suspicions

IMAGES = array((8, 8), ArrayValues(0, 255), "uint8")
FLATTEN = {"class_name": "Flatten", "config": {}}
DENSE = {"class_name": "Dense", "config": {"units": 3, "activation": "softmax"}}


def _examine(images: ArrayInfo, *layers: dict[str, Any], steps: list[dict[str, Any]] | None = None) -> Any:
    model = {"class_name": "Sequential", "config": {"layers": [*layers, FLATTEN, DENSE]}}
    data = {"x": "images", "validation": None, "prepare": {"x": steps or []}}
    return examine({"model": model, "data": data}, images=images)


@pytest.mark.parametrize(
    ("images", "steps"),
    [
        (IMAGES, []),
        (array((8, 8, 3), ArrayValues(0, 254), "uint8"), []),
        (array((64,), ArrayValues(0, 255), "uint8"), []),
        (array((8, 8), ArrayValues(0.0, 255.0)), []),
        (IMAGES, [{"reshape": [8, 8, 1]}, {"astype": "float32"}]),
    ],
    ids=str,
)
def test_pixels_that_nothing_scales(images: ArrayInfo, steps: list[dict[str, Any]]) -> None:
    [(pointer, message)] = suspicions(_examine(images, steps=steps))
    assert pointer == "/data/x"
    assert "The pixels go from 0 to 255 into the model" in message


@pytest.mark.parametrize(
    ("images", "layers", "steps"),
    [
        (IMAGES, [], [{"scale": 0.00392156862745098}]),
        (IMAGES, [], [{"offset": -127.5}]),
        (IMAGES, [{"class_name": "Rescaling", "config": {"scale": 0.00392156862745098}}], []),
        (IMAGES, [{"class_name": "BatchNormalization", "config": {}}], []),
        (array((8, 8), ArrayValues(0, 16), "uint8"), [], []),
        (array((8, 8), ArrayValues(0.0, 1.0)), [], []),
        (array((64,), ArrayValues(0, 250), "int64"), [], []),
        (array((8, 8), ArrayValues(0.0, 255.0, integral=False)), [], []),
        (array((8, 8), ArrayValues(-255, 255), "int64"), [], []),
        (array((8, 8), None, "uint8"), [], []),
    ],
    ids=str,
)
def test_inputs_that_are_sound(images: ArrayInfo, layers: list[Any], steps: list[dict[str, Any]]) -> None:
    assert suspicions(_examine(images, *layers, steps=steps)) == []


def test_indices_of_an_embedding_are_not_pixels() -> None:
    words = array((20,), ArrayValues(0, 255), "uint8")
    embedding = {"class_name": "Embedding", "config": {"input_dim": 256, "output_dim": 4}}
    assert suspicions(_examine(words, embedding)) == []
