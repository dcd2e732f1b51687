"""Where a field belongs that stands in the wrong part of a job, or has the name that another program gives it."""

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from fitqueue.spec.nearest import near_miss, nearest

_WITH_ARRAYS: Final = ("", "data", "data.validation", "data.prepare")
_INPUTS: Final = (
    *("X", "input", "inputs", "features", "feature", "images", "image", "samples", "x_train", "X_train"),
    *("train_x", "x_val", "x_valid", "x_test", "X_test", "val_x"),
)
_TARGETS: Final = (
    *("Y", "label", "labels", "target", "targets", "output", "outputs", "classes", "y_train", "Y_train", "train_y"),
    *("y_true", "y_val", "y_valid", "y_test", "Y_test", "val_y"),
)

_OTHER_NAMES: Final[Mapping[str, str]] = {
    "validation_data": "data.validation",
    "dataset": "data.dataset",
    "optimizer": "compile.optimizer",
    ".layers": "model",
    **{f"{part}.{name}": f"{part or 'data'}.x" for part in _WITH_ARRAYS for name in _INPUTS},
    **{f"{part}.{name}": f"{part or 'data'}.y" for part in _WITH_ARRAYS for name in _TARGETS},
    **{f"data.{name}": "data.validation" for name in ("val", "valid", "test", "dev", "eval", "holdout")},
    **dict.fromkeys(["nb_epoch", "num_epochs", "n_epochs", "max_epochs"], "fit.epochs"),
    **dict.fromkeys(["lr", "learning_rate"], "compile.optimizer.config.learning_rate"),
    "mixed_precision": "compile.dtype_policy",
    **dict.fromkeys(["gpu", "num_gpus", "n_gpus"], "resources.gpus"),
    "queue": "resources.pool",
    **dict.fromkeys(["timeout", "max_runtime", "time_limit"], "max_runtime_seconds"),
    **dict.fromkeys(["max_wait", "queue_timeout", "max_queue_seconds", "queued_timeout"], "max_queued_seconds"),
    **dict.fromkeys(["retries", "max_retries"], "max_attempts"),
    **dict.fromkeys(["random_seed", "random_state"], "seed"),
    "tags": "labels",
}
"""Names of other programs and of Keras, by themselves or with the part of the job in front."""


def suggest_field(name: str, part: str, known: list[str], job: type[BaseModel]) -> str:
    """Return a sentence that says which field was probably meant, to append to a message; empty if none is near.

    Args:
        name: the unknown field.
        part: the path of the part of the job that it is in; empty for the job itself.
        known: the fields of this part.
        job: the model of the whole job.
    """
    fields = dict(_paths(job))
    near = near_miss(name, known)
    path = _OTHER_NAMES.get(f"{part}.{name}") or _OTHER_NAMES.get(name)
    if path is None and near is None:
        path = fields.get(near_miss(name, fields) or "")
    if path is not None and path != near:
        top = " at the top of the job" if part and "." not in path else ""
        return f" Did you mean {path!r}{top}?"
    guess = near or nearest(name, known)
    return f" Did you mean {guess!r}?" if guess else ""


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each field of a model and of the models in it, with its path; the fields of the outer model last."""
    for name, field in model.model_fields.items():
        inner = _inner_model(field.annotation)
        if inner is not None and inner.__name__ != "KerasObject":
            yield from _paths(inner, f"{prefix}{name}.")
    for name in model.model_fields:
        yield name, prefix + name


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a field holds, be it optional or not."""
    options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return next((each for each in options if isinstance(each, type) and issubclass(each, BaseModel)), None)
