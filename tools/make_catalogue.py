"""Create the catalogue of what a job may name from the installed Keras: `python -m tools.make_catalogue`.

Names, arguments, defaults and their one-line meanings come from Keras's signatures and docstrings. Types come from the
defaults, or else from the rules in `tools/argument_types.py`. An argument that no rule covers stops the tool: a type is
never guessed. The catalogue has everything that Keras exports, except for the names in `tools/left_out.py`. The service
reads only the file, so a new version of Keras adds nothing by itself.
"""

import inspect
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from tools.argument_types import our_arguments, type_of
from tools.layer_counts import LAYERS
from tools.left_out import LEFT_OUT
from tools.schemas import ARRAY_DTYPES, DTYPES

CATALOGUE = Path(__file__).parent.parent / "fitqueue" / "spec" / "keras_objects" / "catalogue.json"

MODULES: dict[str, Any] = {
    "layers": keras.layers,
    "applications": keras.applications,
    "optimizers": keras.optimizers,
    "schedules": keras.optimizers.schedules,
    "losses": keras.losses,
    "metrics": keras.metrics,
    "initializers": keras.initializers,
    "regularizers": keras.regularizers,
    "constraints": keras.constraints,
    "callbacks": keras.callbacks,
}
# Kinds of which Keras takes a string in place of an object, and the strings.
IDENTIFIERS: dict[str, dict[str, Any]] = {
    kind: getattr(keras.src, kind).ALL_OBJECTS_DICT
    for kind in ("optimizers", "losses", "metrics", "initializers", "regularizers", "constraints")
}
NO_ACTIVATIONS = {"get", "serialize", "deserialize"}

# What `compile` understands by name alone, because the model's output decides what it means.
CONVENIENCES = {"losses": ["crossentropy", "ce"], "metrics": ["accuracy", "acc"]}


def catalogue() -> dict[str, Any]:
    """Return the whole catalogue, in a fixed order."""
    kinds = {kind: {"classes": classes(kind), "names": names(kind), "aliases": class_aliases(kind)} for kind in MODULES}
    kinds["layers"]["names"]["Input"] = {"class": "InputLayer"}
    kinds["activations"] = {"classes": {}, "names": {name: {} for name in sorted(activations())}, "aliases": {}}
    kinds["dtype_policies"] = {
        "classes": {"DTypePolicy": DTYPE_POLICY},
        "names": {name: {} for name in POLICIES} | {"FloatDTypePolicy": {"class": "DTypePolicy"}},
        "aliases": {},
    }
    return {"keras": keras.__version__, "kinds": kinds, "left_out": LEFT_OUT}


POLICIES = [*DTYPES, *(name for name in ARRAY_DTYPES if name not in DTYPES)]
DTYPE_POLICY = {
    "description": "The type of a layer's weights and of its computations.",
    "properties": {"name": {"enum": POLICIES, "description": "The policy's name."}},
    "required": ["name"],
}


def exported(kind: str) -> dict[str, Any]:
    """Return what Keras exports of a kind and is not left out, each once, by the name that `to_json` writes."""
    left_out = LEFT_OUT[kind]
    public = vars(MODULES[kind])
    found = {own_name(name, value, public): value for name, value in public.items() if is_of(kind, name, value)}
    if unknown := left_out.keys() - found.keys():
        raise LookupError(f"left out of the {kind}, and no longer exported by Keras: {sorted(unknown)}")
    return {name: found[name] for name in sorted(found) if name not in left_out}


def own_name(name: str, value: Any, public: Mapping[str, Any]) -> str:
    """Return the name of a class: its own, or the public one if Keras exports it only under others."""
    return value.__name__ if public.get(value.__name__) is value else name


def is_of(kind: str, name: str, value: Any) -> bool:
    if kind == "applications":  # functions that make a model
        return inspect.isfunction(value) and name[0].isupper()
    return inspect.isclass(value) and value.__module__.startswith("keras.")


def activations() -> Iterable[str]:
    """Return the names that `keras.activations.get` resolves to a function of one tensor."""
    return (name for name in keras.src.activations.ALL_OBJECTS_DICT if name not in NO_ACTIVATIONS)


def names(kind: str) -> dict[str, dict[str, Any]]:
    """Return the strings that stand for a class of this kind, or that Keras accepts in place of an object."""
    if kind not in IDENTIFIERS:
        return aliases(kind)
    return identifiers(kind)


def aliases(kind: str) -> dict[str, dict[str, Any]]:
    """Return other public names of the same classes, such as MaxPool2D."""
    known = exported(kind)
    found = {
        alias: {"class": value.__name__}
        for alias, value in vars(MODULES[kind]).items()
        if is_of(kind, alias, value) and alias not in known and value.__name__ in known
    }
    return dict(sorted(found.items()))


