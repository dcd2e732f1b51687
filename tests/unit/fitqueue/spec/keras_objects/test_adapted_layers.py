"""Layers that learn from the data, with and without what they would learn."""

from collections.abc import Callable
from typing import Any

import pytest

from fitqueue.errors import Fault
from fitqueue.spec import ParsedJob

Changed = Callable[[str, Any], dict[str, Any]]
Parse = Callable[[Any], ParsedJob]
LAYER = "/model/config/layers/1"
# What Keras 3 writes for an IntegerLookup that was adapted: the vocabulary itself is not there.
LOOKUP = {"vocabulary": None, "vocabulary_size": 7, "max_tokens": None, "output_mode": "int"}


def layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


@pytest.mark.parametrize(
    ("class_name", "config", "stored"),
    [
        ("Normalization", {}, {}),
        ("Normalization", {"mean": None, "variance": None}, {"mean": None, "variance": None}),
        ("Discretization", {"num_bins": 4, "bin_boundaries": None}, {"num_bins": 4, "bin_boundaries": None}),
        ("IntegerLookup", LOOKUP, {"vocabulary": None, "max_tokens": None, "output_mode": "int"}),
    ],
)
def test_adapt_is_filled_in_where_nothing_is_given(
    class_name: str, config: dict[str, Any], stored: dict[str, Any], changed: Changed, parse: Parse
) -> None:
    parsed = parse(changed(LAYER, layer(class_name, **config)))
    assert parsed.spec.model.config["layers"][1]["config"] == stored | {"adapt": True}
    assert [(notice.pointer, notice.code) for notice in parsed.notices] == [(f"{LAYER}/config", "filled_in")]
    as_said = parse(changed(LAYER, layer(class_name, **config, adapt=True)))
    assert (as_said.spec.model, as_said.notices) == (parsed.spec.model, [])


@pytest.mark.parametrize(
    ("class_name", "config", "stored"),
    [
        ("Normalization", {"mean": 1.0, "variance": 2.0, "adapt": False}, {"mean": 1.0, "variance": 2.0}),
        ("IntegerLookup", {"vocabulary": [3, 5]}, {"vocabulary": [3, 5]}),
        # Keras writes both arguments for a Discretization that was adapted.
        ("Discretization", {"num_bins": 3, "bin_boundaries": [1.0, 2.0]}, {"bin_boundaries": [1.0, 2.0]}),
    ],
)
def test_a_layer_that_has_everything_learns_nothing(
    class_name: str, config: dict[str, Any], stored: dict[str, Any], changed: Changed, parse: Parse
) -> None:
    parsed = parse(changed(LAYER, layer(class_name, **config)))
    assert parsed.spec.model.config["layers"][1]["config"] == stored
    assert parsed.notices == []


NORMALIZATION = layer("Normalization")


@pytest.mark.parametrize(
    ("value", "pointer", "code", "word"),
    [
        (layer("Normalization", adapt=False), f"{LAYER}/config", "missing", "mean and variance"),
        (layer("Discretization", num_bins=3, adapt=False), f"{LAYER}/config", "missing", "bin_boundaries"),
        (layer("Discretization"), f"{LAYER}/config", "missing", "num_bins"),
        (layer("Discretization", num_bins=None, bin_boundaries=None), f"{LAYER}/config", "missing", "num_bins"),
        (layer("Discretization", adapt=True), f"{LAYER}/config", "missing", "num_bins"),
        (layer("IntegerLookup", adapt=False), f"{LAYER}/config", "missing", "vocabulary"),
        (layer("Normalization", mean=1, variance=1, adapt=True), f"{LAYER}/config/adapt", "conflict", "nothing"),
        (layer("Normalization", adapt="yes"), f"{LAYER}/config/adapt", "wrong_type", "true or false"),
        (layer("Dense", units=1, adapt=True), f"{LAYER}/config/adapt", "unknown_field", "adapt"),
        (layer("TimeDistributed", layer=NORMALIZATION), f"{LAYER}/config/layer/config", "not_supported", "itself"),
        (layer("Sequential", layers=[NORMALIZATION]), f"{LAYER}/config/layers/0/config", "not_supported", "itself"),
    ],
)
def test_faults(
    value: dict[str, Any],
    pointer: str,
    code: str,
    word: str,
    changed: Changed,
    only_fault: Callable[[Any], Fault],
) -> None:
    fault = only_fault(changed(LAYER, value))
    assert (fault.pointer, fault.code) == (pointer, code)
    assert word in fault.message


@pytest.mark.parametrize("class_name", ["StringLookup", "TextVectorization"])
@pytest.mark.parametrize("config", [{}, {"vocabulary": ["a", "b"]}, {"adapt": True}])
def test_layers_for_strings_are_refused_in_plain_words(
    class_name: str, config: dict[str, Any], changed: Changed, only_fault: Callable[[Any], Fault]
) -> None:
    fault = only_fault(changed(LAYER, layer(class_name, **config)))
    assert (fault.pointer, fault.code) == (f"{LAYER}/class_name", "unknown_class")
    assert "the arrays of a job hold numbers" in fault.message
