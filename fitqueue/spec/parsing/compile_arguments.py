"""The arguments of `compile` as Keras's `get_compile_config` writes them, and those that a job does not have."""

from typing import Any, Final

from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer

_NULL_IS_DEFAULT: Final = (
    "metrics", "weighted_metrics", "loss_weights", "jit_compile", "steps_per_execution", "dtype_policy",
)  # fmt: skip
_OWN_DECISIONS: Final = {
    "run_eagerly": "A job trains in compiled steps, which compute the same: run_eagerly is left out.",
    "sample_weight_mode": "Keras 3 takes it from the shape of the sample weights: sample_weight_mode is left out.",
}
"""Arguments that change no result here, with what a notice says if they have another value than null or false."""


def current_arguments(value: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Return the arguments of `compile` without those that say nothing or that a job does not have.

    Null stands for the default. `run_eagerly` and `sample_weight_mode` are left out, with a notice if they ask for
    something; so is `auto_scale_loss`, unless float16 makes it matter.
    """
    arguments = {name: item for name, item in value.items() if item is not None or name not in _NULL_IS_DEFAULT}
    for name, message in _OWN_DECISIONS.items():
        if _asks_for_something(arguments.pop(name, None)):
            (pointer / name).add_notice(NoticeCode.IGNORED, message)
    _drop_auto_scale_loss(arguments, pointer / "auto_scale_loss")
    return arguments


def _asks_for_something(value: Any) -> bool:
    """Return whether a value, or one of those inside, is neither null nor false."""
    if isinstance(value, list | dict):
        return any(map(_asks_for_something, value.values() if isinstance(value, dict) else value))
    return value is not None and value is not False


def _drop_auto_scale_loss(arguments: dict[str, Any], pointer: Pointer) -> None:
    scales = arguments.pop("auto_scale_loss", True)
    if scales is not False:
        return
    if arguments.get("dtype_policy") == "mixed_float16":
        pointer.add_fault(
            FaultCode.NOT_SUPPORTED,
            "With mixed_float16, the service always has Keras scale the loss: without it, small gradients are lost.",
            received=False,
            expected="true, or no such argument",
        )
    else:
        message = "Keras scales the loss with mixed_float16 only: auto_scale_loss has no effect and is left out."
        pointer.add_notice(NoticeCode.IGNORED, message)
