"""The parameters in the address of a page."""

from collections.abc import Collection, Sequence
from typing import Any, TypeVar, get_origin
from urllib.parse import urlencode

from flask import request
from pydantic import BaseModel, ValidationError

from fitqueue.spec import validation_words
from service.api.addresses import root

Query = TypeVar("Query", bound=BaseModel)


def read_query(query_type: type[Query], ignored: Collection[str] = ()) -> tuple[Query, str | None]:
    """Return what the address asks for, or the defaults and what is wrong with it.

    A field of a form that was left empty is not a parameter.
    """
    lists = {name for name, field in query_type.model_fields.items() if get_origin(field.annotation) is list}
    values: dict[str, Any] = {
        name: [value for value in request.args.getlist(name) if value] if name in lists else request.args[name]
        for name in request.args
        if name not in ignored and any(request.args.getlist(name))
    }
    try:
        return query_type.model_validate(values), None
    except ValidationError as error:
        [fault, *_] = error.errors()
        return query_type(), f"{fault['loc'][0]}: {validation_words.message(fault)}"


def url_with(**changed: str | Sequence[str] | None) -> str:
    """Return the address of this page with other parameters; None removes one."""
    kept = {name: request.args.getlist(name) for name in request.args}
    parameters = {name: value for name, value in {**kept, **changed}.items() if value is not None}
    query = urlencode(parameters, doseq=True)
    address = f"{root()}{request.path}"
    return f"{address}?{query}" if query else address
