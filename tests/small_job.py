"""The smallest job that trains: one Dense layer on the digits."""

from typing import Any


def small_job(epochs: int) -> dict[str, Any]:
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
