"""No word of pydantic reaches a user: every error that it can raise is said in our own words."""

from collections.abc import Callable
from typing import Any, get_args

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core.core_schema import ErrorType

from fitqueue.errors import Fault
from fitqueue.spec.fields.class_weight import ClassWeight
from fitqueue.spec.parsing.job import JobSpec
from fitqueue.spec.strict import Strict
from fitqueue.spec.validation_words import OTHER, expected, message

_CONTEXT = {
    **dict.fromkeys(["gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "actual_length"], 7),
    **dict.fromkeys(["expected", "words", "field_type", "class", "encoding", "pattern", "tag"], "our words"),
    "error": ValueError("Our sentence."),
}
_SENTENCES = {"missing", "extra_forbidden", "unexpected_keyword_argument", "value_error", "assertion_error"}
BAD_VALUES: list[Any] = [
    None, True, -(10**9), 10**30, 2.5, -1e308, float("nan"), "", "x" * 2_000, "\ud800", "a\x00", [], [[]], [None] * 70,
    [1.5], ["x", {}], {}, {"x": None}, {"x": []}, {"": 1}, {"x" * 999: "y"}, {str(i): i for i in range(300)},
]  # fmt: skip


def _all_models(model: type[BaseModel]) -> list[type[BaseModel]]:
    return [each for child in model.__subclasses__() for each in [child, *_all_models(child)]]


def test_the_models_are_found() -> None:
    assert {"JobSpec", "FitSpec", "CompileSpec", "DataSpec", "PrepareStep", "Resources", "InitialWeights"} <= {
        model.__name__ for model in _all_models(Strict)
    }


@pytest.mark.parametrize("kind", get_args(ErrorType))
def test_any_error_has_our_words(kind: str) -> None:
    details = {"type": kind, "loc": ("field",), "msg": "Input should be RAW", "input": "RAW", "ctx": _CONTEXT}
    text = message(details)
    assert "RAW" not in text
    assert text.startswith(("Expected ", "Unknown field 'field'", "The field 'field' is missing", "Our sentence."))
    assert text.endswith(".")


@pytest.mark.parametrize("model", _all_models(Strict), ids=lambda model: model.__name__)
def test_what_the_fields_of_a_job_can_raise_is_described(model: type[BaseModel]) -> None:
    kinds = set()
    for field in [*model.model_fields, "unknown"]:
        for value in BAD_VALUES:
            try:
                model.model_validate({field: value})
            except ValidationError as error:
                for details in error.errors():
                    kinds.add(details["type"])
                    assert details["type"] in _SENTENCES or expected(details) != OTHER, details
    assert kinds


@pytest.mark.parametrize(
    ("adapter", "value", "text"),
    [
        (TypeAdapter(ClassWeight), {}, "Expected an object of at least 1 item."),
        (TypeAdapter(ClassWeight), {"0": "x"}, "Expected a number."),
        (TypeAdapter(ClassWeight), {"o": "x"}, "Expected 'balanced'."),
        (TypeAdapter(JobSpec), {"labels": {"a": "x" * 300}}, "Expected a string of at most 255 characters."),
        (TypeAdapter(JobSpec), {"name": ""}, "Expected a string of at least 1 character."),
        (TypeAdapter(JobSpec), {"priority": 101}, "Expected a number of at most 100."),
        (TypeAdapter(JobSpec), {"seed": -1}, "Expected a number of at least 0."),
        (TypeAdapter(JobSpec), {"fit": {"validation_freq": []}}, "Expected a list of at least 1 item."),
        (TypeAdapter(JobSpec), {"fit": {"validation_split": 1.0}}, "Expected a number less than 1.0."),
    ],
)
def test_a_sentence(adapter: TypeAdapter[Any], value: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(value, strict=True)
    assert text in map(message, caught.value.errors())


def test_class_weights_without_weights(changed: Callable[[str, Any], Any], only_fault: Callable[[Any], Fault]) -> None:
    assert only_fault(changed("/fit/class_weight", {})).message == "Expected an object of at least 1 item."
    fault = only_fault(changed("/fit/class_weight", {"0": "x"}))
    assert (fault.pointer, fault.expected) == ("/fit/class_weight/0", "a number")
