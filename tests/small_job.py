"""Small jobs that train on the digits."""

from typing import Any, Final

WITH_DROPOUT: Final[dict[str, Any]] = {
    "model": {
        "class_name": "Sequential",
        "config": {
            "layers": [
                {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8]}},
                {"class_name": "Flatten", "config": {}},
                {"class_name": "Dropout", "config": {"rate": 0.3}},
                {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
            ]
        },
    },
    "compile": {
        "optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.01}},
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
    },
}
"""A model and how it is compiled, whose training draws random numbers: what resumes must draw the same ones."""


def small_job(epochs: int) -> dict[str, Any]:
    """Return the smallest job that trains: one Dense layer."""
    return {
        "model": {
            "class_name": "Sequential",
            "config": {
                "layers": [
                    {"class_name": "Flatten", "config": {}},
                    {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}},
                ]
            },
        },
        "compile": {"optimizer": "adam", "loss": "sparse_categorical_crossentropy"},
        "data": {"dataset": "digits", "x": "x_train", "y": "y_train"},
        "fit": {"epochs": epochs, "batch_size": 64},
    }
