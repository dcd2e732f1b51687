"""Slices of tensors, such as `x[:, 1:-1]`, as cropping layers where these do exactly the same."""

from collections.abc import Sequence
from typing import Any, Final

Lengths = Sequence[int | None]
"""The lengths of a tensor's axes, the first of which is that of the samples; None: unknown."""

_WHOLE: Final = {"start": None, "stop": None, "step": None}
_CHANNELS_FIRST: Final = {"data_format": "channels_first"}


def find_cropping(spec: Any, lengths: Lengths | None) -> tuple[str, dict[str, Any]] | None:
    """Return the class and the arguments of the layer that crops as a slice does; None if there is none.

    Args:
        spec: what stands between the brackets, one item for each axis.
        lengths: those of the sliced tensor, if they are known. Without them, the slice must name each axis.
    """
    axes = _all_axes(spec, len(lengths) if lengths is not None else None)
    if axes is None or not 3 <= len(axes) <= 5:
        return None
    margins = [_margins(axis, length) for axis, length in zip(axes, lengths or [None] * len(axes), strict=True)]
    if None in margins or margins[0] != [0, 0]:
        return None
    class_name = f"Cropping{len(axes) - 2}D"
    if margins[-1] == [0, 0]:
        return class_name, {"cropping": margins[1] if len(axes) == 3 else margins[1:-1]}
    if len(axes) > 3 and margins[1] == [0, 0]:
        return class_name, {"cropping": margins[2:], **_CHANNELS_FIRST}
    return None


def advice_on_slice(spec: Any) -> str:
    """Return what to use in place of a slice that is not translated."""
    axes = spec if isinstance(spec, list) else []
    if any(type(axis) is int for axis in axes):
        return (
            "An index drops its axis: use Cropping1D, Cropping2D or Cropping3D to keep one item of the axis, and then "
            "Reshape. For the last step of a recurrent layer, use `return_sequences: false`."
        )
    steps = [axis.get("step") for axis in map(_plain, axes) if isinstance(axis, dict)]
    if any(type(step) is int and step < 0 for step in steps):
        return "No layer reverses an axis: prepare the data so."
    if any(step not in (None, 1) for step in steps):
        return "For a step, use MaxPooling1D or MaxPooling2D with a pool_size of 1 and the step as strides."
    return (
        "A slice is read as Cropping1D, Cropping2D or Cropping3D only if the shape of its input is known here, and for "
        "axes between the samples and the last one: use such a layer yourself, and Permute or Reshape around it to cut "
        "the last axis."
    )


def _all_axes(spec: Any, rank: int | None) -> list[Any] | None:
    """Return one item for each axis of a tensor; an ellipsis and the end stand for whole axes."""
    if not isinstance(spec, list) or not spec:
        return None
    axes = list(map(_plain, spec))
    ellipses = [i for i, axis in enumerate(axes) if isinstance(axis, dict) and axis.get("class_name") == "__ellipsis__"]
    if rank is None or len(ellipses) > 1 or len(axes) - len(ellipses) > rank:
        return axes if rank is None and not ellipses else None
    gap = ellipses[0] if ellipses else len(axes)
    return [*axes[:gap], *[_WHOLE] * (rank - len(axes) + len(ellipses)), *axes[gap + 1 :]]


def _plain(axis: Any) -> Any:
    """Return a slice as Keras 2 wrote it; Keras 3 puts its class around it."""
    return axis.get("config") if isinstance(axis, dict) and axis.get("class_name") == "__slice__" else axis


def _margins(axis: Any, length: int | None) -> list[int] | None:
    """Return how much a slice cuts off at the start and at the end of an axis; None if that is not known."""
    if not isinstance(axis, dict) or axis.keys() != {"start", "stop", "step"} or axis["step"] not in (None, 1):
        return None
    start, stop = axis["start"], axis["stop"]
    if not all(bound is None or type(bound) is int for bound in (start, stop)):
        return None
    if length is not None:
        first, end, _ = slice(start, stop).indices(length)
        return [first, length - end] if first < end else None
    if (start or 0) < 0 or not (stop is None or stop < 0):
        return None
    return [start or 0, -(stop or 0)]
