"""What a job gives by the names of its model's inputs and outputs, under the names that these have now."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from fitqueue.spec.keras_objects.graph import histories_by_key
from fitqueue.spec.keras_objects.legacy.slashes import renamed_keys

_BY_NAME: Final[Mapping[str, tuple[str, ...]]] = {
    "compile": ("loss", "metrics", "weighted_metrics", "loss_weights"),
    "data": ("x", "y", "sample_weight"),
    "validation": ("x", "y", "sample_weight"),
    "prepare": ("x", "y"),
    "fit": ("class_weight",),
}
"""The members that may be objects by name, by the part of the job that has them."""

_PARTS: Final = ("compile", "data", "fit")


def with_current_names(job: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """Return the parts of a job whose keys may be names of inputs or outputs, with the names of the checked model."""
    known = _known_names(model)
    parts = {name: _renamed(job[name], name, known) for name in _PARTS if isinstance(job.get(name), dict)}
    if "data" in parts:
        for name in ("validation", "prepare"):
            if isinstance(parts["data"].get(name), dict):
                parts["data"][name] = _renamed(parts["data"][name], name, known)
    return parts


def _known_names(model: Any) -> set[str]:
    config = model["config"] if isinstance(model, dict) else {}
    names = {layer["config"].get("name") for layer in config.get("layers", ())}
    for io in ("input_layers", "output_layers"):
        names |= {key for key in histories_by_key(config.get(io)) if isinstance(key, str)}
    return names


def _renamed(part: Mapping[str, Any], name: str, known: Collection[str]) -> dict[str, Any]:
    return {**part, **{member: renamed_keys(part[member], known) for member in _BY_NAME[name] if member in part}}
