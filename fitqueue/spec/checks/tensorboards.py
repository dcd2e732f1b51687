"""Check TensorBoard callbacks: the batches that they profile, and what only one of them can do in a process."""

from collections.abc import Sequence
from typing import Any, Final

from fitqueue.spec.fields.training import KerasObject
from fitqueue.spec.findings import FaultCode, Pointer

_EACH_EPOCH: Final = "epoch"


def check_tensorboards(callbacks: Sequence[KerasObject | None], pointer: Pointer) -> None:
    """Report batches that cannot be profiled, and what several TensorBoards cannot do at the same time."""
    given = [
        (callback.config, pointer / i / "config")
        for i, callback in enumerate(callbacks)
        if callback is not None and callback.class_name == "TensorBoard"
    ]
    for i, (config, config_pointer) in enumerate(given):
        others = [other for other, _ in given[:i]]
        _check_profile(config["profile_batch"], others, config_pointer / "profile_batch")
        if config["update_freq"] != _EACH_EPOCH and any(other["update_freq"] != _EACH_EPOCH for other in others):
            (config_pointer / "update_freq").add_fault(
                FaultCode.CONFLICT,
                "Only one TensorBoard of a job can write after batches, because TensorFlow has one writer at a time.",
                received=config["update_freq"],
                expected=f"{_EACH_EPOCH!r} for all others",
            )


def _check_profile(given: int | list[int], others: Sequence[dict[str, Any]], pointer: Pointer) -> None:
    first, last = _batches(given)
    if last < first:
        pointer.add_fault(
            FaultCode.OUT_OF_RANGE,
            f"It profiles from batch {first:,} to batch {last:,}, which comes before it.",
            received=given,
            expected="the first batch and the last one, such as [2, 5]",
        )
    elif first > 0 and any(_overlap((first, last), _batches(other["profile_batch"])) for other in others):
        pointer.add_fault(
            FaultCode.CONFLICT,
            "Another TensorBoard profiles some of these batches, and a process has only one profiler.",
            received=given,
            expected="0, or batches that no other TensorBoard profiles",
        )


def _batches(given: int | list[int]) -> tuple[int, int]:
    """Return the first and the last batch to profile, counted from 1; Keras profiles none before the first."""
    first, last = (given, given) if isinstance(given, int) else given
    return first, last


def _overlap(batches: tuple[int, int], others: tuple[int, int]) -> bool:
    return 0 < others[0] <= batches[1] and batches[0] <= others[1]
