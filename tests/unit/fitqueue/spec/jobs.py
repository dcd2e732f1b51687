"""Small jobs for the tests of this folder."""

from typing import Any

from fitqueue.spec import ParsedJob


def layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


def sequential_job(*layers: dict[str, Any]) -> dict[str, Any]:
    """Return a job with these layers on samples of 12 numbers."""
    return {
        "model": {"class_name": "Sequential", "config": {"layers": list(layers)}},
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "data": {"dataset": "mine", "x": "x", "y": "y"},
        "seed": 1,
    }


def lstm_job(**config: Any) -> dict[str, Any]:
    """Return a job with an LSTM with these arguments, on sequences of 12 numbers."""
    job = sequential_job(layer("LSTM", units=3, **config))
    job["data"]["prepare"] = {"x": [{"reshape": [12, 1]}]}
    return job


def notices_of(parsed: ParsedJob) -> list[tuple[str, str]]:
    """Return the pointer and code of each notice."""
    return [(notice.pointer, notice.code) for notice in parsed.notices]
