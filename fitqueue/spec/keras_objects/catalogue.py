"""What a job may name: the catalogue that `tools/make_catalogue.py` took from Keras, as data.

A name is looked up here and nowhere else; nothing is ever resolved by asking Keras for an attribute.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

Schema = Mapping[str, Any]

MODELS: Final = frozenset({"Sequential", "Functional"})
"""Classes that stand where a layer may stand, and hold layers themselves."""


ACTIVATION_LAYERS: Final = frozenset({"Activation", "ELU", "LeakyReLU", "ReLU", "Softmax"})
"""Layers that may stand as an activation: what they give follows from what they get alone."""

OBJECTS_ONLY: Final = frozenset({"layers", "schedules"})
"""Kinds of which Keras takes no bare names."""


@dataclass(frozen=True)
class Entry:
    """A class of Keras, its arguments as JSON Schema (with `default` and `description`).

    `call` names what a layer's call takes; `direction` says which way a metric gets better, where Keras knows;
    `layers` is how many an architecture is made of.
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
    """One kind of Keras's objects. `names` are the strings that stand for an object; `""` where it is no class.

    `aliases` are other names of classes, which as bare strings say too little.
    """

    classes: Mapping[str, Entry]
    names: Mapping[str, str]
    directions: Mapping[str, str | None] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Entry | None:
        """The class of this name, or of this other name of it."""
        return self.classes.get(name) or self.classes.get(self.names.get(name) or self.aliases.get(name, ""))

    def all_names(self) -> list[str]:
        return [*self.classes, *self.names]


@cache
def raw_catalogue() -> dict[str, Any]:
    """The catalogue as it is stored.

    `{keras, kinds: {kind: {classes, names, aliases}}, left_out: {kind: {name: reason}}}`
    """
    loaded: dict[str, Any] = json.loads(Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8"))
    return loaded


@cache
def kind(name: str) -> Kind:
    raw = raw_catalogue()["kinds"][name]
    return Kind(
        classes={class_name: _entry(class_name, entry) for class_name, entry in raw["classes"].items()},
        names={identifier: entry.get("class", "") for identifier, entry in raw["names"].items()},
        directions={identifier: entry.get("direction") for identifier, entry in raw["names"].items()},
        aliases=raw["aliases"],
    )


def left_out(name: str, of_kind: str) -> str | None:
    """Why a job may not name what Keras exports under this name; None where that is not the case."""
    reason: str | None = raw_catalogue()["left_out"].get(of_kind, {}).get(name)
    return reason


def is_application(class_name: str) -> bool:
    """Whether it is an architecture of `keras.applications`, which stands where a model or a layer may stand."""
    return class_name in kind("applications").classes


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
