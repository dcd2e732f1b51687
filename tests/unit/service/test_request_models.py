"""What pydantic can reject in a query, in a path and in a body of the API is said in our own words."""

import importlib
import pkgutil

import pytest
from pydantic import BaseModel, ValidationError

import service.api
from fitqueue.errors import InvalidRequest
from fitqueue.spec.validation_words import OTHER, expected, message
from service.api.actions import Extension
from service.api.errors import validated
from service.settings import Settings
from tests.unit.fitqueue.spec.test_validation_words import BAD_VALUES

for _module in pkgutil.iter_modules(service.api.__path__):
    importlib.import_module(f"service.api.{_module.name}")


def _models(model: type[BaseModel]) -> list[type[BaseModel]]:
    return [each for child in model.__subclasses__() for each in [child, *_models(child)]]


OURS = [model for model in _models(BaseModel) if model.__module__.startswith("service.api")]
SENTENCES = ("Unknown field ", "The field ")


def test_the_models_are_found() -> None:
    assert {"Extension", "Query", "JobPath", "PageQuery", "ListQuery"} <= {model.__name__ for model in OURS}


@pytest.mark.parametrize("model", [*OURS, Settings], ids=lambda model: model.__name__)
def test_what_a_request_can_raise_is_described(model: type[BaseModel]) -> None:
    for field in [*model.model_fields, "unknown"]:
        for value in (value for value in BAD_VALUES if model is not Settings or isinstance(value, str)):
            try:
                model.model_validate({field: value})
            except ValidationError as error:
                for details in error.errors():
                    is_sentence = details["type"] == "value_error" or message(details).startswith(SENTENCES)
                    assert is_sentence or expected(details) != OTHER, details
                    assert "nput should" not in message(details)


@pytest.mark.parametrize(
    ("body", "pointer", "text"),
    [
        ({"epochs": 1, "epoch": 2}, "/epoch", "Unknown field 'epoch'."),
        ({}, "/epochs", "The field 'epochs' is missing."),
        ({"epochs": 0}, "/epochs", "Expected a number of at least 1."),
        ({"epochs": "3"}, "/epochs", "Expected an integer."),
        ([], "", "Expected an object."),
    ],
)
def test_a_body(body: object, pointer: str, text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        validated(Extension, body)
    assert (pointer, text) in [(fault.pointer, fault.message) for fault in caught.value.errors]
