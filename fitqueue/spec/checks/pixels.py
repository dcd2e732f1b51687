"""Check whether images go into a model as they are stored, with pixels from 0 to 255."""

from typing import Final

from fitqueue.datasets import ArrayInfo, DatasetInfo
from fitqueue.spec.checks.ranges import ranges_before, stored_range
from fitqueue.spec.checks.replication import objects_in
from fitqueue.spec.fields.data import ArrayRef, DataSpec, array_refs
from fitqueue.spec.fields.training import KerasObject
from fitqueue.spec.findings import NoticeCode, Pointer
from fitqueue.spec.keras_objects import catalogue

_DARKEST_MAXIMUM: Final = 200
"""The highest value of images that use the range from 0 to 255 is hardly ever below this."""

# Layers that scale numbers, or read them as indices. Architectures have such layers, or a scaling of their own.
_SCALING: Final = frozenset(
    {
        *("Rescaling", "Normalization", "BatchNormalization", "LayerNormalization", "GroupNormalization"),
        *("RMSNormalization", "UnitNormalization", "Discretization", "CategoryEncoding", "IntegerLookup"),
        *("Embedding", "Hashing"),
    }
)


def check_pixels(model: KerasObject | None, data: DataSpec, info: DatasetInfo, pointer: Pointer) -> None:
    """Add a notice for each input with pixels from 0 to 255 that neither a step nor a layer scales."""
    if model is None or _scales(model):
        return
    for ref in array_refs(data.x, data.prepare.x):
        array = info.arrays.get(ref.array)
        if array is not None and _are_pixels(array, ref):
            (pointer / "x" if ref.key is None else pointer / "x" / ref.key).add_notice(
                NoticeCode.SUSPICIOUS,
                'The pixels go from 0 to 255 into the model, and it learns better from 0 to 1: add {"scale": '
                "0.00392156862745098} to `data.prepare.x`, or a Rescaling layer.",
            )


def _scales(model: KerasObject) -> bool:
    return any(name in _SCALING or catalogue.is_application(name) for _, name, _ in objects_in(model))


def _are_pixels(array: ArrayInfo, ref: ArrayRef) -> bool:
    values = ranges_before(stored_range(array), ref.steps)[-1]
    looks_like_images = array.dtype == "uint8" or len(array.shape) > 2
    if values is None or not values.integral or not looks_like_images:
        return False
    return values.low >= 0 and _DARKEST_MAXIMUM <= values.high <= 255
