"""A job in a child that has warmed up gives the same numbers, names and files as in a fresh one, to the last bit."""

from collections.abc import Callable
from typing import Any

import pytest

from workers.shared.protocol import Ended, WarmUp


def layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"layers": [layer("Input", shape=[8, 8]), *layers]}}


OUTPUT = layer("Dense", units=10, activation="softmax")
CONVOLUTION = sequential(
    layer("Reshape", target_shape=[8, 8, 1]),
    layer("RandomFlip"),
    layer("RandomRotation", factor=0.1),
    layer("Conv2D", filters=4, kernel_size=3, activation="relu"),
    layer("BatchNormalization"),
    layer("Flatten"),
    layer("Dropout", rate=0.3),
    OUTPUT,
)
NOISE = sequential(
    layer("Flatten"),
    layer("Dense", units=8, kernel_initializer=layer("RandomNormal", seed=3)),
    layer("GaussianNoise", stddev=0.1, seed=5),
    layer("AlphaDropout", rate=0.1),
    OUTPUT,
)
JOBS: dict[str, dict[str, Any]] = {
    "seeded by the job": {"model": CONVOLUTION},
    "shuffled": {"model": CONVOLUTION, "fit": {"epochs": 2, "batch_size": 64, "shuffle": True}},
    "seeds of layers": {"model": NOISE},
    "recurrent": {"model": sequential(layer("LSTM", units=4, dropout=0.2, recurrent_dropout=0.2), OUTPUT)},
    "deterministic": {"model": CONVOLUTION, "deterministic": True},
    "validated": {"model": NOISE, "fit": {"epochs": 2, "batch_size": 64, "validation_split": 0.2}},
    "mixed precision": {
        "model": CONVOLUTION,
        "compile": {"optimizer": "rmsprop", "loss": "sparse_categorical_crossentropy", "dtype_policy": "mixed_bfloat16"},
    },
}




@pytest.mark.parametrize("name", JOBS)
def test_a_warm_child_trains_as_a_fresh_one(
    name: str, make_spec: Callable[..., dict[str, Any]], train: Callable[..., Any]
) -> None:
    files = [layer("ModelCheckpoint", filepath="{epoch:02d}.keras")]
    spec = make_spec(**JOBS[name], callbacks=files)
    cold, warm = train(spec), train(spec, warm_up=WarmUp(gpus=[], cpu_devices=1, threads=0))
    assert cold.outcome.reason == "completed"
    assert warm.outcome == cold.outcome
    assert warm.history == cold.history
    assert warm.lines == cold.lines
