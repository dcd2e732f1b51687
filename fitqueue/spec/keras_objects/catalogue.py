"""The catalogue of what a job may name, which `tools/make_catalogue.py` extracts from Keras.

Every name is looked up here. None is ever resolved by asking Keras for an attribute.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

Schema = Mapping[str, Any]

MODELS: Final = frozenset({"Sequential", "Functional"})
"""Classes that may be used as layers and that contain layers themselves."""


ACTIVATION_LAYERS: Final = frozenset({"Activation", "ELU", "LeakyReLU", "ReLU", "Softmax"})
"""Layers that may be used as activations: they have no weights, and their output depends on their input alone."""

OBJECTS_ONLY: Final = frozenset({"layers", "schedules"})
"""Kinds of objects for which Keras accepts no bare names."""


@dataclass(frozen=True)
class Entry:
    """A Keras class and the JSON Schemas of its arguments, with their defaults and descriptions.

    Attributes:
        call: the arguments of the layer's `call`.
        direction: "up" or "down" if Keras knows when a metric gets better.
        layers: the number of layers of an architecture.
    """

    name: str
    description: str
    properties: Mapping[str, Schema]
    required: tuple[str, ...]
    call: tuple[str, ...] = ()
    direction: str | None = None
    layers: int = 0


@dataclass(frozen=True)
class Kind:
    """A kind of Keras objects, such as layers or losses.

    Attributes:
        names: the strings that stand for an object, with the name of its class, or "" if it is a function.
        aliases: other names of classes that need arguments, so that the bare string is not enough.
    """

    classes: Mapping[str, Entry]
    names: Mapping[str, str]
    directions: Mapping[str, str | None] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Entry | None:
        """Return the class with this name or alias."""
        return self.classes.get(name) or self.classes.get(self.names.get(name) or self.aliases.get(name, ""))

    def all_names(self) -> list[str]:
        """Return all names that a job may use, those of classes first."""
        return [*self.classes, *self.names]


@cache
def raw_catalogue() -> dict[str, Any]:
    """Return the catalogue as it is stored.

    `{keras, kinds: {kind: {classes, names, aliases}}, left_out: {kind: {name: reason}}}`
    """
    loaded: dict[str, Any] = json.loads(Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8"))
    return loaded


@cache
def kind(name: str) -> Kind:
    """Return the kind with this name, such as "layers"."""
    raw = raw_catalogue()["kinds"][name]
    return Kind(
        classes={class_name: _entry(class_name, entry) for class_name, entry in raw["classes"].items()},
        names={identifier: entry.get("class", "") for identifier, entry in raw["names"].items()},
        directions={identifier: entry.get("direction") for identifier, entry in raw["names"].items()},
        aliases=raw["aliases"],
    )


def left_out(name: str, of_kind: str) -> str | None:
    """Return why the catalogue leaves out a name that Keras exports; None if it does not."""
    reason: str | None = raw_catalogue()["left_out"].get(of_kind, {}).get(name)
    return reason


def is_application(class_name: str) -> bool:
    """Return whether this is an architecture of `keras.applications`, which may be used as a model or as a layer."""
    return class_name in kind("applications").classes


def has_argument(class_name: str, argument: str) -> bool:
    """Return whether a class of any kind has this name and this argument."""
    entries = (kind(name).find(class_name) for name in raw_catalogue()["kinds"])
    return any(entry is not None and argument in entry.properties for entry in entries)


def _entry(name: str, raw: Mapping[str, Any]) -> Entry:
    return Entry(
        name=name,
        description=raw["description"],
        properties=raw["properties"],
        required=tuple(raw["required"]),
        call=tuple(raw.get("call", ())),
        direction=raw.get("direction"),
        layers=raw.get("layers", 0),
    )
