"""Arguments that Keras has renamed, dropped, or given another form."""

from collections.abc import Collection
from typing import Any, Final

from fitqueue.spec.findings import FaultCode, NoticeCode, Pointer
from fitqueue.spec.keras_objects import catalogue
from fitqueue.spec.keras_objects.legacy.file_names import translate_file_names
from fitqueue.spec.keras_objects.legacy.rules import ARGUMENTS, Rule


def translate_arguments(
    kind: str, class_name: str, sent_class_name: str, config: dict[str, Any], pointer: Pointer
) -> dict[str, Any]:
    """Return the config with the arguments that Keras has today.

    Args:
        class_name: the present name of the class.
        sent_class_name: the name of the class in the job, for messages.
        pointer: leads to the config.
    """
    config = dict(config)
    for rule in _rules_for(kind, class_name, config):
        if rule.argument in config:
            _apply(rule, config, sent_class_name, pointer)
    if kind == "optimizers":
        _translate_epsilon(config, pointer / "epsilon")
        _translate_decay(class_name, config, pointer / "decay")
    elif kind == "losses":
        _translate_reduction(config, pointer / "reduction")
    elif kind == "layers":
        _translate_axis(class_name, config, pointer / "axis")
        _explain_forget_bias(class_name, config, pointer / "bias_initializer")
        _translate_shape(class_name, config, pointer / "shape")
    elif kind == "callbacks":
        config = translate_file_names(class_name, config, pointer)
    return config


def sent_argument(kind: str, class_name: str, argument: str, config: dict[str, Any]) -> str:
    """Return the name that an argument has in the config as it was sent, so that faults point there."""
    rules = _rules_for(kind, class_name, config)
    return next((rule.argument for rule in rules if rule.becomes == argument), argument)


def current_arguments(kind: str, class_name: str) -> Collection[str]:
    """Return the names of the arguments that a class has today."""
    entry = catalogue.kind(kind).find(class_name)
    return entry.properties if entry is not None else ()


def is_number(value: Any) -> bool:
    """Return whether a JSON value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def rules_of(kind: str, class_name: str) -> list[Rule]:
    """Return the rules for the arguments that a class no longer has."""
    return [rule for rule in ARGUMENTS if rule.kind == kind and _is_for(rule, class_name)]


def _rules_for(kind: str, class_name: str, config: dict[str, Any]) -> list[Rule]:
    return [rule for rule in ARGUMENTS if rule.kind == kind and rule.argument in config and _is_for(rule, class_name)]


def _is_for(rule: Rule, class_name: str) -> bool:
    if rule.classes is not None:
        return class_name in rule.classes
    return rule.argument not in current_arguments(rule.kind, class_name)


def _apply(rule: Rule, config: dict[str, Any], sent_class_name: str, pointer: Pointer) -> None:
    value, argument_pointer = config.pop(rule.argument), pointer / rule.argument
    if rule.becomes is None:
        _drop(rule, value, sent_class_name, argument_pointer)
    elif rule.becomes in config:
        argument_pointer.add_fault(
            FaultCode.CONFLICT,
            f"{rule.argument!r} is the old name of {rule.becomes!r}, which is given as well.",
            received=value,
            expected=f"{rule.becomes!r} only",
        )
    else:
        argument_pointer.add_notice(
            NoticeCode.TRANSLATED, f"{sent_class_name}: {rule.argument!r} is read as {rule.becomes!r}."
        )
        config[rule.becomes] = value


def _drop(rule: Rule, value: Any, sent_class_name: str, pointer: Pointer) -> None:
    if rule.harmless is not None and value not in rule.harmless:
        pointer.add_fault(FaultCode.NOT_SUPPORTED, rule.otherwise, received=value, expected="no such argument")
    elif value is not None:
        pointer.add_notice(
            NoticeCode.IGNORED, f"{sent_class_name}: {rule.argument!r} has no effect in Keras 3 and is left out."
        )


def _translate_epsilon(config: dict[str, Any], pointer: Pointer) -> None:
    if config.get("epsilon", 0) is None:
        del config["epsilon"]
        pointer.add_notice(NoticeCode.TRANSLATED, "An epsilon of null is read as Keras's default.")


def _translate_decay(class_name: str, config: dict[str, Any], pointer: Pointer) -> None:
    """Replace `decay`: Keras 2 divided the learning rate by 1 + decay × step, as InverseTimeDecay does in Keras 3."""
    if "decay" not in config:
        return
    decay, rate = config.pop("decay"), config.get("learning_rate", _default_learning_rate(class_name))
    if not is_number(decay) or decay < 0:
        pointer.add_fault(FaultCode.WRONG_TYPE, "Expected a number ≥ 0.", decay, "a number ≥ 0")
    elif not decay:
        pointer.add_notice(NoticeCode.IGNORED, "A decay of 0 has no effect and is left out.")
    elif is_number(rate) and rate <= 0:
        pass  # the learning rate is at fault, and is reported where it stands
    elif not is_number(rate):
        pointer.add_fault(
            FaultCode.CONFLICT, "The learning rate is already a schedule.", decay, "either decay or a schedule"
        )
    else:
        pointer.add_notice(
            NoticeCode.TRANSLATED, "decay is read as the schedule InverseTimeDecay of the learning rate."
        )
        schedule = {"initial_learning_rate": rate, "decay_steps": 1, "decay_rate": decay}
        config["learning_rate"] = {"class_name": "InverseTimeDecay", "config": schedule}


def _default_learning_rate(class_name: str) -> Any:
    return catalogue.kind("optimizers").classes[class_name].properties.get("learning_rate", {}).get("default")


def _translate_reduction(config: dict[str, Any], pointer: Pointer) -> None:
    """Replace "auto" by what it meant outside of tf.distribute. Under a strategy, the trainer averages the losses."""
    if config.get("reduction") == "auto":
        config["reduction"] = "sum_over_batch_size"
        pointer.add_notice(NoticeCode.TRANSLATED, "'auto' is read as 'sum_over_batch_size'.")


def _translate_axis(class_name: str, config: dict[str, Any], pointer: Pointer) -> None:
    axis = config.get("axis")
    if class_name == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        pointer.add_notice(NoticeCode.TRANSLATED, f"{axis} is read as {axis[0]}.")
        config["axis"] = axis[0]


def _translate_shape(class_name: str, config: dict[str, Any], pointer: Pointer) -> None:
    shape = config.get("shape")
    if class_name == "InputLayer" and is_number(shape):
        pointer.add_notice(NoticeCode.TRANSLATED, f"shape {shape} is read as [{shape}].")
        config["shape"] = [shape]


_ZEROS: Final = ("zeros", "zero", "Zeros")


def _explain_forget_bias(class_name: str, config: dict[str, Any], pointer: Pointer) -> None:
    """Add a notice where an old document misleads: `unit_forget_bias` does not force the other biases to zero."""
    initializer = config.get("bias_initializer", "zeros")
    name = initializer.get("class_name") if isinstance(initializer, dict) else initializer
    if "unit_forget_bias" not in current_arguments("layers", class_name) or name in _ZEROS:
        return
    if config.get("use_bias", True) and config.get("unit_forget_bias", True):
        pointer.add_notice(
            NoticeCode.SUSPICIOUS,
            "unit_forget_bias sets the bias of the forget gate to 1 and leaves the others to bias_initializer. It does "
            "not force them to zeros, although older documentation says so.",
        )