def class_aliases(kind: str) -> dict[str, str]:
    """Return other names of classes for `class_name` only: a bare "constant", for example, lacks its arguments.

    Keras itself accepts some of them. The others are public names under which scripts have always used the class.
    """
    if kind not in IDENTIFIERS:
        return {}
    known, bare = exported(kind), names(kind)
    found = {alias: entry["class"] for alias, entry in aliases(kind).items()}
    found |= {name: value.__name__ for name, value in IDENTIFIERS[kind].items() if inspect.isclass(value)}
    return {
        alias: name for alias, name in sorted(found.items()) if name in known and alias not in bare and alias != name
    }


def identifiers(kind: str) -> dict[str, dict[str, Any]]:
    known = exported(kind)
    by_name: dict[str, dict[str, Any]] = {}
    for identifier, value in sorted(IDENTIFIERS[kind].items()):
        if not inspect.isclass(value):
            by_name[identifier] = {}
        elif value.__name__ in known and is_understood(kind, identifier):
            by_name[identifier] = {"class": value.__name__}
    if kind == "metrics":
        for identifier, found in by_name.items():
            found["direction"] = direction(IDENTIFIERS[kind][identifier])
    for name in CONVENIENCES.get(kind, []):
        by_name[name] = {"direction": "up"} if kind == "metrics" else {}
    return by_name


def is_understood(kind: str, identifier: str) -> bool:
    """Return whether Keras creates an object from the bare name; some, such as "constant", lack an argument then."""
    try:
        getattr(keras, kind).get(identifier)
    except (TypeError, KeyError):
        return False
    return True


def classes(kind: str) -> dict[str, Any]:
    return {name: entry(kind, name, value) for name, value in exported(kind).items()}


def entry(kind: str, name: str, value: Any) -> dict[str, Any]:
    """Return the entry of a class: the JSON Schema of its config, `call` for layers and `direction` for metrics."""
    parameters = inspect.signature(value.__init__ if inspect.isclass(value) else value).parameters.values()
    meanings = argument_meanings(inspect.getdoc(value) or "")
    properties = {
        parameter.name: argument(kind, name, parameter, meanings)
        for parameter in parameters
        if parameter.name not in {"self", "args"} and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    takes_more = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    for ours, schema in our_arguments(kind, name, takes_more=takes_more).items():
        properties.setdefault(ours, schema)
    found: dict[str, Any] = {
        "description": first_sentence(inspect.getdoc(value) or ""),
        "properties": properties,
        "required": [p.name for p in parameters if p.name in properties and p.default is inspect.Parameter.empty],
    }
    if kind == "layers":
        found["call"] = [
            p.name
            for p in inspect.signature(value.call).parameters.values()
            if p.name != "self" and p.kind is not inspect.Parameter.VAR_KEYWORD
        ]
    if kind == "metrics":
        found["direction"] = direction(value)
    if kind == "applications":
        found["layers"] = LAYERS[name]
    return found


def argument(kind: str, of: str, parameter: inspect.Parameter, meanings: dict[str, str]) -> dict[str, Any]:
    schema = dict(type_of(kind, of, parameter.name, parameter.default))
    if parameter.default is not inspect.Parameter.empty:
        schema["default"] = parameter.default
    if parameter.name in meanings:
        schema["description"] = meanings[parameter.name]
    return schema


def direction(metric: Any) -> str | None:
    """Return which direction Keras considers better if the mode of a callback is `auto`; None if it does not know."""
    if not inspect.isclass(metric):
        return None
    needs = {
        "IoU": {"num_classes": 2, "target_class_ids": [0]},
        "OneHotIoU": {"num_classes": 2, "target_class_ids": [0]},
        "MeanIoU": {"num_classes": 2},
        "OneHotMeanIoU": {"num_classes": 2},
        "PrecisionAtRecall": {"recall": 0.5},
        "RecallAtPrecision": {"precision": 0.5},
        "SensitivityAtSpecificity": {"specificity": 0.5},
        "SpecificityAtSensitivity": {"sensitivity": 0.5},
    }
    return getattr(metric(**needs.get(metric.__name__, {})), "_direction", None)


def argument_meanings(docstring: str) -> dict[str, str]:
    """Return the first sentence about each argument, from the section `Args:` of a Google-style docstring."""
    section = re.search(r"^Arg(?:ument)?s:\n(.*?)(?=^\S|\Z)", docstring, re.MULTILINE | re.DOTALL)
    if section is None:
        return {}
    found = re.findall(r"^ {2,4}(\w+): *(.*?)(?=^ {2,4}\S|\Z)", section.group(1), re.MULTILINE | re.DOTALL)
    return {name: first_sentence(text) for name, text in found}


def first_sentence(text: str) -> str:
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    sentence = re.match(r".*?(?<!e\.g)(?<!i\.e)[.](?=\s|$)", paragraph)
    return (sentence.group() if sentence else paragraph)[:300]


def as_text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=_plain) + "\n"


def _plain(value: Any) -> Any:
    raise TypeError(f"a default that is not JSON: {value!r}")


def main(write: Callable[[str], Any] = CATALOGUE.write_text) -> None:
    write(as_text(catalogue()))


if __name__ == "__main__":
    main()
