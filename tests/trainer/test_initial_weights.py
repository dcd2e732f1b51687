"""Models filled with stored weights, compared with Keras's `load_weights`; and what the shapes alone tell of it."""

import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.utils import naming

from workers.keras_tools.stored_weights import read_weights
from workers.keras_tools.weights import WeightsMismatch, fill, from_model, match

pytestmark = pytest.mark.usefixtures("forget_variables")

layers = keras.layers


def sequential(*inner: Any) -> keras.Model:
    return keras.Sequential([keras.Input((8, 4)), *inner])


def branches(units: int) -> keras.Model:
    inputs = keras.Input((8, 4))
    outputs = [layers.Dense(units)(inputs), layers.GRU(3)(layers.Dropout(0.5)(inputs))]
    return keras.Model(inputs, outputs)


def named(*units: int, head: str = "head", bias: bool = True) -> keras.Model:
    inner = [layers.Dense(count, name=f"dense_{letter}") for letter, count in zip("abc", units, strict=False)]
    normalized = layers.BatchNormalization(name="normalized")
    return sequential(*inner, normalized, layers.Dense(2, name=head, use_bias=bias))


def shared() -> keras.Model:
    inputs, dense = keras.Input((8, 4)), layers.Dense(4)
    first = keras.Sequential([keras.Input((8, 4)), dense, layers.Dense(3)])
    second = keras.Sequential([keras.Input((8, 4)), layers.Dense(4), dense])
    return keras.Model(inputs, [first(inputs), second(inputs), dense(inputs)])


MODELS: dict[str, Callable[[], keras.Model]] = {
    "dense": lambda: sequential(layers.Dense(3)),
    "wider": lambda: sequential(layers.Dense(4)),
    "deeper": lambda: sequential(layers.Dense(3), layers.Dense(3)),
    "without bias": lambda: sequential(layers.Dense(3, use_bias=False)),
    "named": lambda: sequential(layers.Dense(3, name="mine")),
    "recurrent": lambda: sequential(layers.Bidirectional(layers.LSTM(3))),
    "normalized": lambda: sequential(layers.BatchNormalization(), layers.Dense(3)),
    "branches": lambda: branches(3),
    "wider branches": lambda: branches(5),
    "nested": lambda: sequential(keras.Sequential([layers.Dense(3)])),
    "nested deeper": lambda: sequential(keras.Sequential([layers.Dense(3), layers.Dense(5)])),
    "attention": lambda: sequential(layers.TimeDistributed(layers.Dense(3)), layers.Flatten()),
    "separable": lambda: sequential(layers.SeparableConv1D(3, 2)),
    "shared": shared,
    "wider separable": lambda: sequential(layers.SeparableConv1D(4, 2)),
}
NAMED: dict[str, Callable[[], keras.Model]] = {
    "base": lambda: named(3, 5),
    "new head": lambda: named(3, 5, head="other"),
    "head without bias": lambda: named(3, 5, bias=False),
    "in another order": lambda: sequential(layers.Dense(2, name="head"), layers.Dense(4, name="dense_a")),
    "deeper": lambda: named(3, 5, 5),
    "wider": lambda: named(3, 6),
}


def build(make: Callable[[], keras.Model]) -> keras.Model:
    """Return a model whose layers have the names that they have in a fresh process."""
    naming.reset_uids()
    return make()


def fresh(make: Callable[[], keras.Model]) -> keras.Model:
    """Return a model whose weights are all different, and the same in each build."""
    model = build(make)
    random = np.random.default_rng(5)
    model.set_weights([random.random(weight.shape) for weight in model.get_weights()])
    return model


def numbered(make: Callable[[], keras.Model]) -> keras.Model:
    """Return a model that another is filled from."""
    model = build(make)
    random = np.random.default_rng(6)
    model.set_weights([random.random(weight.shape) for weight in model.get_weights()])
    return model


