"""What to do with a value that is neither a job nor a file. Nothing is imported here: a type is known by its module."""

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any, Final

_FIT: Final = (
    "client.fit(model, x, y, …) trains a compiled model; client.submit(model=model, x=x, y=y, …) does not wait for it"
)
_SAVE: Final = "numpy.savez('data.npz', x=…, y=…) writes arrays to a file, which client.upload('data.npz') sends"
_DIRECTLY: Final = "client.fit(model, x, y, …) takes arrays and frames as they are"


def not_a_job(value: Any) -> TypeError:
    """Return the error for something that was submitted in place of a job."""
    return TypeError(
        f"Expected a job: a dict, JSON, or the path of a JSON file. Received {_describe(value)}. {_for_job(value)}."
    )


def not_a_file(value: Any) -> TypeError:
    """Return the error for something that was uploaded in place of a file."""
    return TypeError(
        f"Expected the path of a file: an .npz, an .npy, or weights. Received {_describe(value)}. {_for_file(value)}."
    )


def not_an_id(value: Any) -> TypeError:
    """Return the error for something that was given in place of the id of a job."""
    advice = "Its id is its attribute `id`" if isinstance(getattr(value, "id", None), str) else "Ids begin with job_"
    return TypeError(f"Expected the id of a job, a str. Received {_describe(value)}. {advice}.")


def _for_job(value: Any) -> str:
    if _is_model(value):
        return f"{_FIT}; the JSON of a model is only the field `model` of a job"
    if isinstance(getattr(value, "spec", None), Mapping):
        return "Its job is its attribute `spec`"
    if _is_open_file(value):
        return "Pass its path, or what its read() returns"
    if _has_arrays(value):
        return f"A job does not contain its data, but names it: {_SAVE}; {_DIRECTLY}"
    if isinstance(value, Iterable):
        return "Submit each job by a call of its own"
    return "docs/spec.md describes a job"


def _for_file(value: Any) -> str:
    if _is_model(value):
        return f"model.save_weights('start.weights.h5') writes its weights to a file; {_FIT}"
    if _is_open_file(value):
        return "Pass its path"
    if isinstance(value, bytes | bytearray | memoryview):
        return "Write them to a file, and pass its path"
    if _has_arrays(value):
        return f"{_SAVE[0].upper()}{_SAVE[1:]}; {_DIRECTLY}"
    if isinstance(value, Mapping):
        return (
            "numpy.savez('data.npz', **arrays) writes arrays by name to a file, which client.upload('data.npz') sends"
        )
    if isinstance(value, Iterable) and not _is_from(value, "tensorflow", "torch"):
        return f"Upload each file by a call of its own; {_SAVE}"
    return f"{_SAVE}; {_DIRECTLY}"


def _describe(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}'s {kind.__name__}"


def _is_model(value: Any) -> bool:
    return any(cls.__name__ == "Model" and _root(cls) in {"keras", "tf_keras"} for cls in type(value).__mro__)


def _has_arrays(value: Any) -> bool:
    is_pair = isinstance(value, tuple | list) and bool(value) and all(map(_has_arrays, value))
    return is_pair or _is_from(value, "numpy", "pandas", "polars", "tensorflow", "torch", "jax", "jaxlib")


def _is_open_file(value: Any) -> bool:
    return callable(getattr(value, "read", None)) and not isinstance(value, PathLike)


def _is_from(value: Any, *roots: str) -> bool:
    return _root(type(value)) in roots


def _root(cls: type) -> str:
    return cls.__module__.partition(".")[0]
