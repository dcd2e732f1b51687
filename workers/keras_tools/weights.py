"""Fill the layers of a model with stored weights, as `load_weights` does, and tell which layers are filled.

Weights are compared by shapes alone, so the model check does it without having any.

A file of Keras 3 has a key for each layer, such as `dense_1`, and fills one object at a time: a layer, or one inside of
it. A legacy file has its layers in order, and lists of their weights. Keras can match by name for legacy files only;
here it is the same for both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import keras
from keras.src.legacy.saving import legacy_h5_format
from keras.src.saving import saving_lib
from keras.src.utils import naming

from fitqueue.spec.findings import listed
from fitqueue.weights import LAYERS, parse_name
from workers.keras_tools.keras_stores import ArrayStore, HasShape, Variables, WrittenStore, by_object

_MOST_NAMES: Final = 100


@dataclass
class StoredLayer:
    """The weights of one layer; `name` is None if the file does not have it."""

    key: str
    name: str | None
    variables: dict[str, HasShape] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredWeights:
    """The weights of a model, layer by layer."""

    layers: Sequence[StoredLayer]
    is_legacy: bool


class WeightsMismatch(ValueError):
    """Weights that a layer needs are not there, or have other shapes. The message is for the job's owner."""

    def __init__(self, message: str, received: Any, expected: str) -> None:
        super().__init__(message)
        self.received = received
        self.expected = expected


@dataclass
class Filled:
    """The names of a model's layers that have weights, by what they get.

    Attributes:
        unused: stored layers that this model does not have.
    """

    wholly: list[str] = field(default_factory=list)
    partly: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = {
            "Filled with stored weights": self.wholly,
            "Partly filled": self.partly,
            "Newly initialized": self.new,
            "Stored but not used": self.unused,
        }
        return " ".join(f"{what}: {listed(names, _MOST_NAMES)}." for what, names in parts.items() if names)


# --- Stored weights ------------------------------------------------------------------------------------------------


def from_arrays(arrays: Mapping[str, HasShape]) -> StoredWeights:
    """Return the weights in arrays with the names of `fitqueue.weights`."""
    layers: dict[str, StoredLayer] = {}
    is_legacy = False
    for name, array in arrays.items():
        parsed = parse_name(name)
        if parsed is None or parsed.part != LAYERS:
            continue
        layer = layers.setdefault(parsed.key, StoredLayer(parsed.key, parsed.layer))
        layer.variables[parsed.path] = array
        is_legacy = parsed.is_legacy
    return StoredWeights(list(layers.values()), is_legacy)


def from_model(model: keras.Model) -> StoredWeights | None:
    """Return the weights that a file of this model would have; None if Keras needs the weights to tell."""
    try:
        visited: set[int] = set()
        layers = [StoredLayer(key, layer.name, dict(_needed(layer, visited))) for key, layer in _keyed_layers(model)]
    except Exception:
        return None
    return StoredWeights([layer for layer in layers if layer.variables], is_legacy=False)


def _keyed_layers(model: keras.Model) -> list[tuple[str, keras.layers.Layer]]:
    """Return the layers of a model with the keys that Keras gives them in a file."""
    used: dict[str, int] = {}
    return [
        (saving_lib._get_unique_name(naming.to_snake_case(type(layer).__name__), used), layer) for layer in model.layers
    ]


def _needed(layer: keras.layers.Layer, visited: set[int]) -> Variables:
    """Return the variables that a file has for a layer.

    Args:
        visited: what earlier layers share with it; a file has that only once.
    """
    store = WrittenStore()
    saving_lib._save_state(layer, store, None, "", visited)
    return {
        f"{path}/vars/{name}" if path else f"vars/{name}": variable
        for path, variables in store.objects.items()
        for name, variable in variables.items()
    }


def _needed_legacy(layer: keras.layers.Layer, _: set[int]) -> Variables:
    return {str(index): weight for index, weight in enumerate(legacy_h5_format._legacy_weights(layer))}


# --- Matching ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """A layer of the model and the stored one that it is filled from, if there is one."""

    layer: keras.layers.Layer
    needed: Variables
    stored: StoredLayer | None

    def filled_variables(self, *, is_legacy: bool) -> set[int]:
        """Return the ids of the variables that are filled, if what does not match is skipped."""
        filled: set[int] = set()
        stored = self.stored.variables if self.stored is not None else {}
        objects, stored_objects = (
            {"": variables} if is_legacy else by_object(variables) for variables in (self.needed, stored)
        )
        for path, variables in objects.items():
            same = _are_filled(variables, stored_objects.get(path, {}), stops_at_first=not is_legacy)
            filled |= {id(variable) for variable, is_same in zip(variables.values(), same, strict=True) if is_same}
        return filled

    def filled_fraction(self, filled: set[int]) -> float:
        """Return how much of the layer is filled, from 0 to 1; other layers may share variables with it."""
        return sum(id(variable) in filled for variable in self.needed.values()) / len(self.needed)