def same_as_keras(make: Callable[[], keras.Model], file: Path, oracle: Path | None = None, **options: bool) -> bool:
    """Assert that a model is filled as Keras fills it from a file; return whether Keras does."""
    expected, model = fresh(make), fresh(make)
    with keras.StatelessScope(initialize_variables=False):
        shapes_only = build(make)
    arguments = {"by_name": True} if options["by_name"] else {}
    stored = read_weights(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected.load_weights(oracle or file, skip_mismatch=options["skip_mismatch"], **arguments)
        except ValueError as error:
            if options["skip_mismatch"] and "Weight count mismatch" in str(error):
                return False  # Keras's documentation says that such a layer is skipped, and here it is
            for target in (model, shapes_only):
                with pytest.raises(WeightsMismatch), keras.StatelessScope(initialize_variables=False):
                    match(target, stored, **options)
            return False
        filled = fill(model, stored, **options)
    assert match(shapes_only, stored, **options)[1] == filled
    before = fresh(make)
    for layer, ours, old in zip(expected.layers, model.layers, before.layers, strict=True):
        for theirs, own in zip(layer.get_weights(), ours.get_weights(), strict=True):
            np.testing.assert_array_equal(own, theirs)
        if layer.get_weights():
            changed = [
                not np.array_equal(new, kept) for new, kept in zip(layer.get_weights(), old.get_weights(), strict=True)
            ]
            kind = filled.wholly if all(changed) else filled.partly if any(changed) else filled.new
            assert layer.name in kind, (layer.name, filled)
    return True


@pytest.mark.parametrize("target", MODELS)
def test_layers_are_filled_in_the_order_of_keras(target: str, tmp_path: Path) -> None:
    outcomes = set()
    for name, make in MODELS.items():
        file = tmp_path / f"{name}.weights.h5"
        numbered(make).save_weights(file)
        for skip_mismatch in (False, True):
            outcomes.add(same_as_keras(MODELS[target], file, by_name=False, skip_mismatch=skip_mismatch))
    assert outcomes == {True, False}


@pytest.mark.parametrize("target", MODELS)
def test_what_a_model_needs_is_what_its_file_has(target: str, tmp_path: Path) -> None:
    build(MODELS[target]).save_weights(tmp_path / "a.weights.h5")
    in_file = read_weights(tmp_path / "a.weights.h5")
    with keras.StatelessScope(initialize_variables=False):
        of_model = from_model(build(MODELS[target]))
    assert of_model is not None
    shapes_in_file, shapes_of_model = (
        {layer.key: {path: list(array.shape) for path, array in layer.variables.items()} for layer in stored.layers}
        for stored in (in_file, of_model)
    )
    assert shapes_of_model == shapes_in_file
    assert {layer.name for layer in of_model.layers} == {layer.name for layer in in_file.layers}


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("target", NAMED)
def test_legacy_files_fill_layers_as_keras_does(target: str, by_name: bool, tmp_path: Path) -> None:
    for name, make in NAMED.items():
        file = tmp_path / f"{name}.h5"
        numbered(make).save(file)
        for skip_mismatch in (False, True):
            same_as_keras(NAMED[target], file, by_name=by_name, skip_mismatch=skip_mismatch)


def with_slashes(legacy: Path, path: Path) -> Path:
    """Write a legacy file as Keras 2 did for the same layers with slashes in their names: `dense_a` as `dense/a`."""
    with h5py.File(legacy) as source, h5py.File(path, "w") as file:
        stored = source["model_weights"]
        file.attrs["layer_names"] = [name.replace("_", "/") for name in stored.attrs["layer_names"]]
        for name in stored.attrs["layer_names"]:
            group = file.create_group(name.replace("_", "/"))
            weights = list(stored[name].attrs["weight_names"])
            group.attrs["weight_names"] = [weight.replace(name, name.replace("_", "/")) for weight in weights]
            for weight in weights:
                group[weight.replace(name, name.replace("_", "/"))] = stored[name][weight][()]
    return path


@pytest.mark.parametrize("by_name", [False, True])
def test_legacy_layers_with_slashes_in_their_names_are_filled(by_name: bool, tmp_path: Path) -> None:
    numbered(NAMED["base"]).save(tmp_path / "legacy.h5")
    slashes = with_slashes(tmp_path / "legacy.h5", tmp_path / "slashes.h5")
    with h5py.File(slashes) as file:
        assert "a" in file["dense"]
    for target in NAMED if by_name else ["base"]:
        same_as_keras(NAMED[target], slashes, tmp_path / "legacy.h5", by_name=by_name, skip_mismatch=True)
    assert same_as_keras(NAMED["base"], slashes, tmp_path / "legacy.h5", by_name=by_name, skip_mismatch=False)


@pytest.mark.parametrize("target", ["base", "new head", "deeper"])
def test_layers_are_filled_by_name_as_from_a_legacy_file(target: str, tmp_path: Path) -> None:
    for name, skip_mismatch in itertools.product(["base", "new head", "deeper"], [False, True]):
        model = numbered(NAMED[name])
        model.save(tmp_path / "legacy.h5")
        model.save_weights(tmp_path / "now.weights.h5")
        options = {"by_name": True, "skip_mismatch": skip_mismatch}
        same_as_keras(NAMED[target], tmp_path / "now.weights.h5", tmp_path / "legacy.h5", **options)


def test_the_filled_layers_are_named(tmp_path: Path) -> None:
    numbered(NAMED["new head"]).save_weights(tmp_path / "a.weights.h5")
    stored = read_weights(tmp_path / "a.weights.h5")
    filled = fill(NAMED["wider"](), stored, by_name=True, skip_mismatch=True)
    assert str(filled) == (
        "Filled with stored weights: 'dense_a'. Newly initialized: 'dense_b', 'normalized', 'head'. "
        "Stored but not used: 'other'."
    )
