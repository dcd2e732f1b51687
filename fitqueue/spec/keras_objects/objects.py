"""Check Keras objects and bring them into canonical form.

An object is written as Keras serializes it, `{"class_name", "config"}`, or as a name. In canonical form it has the
class name of the catalogue and the arguments of today, and nothing else. A name that Keras accepts in place of an
object ("relu", "glorot_uniform") stays a string.

The functions of this module call each other recursively: the arguments of an object are values, a value may be an
object, and a model holds layers.
"""

from contextlib import suppress
from typing import Any, Final

from fitqueue.spec.findings import FaultCode, Findings, Pointer, TooManyFaults, did_you_mean, listed, quoted
from fitqueue.spec.keras_objects import catalogue, graph, model, values
from fitqueue.spec.keras_objects.adapted_layers import complete_adapt
from fitqueue.spec.keras_objects.catalogue import Schema
from fitqueue.spec.keras_objects.class_lookup import NO_OPERATIONS, check_name, find_class, report_unknown_class
from fitqueue.spec.keras_objects.layer_values import check_layer_values
from fitqueue.spec.keras_objects.legacy.arguments import sent_argument, translate_arguments
from fitqueue.spec.keras_objects.legacy.graphs import translate_graph
from fitqueue.spec.keras_objects.legacy.input_arguments import AXIS_SCHEMA, InputArgument, take_input_arguments
from fitqueue.spec.keras_objects.legacy.names import current_class, translate_class, translate_name
from fitqueue.spec.keras_objects.legacy.operations import advice_on, is_operation
from fitqueue.spec.keras_objects.legacy.slashes import replace_slashes
from fitqueue.spec.keras_objects.legacy.wrapped_values import unwrapped
from fitqueue.spec.keras_objects.mask_operations import MODULE, find_operation
from fitqueue.spec.keras_objects.object_fields import check_fields, config_with_name, is_custom

MAX_NESTING: Final = 16

# Kinds whose functions Keras writes as objects of the class "function".
_FUNCTION_KINDS: Final = {"activations", "losses", "metrics"}
# Kinds whose defaults are filled in, because the service itself reads their arguments.
_COMPLETED_KINDS: Final = {"optimizers", "callbacks"}

FAULTY: Final[dict[str, Any]] = {"class_name": "", "config": {}}
"""Takes the place of an object whose faults have been reported, so that they are not reported again."""


def check_object(value: Any, kind: str, pointer: Pointer) -> Any:
    """Return the canonical form of an object of this kind, or of a name for one.

    If it has faults, they are reported, and FAULTY is returned.
    """
    faults_before = len(pointer.findings.faults)
    canonical = _canonical(value, kind, pointer)
    return canonical if len(pointer.findings.faults) == faults_before else FAULTY


def _canonical(value: Any, kind: str, pointer: Pointer) -> Any:
    if isinstance(value, str) and kind not in catalogue.OBJECTS_ONLY:
        value = translate_name(value, kind, pointer)
    if isinstance(value, str) and kind not in catalogue.OBJECTS_ONLY:
        is_completed = kind in _COMPLETED_KINDS
        return _completed(value, kind, pointer) if is_completed else check_name(value, kind, pointer)
    if not isinstance(value, dict):
        expected = 'an object {"class_name": …, "config": {…}}'
        pointer.add_fault(FaultCode.WRONG_TYPE, f"Expected {expected}.", received=value, expected=expected)
        return value
    if pointer.nesting >= MAX_NESTING:
        pointer.add_fault(FaultCode.TOO_LARGE, f"Keras objects may be nested {MAX_NESTING} levels deep at most.")
        return value
    if value.get("class_name") == "function" and isinstance(value.get("config"), str) and kind in _FUNCTION_KINDS:
        return check_name(value["config"], kind, pointer / "config")
    return _check_serialized(value, kind, pointer.nested())


def _completed(name: str, kind: str, pointer: Pointer) -> Any:
    """Return the object that a name stands for, with all its defaults."""
    entry = find_class(name, kind)
    if entry is None:
        report_unknown_class(name, kind, pointer)
        return name
    return {"class_name": entry.name, "config": _check_arguments(entry, kind, {"class_name": name}, pointer)}


def _check_serialized(value: dict[str, Any], kind: str, pointer: Pointer) -> dict[str, Any]:
    check_fields(value, pointer)
    if kind == "activations" and current_class(value.get("class_name")) in catalogue.ACTIVATION_LAYERS:
        kind = "layers"
    value = translate_class(value, kind, pointer)
    class_name, config = value.get("class_name"), value.get("config", {})
    if not isinstance(class_name, str):
        pointer.add_fault(
            FaultCode.MISSING, "The field 'class_name' is missing.", class_name, "the name of a Keras class"
        )
        return value
    if not isinstance(config, dict) and not model.is_bare_sequence(value):
        (pointer / "config").add_fault(FaultCode.WRONG_TYPE, "Expected an object.", config, "an object")
        return value
    if is_custom(value, pointer):
        return value
    if kind == "layers" and class_name in catalogue.MODELS:
        return {"class_name": class_name, "config": _check_model(class_name, value, pointer / "config")}
    if kind == "layers" and catalogue.is_application(class_name):
        kind = "applications"
    entry = find_class(class_name, kind)
    if entry is None:
        reason = f"{NO_OPERATIONS} {advice_on(value)}" if is_operation(value) else None
        report_unknown_class(class_name, kind, pointer / "class_name", reason)
        return value
    return {"class_name": entry.name, "config": _check_arguments(entry, kind, value, pointer / "config")}


