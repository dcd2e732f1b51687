"""Which jobs take equally long: those of the same model, data and settings, or else those of a similar size."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fitqueue.datasets import DatasetInfo
from fitqueue.spec import JobSpec
from fitqueue.spec.fields.data import array_refs
from fitqueue.views import ModelSummary

MAX_RATIO: Final = 4.0
"""A job that is larger or smaller than another one by more than this says nothing about it."""

_FIT: Final = frozenset(
    {
        "batch_size",
        "steps_per_epoch",
        "validation_steps",
        "validation_batch_size",
        "validation_freq",
        "validation_split",
    }
)
_COMPILE: Final = frozenset(
    {"loss", "metrics", "weighted_metrics", "jit_compile", "steps_per_execution", "dtype_policy"}
)


def timing_key(stored: Mapping[str, Any], summary: ModelSummary | None, dataset: str) -> str:
    """Return what jobs have in common that take equally long for an epoch, in the same pool with as many GPUs.

    Seeds, rates and names are not part of it: a search over learning rates is one kind of job.

    Args:
        stored: the job as it is stored.
        summary: its model; without one, the model is compared as it was sent.
        dataset: the id or name of its data set.
    """
    parts = {
        "model": _layers(summary) if summary is not None else stored["model"],
        "optimizer": stored["compile"]["optimizer"]["class_name"],
        "compile": {name: stored["compile"][name] for name in _COMPILE},
        "data": stored["data"] | {"dataset": dataset},
        "fit": {name: stored["fit"][name] for name in _FIT},
        "resources": stored["resources"],
        "deterministic": stored["deterministic"],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def work(spec: JobSpec, summary: ModelSummary | None, data: DatasetInfo | None) -> float | None:
    """Return the size of an epoch: parameters × samples. None if the model or the data are not known."""
    samples = _samples(spec, data)
    if summary is None or samples is None:
        return None
    return float(max(1, summary.parameters) * samples)


def may_end_early(stored: Mapping[str, Any]) -> bool:
    """Return whether an EarlyStopping may end the training before its last epoch.

    It does not, if its patience is longer than the training. A TerminateOnNaN ends only what has failed.
    """
    epochs = stored["fit"]["epochs"]
    configs = [callback["config"] for callback in stored["callbacks"] if callback["class_name"] == "EarlyStopping"]
    return any((config.get("patience") or 0) + (config.get("start_from_epoch") or 0) < epochs for config in configs)


def nearest(size: float, sizes: Sequence[float]) -> int | None:
    """Return the index of the size that is most similar to this one; None if none is similar enough."""
    ratios = [max(other / size, size / other) for other in sizes]
    index = min(range(len(sizes)), key=ratios.__getitem__, default=None)
    return index if index is not None and ratios[index] <= MAX_RATIO else None


def _layers(summary: ModelSummary) -> list[list[Any]]:
    return [[layer.class_name, layer.output_shapes, layer.dtype, layer.parameters] for layer in summary.layers]


def _samples(spec: JobSpec, data: DatasetInfo | None) -> int | None:
    if spec.fit.steps_per_epoch is not None:
        return spec.fit.steps_per_epoch * spec.fit.batch_size
    if data is None:
        return None
    shapes = [data.arrays[ref.array].shape for ref in array_refs(spec.data.x) if ref.array in data.arrays]
    first = shapes[0][0] if shapes and shapes[0] else None
    return None if first is None else max(1, spec.fit.training_samples(first))