def match(
    model: keras.Model, stored: StoredWeights, *, by_name: bool, skip_mismatch: bool
) -> tuple[list[Pair], Filled]:
    """Return the layers of a model that have weights, each with the stored layer for it, and which are filled.

    Raises:
        WeightsMismatch: a layer cannot be filled that must be.
    """
    pairs = _pairs(model, stored, by_name=by_name)
    filled = Filled()
    filled_variables = {variable for pair in pairs for variable in pair.filled_variables(is_legacy=stored.is_legacy)}
    for pair in pairs:
        fraction = pair.filled_fraction(filled_variables)
        if fraction < 1 and not skip_mismatch and not (by_name and pair.stored is None):
            raise _mismatch(pair)
        if pair.layer.weights:  # others have the state of a random generator only
            names = filled.wholly if fraction == 1 else filled.partly if fraction else filled.new
            names.append(pair.layer.name)
    used = {pair.stored.key for pair in pairs if pair.stored is not None}
    filled.unused = [layer.name or layer.key for layer in stored.layers if layer.key not in used]
    return pairs, filled


def _pairs(model: keras.Model, stored: StoredWeights, *, by_name: bool) -> list[Pair]:
    needs = _needed_legacy if stored.is_legacy else _needed
    needing = [(key, layer, needed) for key, layer in _keyed_layers(model) if (needed := needs(layer, set()))]
    if by_name:
        by_layer_name = {layer.name: layer for layer in stored.layers if layer.name is not None}
        if not by_layer_name:
            raise WeightsMismatch("The file has no names of layers, so `by_name` cannot be used.", True, "false")
        return [Pair(layer, needed, by_layer_name.get(layer.name)) for _, layer, needed in needing]
    if not stored.is_legacy:
        by_key = {layer.key: layer for layer in stored.layers}
        return [Pair(layer, needed, by_key.get(key)) for key, layer, needed in needing]
    if len(stored.layers) != len(needing):
        raise WeightsMismatch(
            f"The file has the weights of {len(stored.layers)} layers, and this model has {len(needing)} layers with "
            "weights. Without `by_name`, a legacy file fills them in their order.",
            len(stored.layers),
            f"{len(needing)} layers, or `by_name`",
        )
    return [Pair(layer, needed, of_file) for (_, layer, needed), of_file in zip(needing, stored.layers, strict=True)]


def _are_filled(needed: Variables, stored: Variables, *, stops_at_first: bool) -> list[bool]:
    """Return which variables of an object are filled. Keras fills all or none of them, if their numbers differ."""
    if len(needed) != len(stored):
        return [False] * len(needed)
    same = [_shape(variable) == _shape(stored.get(path)) for path, variable in needed.items()]
    return [all(same[: index + 1]) for index in range(len(same))] if stops_at_first else same


def _mismatch(pair: Pair) -> WeightsMismatch:
    needed = _shapes(pair.needed)
    stored = _shapes(pair.stored.variables) if pair.stored is not None else {}
    return WeightsMismatch(
        f"The stored weights do not match this model: those of the layer {pair.layer.name!r} have the shapes "
        f"{list(stored.values())}.",
        list(stored.values()),
        f"{list(needed.values())}, as in this model",
    )


def _shape(variable: HasShape | None) -> list[int] | None:
    return None if variable is None else list(variable.shape)


def _shapes(variables: Variables) -> dict[str, list[int] | None]:
    return {name: _shape(variable) for name, variable in variables.items()}


# --- Filling -------------------------------------------------------------------------------------------------------


def fill(model: keras.Model, stored: StoredWeights, *, by_name: bool, skip_mismatch: bool) -> Filled:
    """Fill the layers of a model with stored arrays. Keras itself sets the weights of each layer.

    Raises:
        WeightsMismatch: a layer cannot be filled that must be.
    """
    pairs, filled = match(model, stored, by_name=by_name, skip_mismatch=skip_mismatch)
    visited: set[int] = set()
    for pair in pairs:
        if pair.stored is None:
            continue
        if stored.is_legacy:
            _fill_legacy(pair)
        else:
            store, errors = ArrayStore(pair.stored.variables), dict[int, Any]()
            saving_lib._load_state(
                pair.layer, store, None, "", True, visited_saveables=visited, failed_saveables=set(), error_msgs=errors
            )
    return filled


def _fill_legacy(pair: Pair) -> None:
    assert pair.stored is not None
    values = list(pair.stored.variables.values())
    weights = legacy_h5_format._legacy_weights(pair.layer)
    if len(values) == len(weights):
        legacy_h5_format._set_weights(pair.layer, weights, values, skip_mismatch=True, name=pair.layer.name)
