"""The names of stored variables."""

import pytest

from fitqueue.weights import VariableName, are_weights, parse_name

NAMES = {
    "layers/dense_1[head]/vars/0": VariableName("dense_1", "head", "vars/0"),
    "layers/dense/vars/1": VariableName("dense", None, "vars/1"),
    "layers/3[head]/0": VariableName("3", "head", "0"),
    "optimizer[adam]/vars/0": VariableName("", "adam", "vars/0", "optimizer"),
    "optimizer/inner_optimizer/vars/12": VariableName("", None, "inner_optimizer/vars/12", "optimizer"),
    "states/vars/0": VariableName("", None, "vars/0", "states"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_where_a_variable_belongs(name: str) -> None:
    parsed = parse_name(name)
    assert parsed == NAMES[name]
    assert str(parsed) == name
    assert parsed.is_legacy == name.startswith("layers/3")


@pytest.mark.parametrize(
    "name", ["x", "layers/dense", "optimizer", "states/", "optimizers/vars/0", "states/../0", "x/vars/0"]
)
def test_other_names_are_not_those_of_variables(name: str) -> None:
    assert parse_name(name) is None
    assert not are_weights([*NAMES, name])
    assert are_weights(NAMES)
