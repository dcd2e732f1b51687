"""The differences of JSON documents."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitqueue.differences import MISSING, compare


def different(*documents: Any) -> dict[str, tuple[Any, ...]]:
    return {row.pointer: row.values for row in compare(documents) if row.differs}


def test_only_the_values_that_differ_are_named() -> None:
    first = {"fit": {"epochs": 5, "batch_size": 32}, "name": "a"}
    second = {"fit": {"epochs": 9, "batch_size": 32}, "name": "a"}
    assert different(first, second) == {"/fit/epochs": (5, 9)}


def test_equal_values_are_rows_too() -> None:
    rows = {row.pointer: row.differs for row in compare([{"a": [1, {"b": 2}], "c": []}, {"a": [1, {"b": 3}], "c": []}])}
    assert rows == {"/a/0": False, "/a/1/b": True, "/c": False}


def test_what_only_one_document_has_is_one_value() -> None:
    callback = {"class_name": "EarlyStopping", "config": {"patience": 2}}
    assert different({"callbacks": [callback]}, {"callbacks": []}) == {"/callbacks/0": (callback, MISSING)}
    assert different({}, {"seed": None}) == {"/seed": (MISSING, None)}


def test_what_one_lacks_and_others_have_alike_is_one_value() -> None:
    layer = {"units": 10, "activation": "relu"}
    assert different([layer], [], [dict(layer)]) == {"/0": (layer, MISSING, layer)}


def test_what_one_lacks_and_others_have_differently_is_compared() -> None:
    assert different([{"units": 10}], [], [{"units": 20}]) == {"/0/units": (10, MISSING, 20)}


def test_keys_are_escaped_in_pointers() -> None:
    assert list(different({"a/b~c": 1}, {"a/b~c": 2})) == ["/a~1b~0c"]


@pytest.mark.parametrize(
    ("first", "second", "differs"),
    [
        (1, 1.0, False),
        (True, 1, True),
        (False, 0, True),
        ("1", 1, True),
        (None, MISSING, True),
        ([], {}, True),
        (0.1, 0.1, False),
    ],
)
def test_what_is_equal(first: Any, second: Any, differs: bool) -> None:
    documents = [{} if value is MISSING else {"x": value} for value in (first, second)]
    assert [row.differs for row in compare(documents)] == [differs]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab/~", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=3), inner, max_size=3),
    max_leaves=8,
)


def value_at(document: Any, pointer: str) -> Any:
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        try:
            document = document[int(key) if isinstance(document, list) else key]
        except (KeyError, IndexError, TypeError):
            return MISSING
    return document


@given(st.lists(JSON, min_size=2, max_size=4))
def test_each_row_has_the_values_at_its_pointer(documents: list[Any]) -> None:
    for row in compare(documents):
        assert [value_at(document, row.pointer) for document in documents] == list(row.values)


@given(JSON)
def test_a_document_does_not_differ_from_itself(document: Any) -> None:
    assert not any(row.differs for row in compare([document, document]))


@given(JSON, JSON)
def test_different_documents_have_a_difference(first: Any, second: Any) -> None:
    same_text = repr(first) == repr(second)
    if first != second:
        assert any(row.differs for row in compare([first, second]))
    elif same_text:
        assert not any(row.differs for row in compare([first, second]))
