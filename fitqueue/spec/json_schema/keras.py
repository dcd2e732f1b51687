"""The JSON Schemas of Keras's objects in a job, from the catalogue.

There are two forms. That for the description of the API names the classes, and leaves their arguments open: a client
that is generated from it would else have hundreds of types. That for editors has each argument of each class, too.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fitqueue.spec.keras_objects import catalogue, schedules
from fitqueue.spec.keras_objects.catalogue import ACTIVATION_LAYERS, OBJECTS_ONLY, Entry, Kind, Schema
from fitqueue.spec.keras_objects.legacy.arguments import rules_of
from fitqueue.spec.keras_objects.legacy.rules import Rule

Definitions = dict[str, Any]

_TITLES: Final[Mapping[str, str]] = {
    "layers": "Layer",
    "optimizers": "Optimizer",
    "schedules": "Schedule",
    "losses": "Loss",
    "metrics": "Metric",
    "initializers": "Initializer",
    "regularizers": "Regularizer",
    "constraints": "Constraint",
    "callbacks": "Callback",
    "dtype_policies": "DTypePolicy",
}
"""The name of the definition of an object, by its kind."""

API_KINDS: Final = ("layers", "optimizers", "losses", "metrics", "callbacks")
"""The kinds that the parts of a job have. The others are arguments."""

_OTHER_NAMES: Final[Mapping[str, tuple[str, ...]]] = {"InputLayer": ("Input",)}

_WRITTEN_BY_KERAS: Final = (
    "^(module|registered_name|build_config|compile_config|name|inbound_nodes|shared_object_id|keras_version|backend)$"
)
"""Fields that `to_json()` writes. They are accepted, and an editor does not offer them."""

_DECLARED: Final[Mapping[str, Schema]] = {
    "learning_rate_schedule": {"$ref": "#/$defs/LearningRateSchedule"},
    "renorm_clipping": {"type": ["object", "null"]},
    "nested_list_of_numbers": {"type": "array"},
}
_OPEN_OBJECT: Final[Schema] = {"type": "object", "additionalProperties": True}
_NAME: Final[Schema] = {"type": ["string", "null"], "description": "its name, from which those of its layers derive"}


def reference(kind: str) -> Schema:
    """Return the schema of an object of this kind that is written with its arguments."""
    return {"$ref": f"#/$defs/{_TITLES[kind]}"}


def named(kind: str) -> Schema:
    """Return the schema of an object of this kind, or of a name for one."""
    return {"anyOf": [{"$ref": f"#/$defs/{_TITLES[kind]}Name"}, reference(kind)]}


# --- For the description of the API --------------------------------------------------------------------------------


def api_definitions() -> Definitions:
    """Return the definitions of objects, with the names of the classes and without their arguments."""
    definitions: Definitions = {"Model": _model(_layers_of_model())}
    for kind in API_KINDS:
        title = _TITLES[kind]
        class_name = {"type": "string", "enum": list(_class_names(kind)), "description": "the name of the class"}
        config = {**_OPEN_OBJECT, "description": "the arguments of its constructor; `GET /catalogue` has them"}
        definitions[title] = _object(_sentence(kind), class_name, config)
        if kind not in OBJECTS_ONLY:
            words = f"the name of one of Keras's {kind}"
            definitions[f"{title}Name"] = {"type": "string", "description": words}
    return definitions


def _layers_of_model() -> Schema:
    layers = {"type": "array", "items": reference("layers"), "description": "the layers, in order"}
    return {**_OPEN_OBJECT, "properties": {"name": _NAME, "layers": layers}}


# --- For editors ---------------------------------------------------------------------------------------------------


def full_definitions() -> Definitions:
    """Return the definitions of objects with the arguments of each class."""
    definitions: Definitions = {
        "Model": _closed(_model(_OPEN_OBJECT)) | {"allOf": [*_models(), *_cases("applications")]},
        **schedules.json_schemas("LearningRateSchedule"),
        "ActivationName": _names("activations"),
    }
    for kind, title in _TITLES.items():
        class_name = {"enum": [*_class_names(kind), *(_other_class_names(kind))]}
        cases = [*_cases(kind), *([*_models(), *_cases("applications")] if kind == "layers" else [])]
        definitions[title] = _closed(_object(_sentence(kind), class_name, {"type": "object"})) | {"allOf": cases}
        if kind not in OBJECTS_ONLY:
            definitions[f"{title}Name"] = _names(kind)
    return definitions


def _closed(schema: Schema) -> dict[str, Any]:
    return {**schema, "patternProperties": {_WRITTEN_BY_KERAS: True}, "additionalProperties": False}


def _names(kind: str) -> Schema:
    return {"enum": catalogue.kind(kind).all_names(), "description": f"one of Keras's {kind} by its name"}


def _cases(kind: str) -> Iterator[Schema]:
    """Yield, for each class, the schema of an object that has the arguments of this class if it is of this class."""
    entries = catalogue.kind(kind)
    for name, entry in entries.classes.items():
        yield _case([name, *_OTHER_NAMES.get(name, ()), *_aliases(entries, name)], _arguments(kind, entry))


def _case(names: list[str], config: Schema) -> Schema:
    then: dict[str, Any] = {"properties": {"config": config}}
    if config.get("required"):
        then["required"] = ["config"]
    return {"if": {"properties": {"class_name": {"enum": names}}}, "then": then}


def _arguments(kind: str, entry: Entry) -> Schema:
    properties = {name: _argument(schema) for name, schema in entry.properties.items()}
    rules = rules_of(kind, entry.name)
    renamed = {rule.becomes for rule in rules}
    return {
        "type": "object",
        "description": entry.description,
        "properties": {rule.argument: _old_argument(rule) for rule in rules} | properties,
        "required": [name for name in entry.required if name not in renamed],
        "additionalProperties": False,
    }


def _old_argument(rule: Rule) -> Schema:
    """Return the schema of an argument of older versions of Keras, which editors strike through."""
    today = f"today: `{rule.becomes}`" if rule.becomes else "Keras 3 does not have it"
    return {"deprecated": True, "description": today}


def _argument(schema: Schema) -> Any:
    """Translate the schema of an argument: the catalogue has three keywords that JSON Schema does not have."""
    kept = {key: schema[key] for key in ("description", "default") if key in schema}
    if "keras" in schema:
        return {**kept, **_keras(schema["keras"])}
    if "declared" in schema:
        return {**kept, **_DECLARED[schema["declared"]]}
    translated = {key: value for key, value in schema.items() if key not in {"reason", "title"}}
    if "anyOf" in schema:
        translated["anyOf"] = [_argument(alternative) for alternative in schema["anyOf"]]
    if "items" in schema:
        translated["items"] = _argument(schema["items"])
    if "pattern" in schema:
        translated["pattern"] = f"^(?:{schema['pattern']})$"
    return translated


def _keras(kind: str) -> Schema:
    if kind == "activations":
        layers = {"type": "object", "properties": {"class_name": {"enum": ["function", *sorted(ACTIVATION_LAYERS)]}}}
        return {"anyOf": [{"$ref": "#/$defs/ActivationName"}, layers]}
    return reference(kind) if kind in OBJECTS_ONLY else named(kind)


def _models() -> Iterator[Schema]:
    """Yield the cases of the models that are made of layers."""
    layers = {"type": "array", "minItems": 1, "items": reference("layers")}
    fields = {"name": _NAME, "trainable": {"type": "boolean"}, "layers": layers}
    ends = {
        name: {"description": f"the layers that are the {name[:-7]}s"} for name in ("input_layers", "output_layers")
    }
    for class_name, properties in (("Sequential", fields), ("Functional", fields | ends)):
        yield _case([class_name], {"type": "object", "properties": properties, "required": ["layers"]})


# --- For both ------------------------------------------------------------------------------------------------------


def _model(config: Schema) -> dict[str, Any]:
    names = ["Sequential", "Functional", *catalogue.kind("applications").classes]
    class_name = {
        "type": "string",
        "enum": names,
        "description": "Sequential, Functional, or an architecture of keras.applications",
    }
    config = {**config, "description": "its layers, or the arguments of the architecture"}
    return _object("A model as Keras serializes it: what `to_json()` returns, or its short form.", class_name, config)


def _object(description: str, class_name: Schema, config: Schema) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": {"class_name": class_name, "config": config},
        "required": ["class_name"],
    }


def _sentence(kind: str) -> str:
    return f"One of Keras's {kind.replace('_', ' ')}: its class, and the arguments of its constructor."


def _class_names(kind: str) -> Iterator[str]:
    for name in catalogue.kind(kind).classes:
        yield name
        yield from _OTHER_NAMES.get(name, ())
    if kind == "layers":
        yield from ("Sequential", "Functional")
        yield from catalogue.kind("applications").classes


def _other_class_names(kind: str) -> Iterator[str]:
    entries = catalogue.kind(kind)
    for name in entries.classes:
        yield from _aliases(entries, name)


def _aliases(entries: Kind, class_name: str) -> list[str]:
    """Return the other names of a class that may be written as `class_name`."""
    meant = {**entries.names, **entries.aliases}
    return [alias for alias, name in meant.items() if name == class_name and alias not in entries.classes]