# --- Arguments and values ------------------------------------------------------------------------------------------


def _check_arguments(entry: catalogue.Entry, kind: str, value: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Return the object's config with its arguments checked, and completed by defaults if the kind is."""
    sent = config_with_name(value, value.get("config", {}))
    config = translate_arguments(kind, entry.name, value["class_name"], sent, pointer)
    checked: dict[str, Any] = {}
    for name, argument in config.items():
        schema = entry.properties.get(name)
        if schema is None:
            (pointer / name).add_fault(
                FaultCode.UNKNOWN_FIELD,
                f"{entry.name} has no argument {quoted(name)}." + did_you_mean(name, entry.properties),
                received=argument,
                expected="one of " + listed(list(entry.properties), most=40),
            )
        else:
            checked[name] = check_value(argument, schema, pointer / sent_argument(kind, entry.name, name, sent))
    for name in entry.required:
        if name not in config:
            pointer.add_fault(FaultCode.MISSING, f"{entry.name} needs the argument {name!r}.", expected=name)
    if kind == "layers":
        completed = complete_adapt(entry.name, checked, pointer)
        check_layer_values(entry.name, completed, pointer)
        return completed
    return _defaults(entry) | checked if kind in _COMPLETED_KINDS else checked


def _defaults(entry: catalogue.Entry) -> dict[str, Any]:
    return {name: schema["default"] for name, schema in entry.properties.items() if "default" in schema}


def check_value(value: Any, schema: Schema, pointer: Pointer) -> Any:
    """Return the value of an argument with the objects in it in canonical form, and report its faults."""
    value, pointer = unwrapped(value, pointer)
    value = values.read_number(value, schema, pointer)
    alternatives = values.select_alternatives(value, schema)
    if len(alternatives) == 1:
        return _check_alternative(value, alternatives[0], pointer)
    for alternative in alternatives:
        trial = Pointer(Findings(limit=1), pointer.text, pointer.nesting)
        with suppress(TooManyFaults):
            checked = _check_alternative(value, alternative, trial)
            pointer.findings.notices.extend(trial.findings.notices)
            return checked
    values.report_mismatch(value, schema, pointer)
    return value


def _check_alternative(value: Any, schema: Schema, pointer: Pointer) -> Any:
    if "keras" in schema:
        return check_object(value, schema["keras"], pointer)
    if schema.get("type") != "array":
        return values.check_plain_value(value, schema, pointer)
    if not values.check_length(value, schema, pointer):
        return value
    return [check_value(item, schema["items"], pointer / i) for i, item in enumerate(value)]


# --- Models --------------------------------------------------------------------------------------------------------


def _check_model(class_name: str, value: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    """Return the config of a model, which may itself be a layer of another."""
    config, layers_pointer = model.with_layers_field(value, pointer)
    config = replace_slashes(config_with_name(value, config), pointer)
    model.report_unknown_fields(class_name, config, pointer)
    fields = {
        name: check_value(config[name], schema, pointer / name)
        for name, (schema, default) in model.FIELDS.items()
        if config.get(name, default) is not default
    }
    layers = config.get("layers")
    if not model.check_layer_list(layers, layers_pointer):
        return fields
    if class_name == "Sequential":
        return {**fields, "layers": _check_sequence(config["layers"], layers_pointer)}
    return fields | _check_functional(translate_graph(config, pointer), pointer)


def _check_sequence(layers: list[Any], pointer: Pointer) -> list[Any]:
    first, input_arguments = take_input_arguments(layers[0], pointer / 0)
    checked = [check_object(layer, "layers", pointer / i) for i, layer in enumerate([first, *layers[1:]])]
    for i, layer in enumerate(checked[1:], start=1):
        if graph.is_input(layer):
            (pointer / i).add_fault(FaultCode.BAD_GRAPH, "An Input must be the first layer of a Sequential.")
    graph.check_unique_names(checked, pointer)
    if not input_arguments:
        return checked
    config = {argument.name: _check_input(argument, pointer / 0 / "config") for argument in input_arguments}
    return [{"class_name": "InputLayer", "config": config}, *checked]


def _check_input(argument: InputArgument, pointer: Pointer) -> Any:
    """Return the value for the InputLayer; its faults point to the first layer, which the user wrote."""
    if isinstance(argument.sent_as, tuple):
        lengths = zip(argument.sent_as, argument.value, strict=True)
        return [check_value(length, AXIS_SCHEMA, pointer / name) for name, length in lengths]
    schema = catalogue.kind("layers").classes["InputLayer"].properties[argument.name]
    return check_value(argument.value, schema, pointer / argument.sent_as)


def _check_functional(config: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    if not graph.check_call_count(config["layers"], pointer / "layers"):
        return {}
    layers = [_check_called_layer(layer, pointer / "layers" / i) for i, layer in enumerate(config["layers"])]
    return graph.check_graph(config, layers, pointer)


def _check_called_layer(layer: Any, pointer: Pointer) -> dict[str, Any]:
    operation = find_operation(layer)
    checked = (
        check_object(layer, "layers", pointer) if operation is None else _check_operation(operation, layer, pointer)
    )
    return graph.with_calls(checked, layer, pointer)


def _check_operation(entry: catalogue.Entry, layer: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    faults_before = len(pointer.findings.faults)
    check_fields(layer, pointer)
    config = _check_arguments(entry, "operations", layer, pointer / "config")
    if len(pointer.findings.faults) > faults_before:
        return FAULTY
    return {"class_name": entry.name, "module": MODULE, "config": config}
