"""The description of the API for programs: what flask-openapi3 derives from the routes, made into a client's document.

- Schemas have the names that people use, and not those of our classes.
- An operation is named after the function of its route: `create_job` is `createJob`.
- What a status implies is declared with it: what can be answered by 304 has an ETag and takes `If-None-Match`.
- A job that is sent has its whole schema.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from flask_openapi3.openapi import OpenAPI

from fitqueue.spec import job_schema

Document = dict[str, Any]
Operation = dict[str, Any]

NEW_JOB: Final = "NewJob"
"""The name of the schema of a job that is sent."""

_NAMES: Final[Mapping[str, str]] = {
    "ArrayView": "DatasetArray",
    "EpochView": "EpochMetrics",
    "EventView": "JobEvent",
    "LayerView": "LayerSummary",
    "NumberedStepView": "NumberedStepMetrics",
    "Page_Union_EpochView__StepView__": "MetricsPage",
    "StepView": "StepMetrics",
}
"""The public names of the classes for which leaving out `View` would not do."""

_ON_REQUEST: Final = frozenset({"total"})
"""The fields of answers that only those have which were asked for them."""

_FIELDS: Final = "fields"
"""The parameter that chooses fields of an answer."""

_PARTIAL: Final[Mapping[str, str]] = {"Job": "PartialJob", "JobSummaryPage": "PartialJobPage"}
"""The schemas of answers with only some of the fields, by those of the whole answers."""

_REFERENCE: Final = "#/components/schemas/"

_HEADERS: Final[Mapping[str, str]] = {
    "Accept-Ranges": "`bytes`: a part of the file can be requested.",
    "Content-Disposition": "The name under which to save the file.",
    "Content-Range": "Which bytes of the file these are, and how many it has.",
    "ETag": "The version of this answer. Sent as `If-None-Match`, it gets 304 as long as nothing has changed.",
    "Location": "The address of what was created, or from which the file can be fetched.",
    "Retry-After": "After how many seconds to try again.",
    "WWW-Authenticate": "How to authenticate: by a bearer token.",
}
_HEADERS_BY_STATUS: Final[Mapping[str, tuple[str, ...]]] = {
    "206": ("Content-Range",),
    "302": ("Location",),
    "401": ("WWW-Authenticate",),
    "416": ("Content-Range",),
    "429": ("Retry-After",),
    "503": ("Retry-After",),
}

_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "schema": {"type": "string"},
    "description": "the ETag of an earlier answer: 304 if nothing has changed since",
}
_RANGE: Final = (
    {
        "name": "Range",
        "in": "header",
        "schema": {"type": "string"},
        "description": "`bytes=1000-`: the file from this byte on",
    },
    {
        "name": "If-Range",
        "in": "header",
        "schema": {"type": "string"},
        "description": "the ETag of the file that a part belongs to: the whole file if it has changed",
    },
)
_LAST_EVENT_ID: Final = {
    "name": "Last-Event-ID",
    "in": "header",
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    "description": "with `follow`: the id of the last row that the client has",
}


def describe(app: OpenAPI) -> Document:
    """Return the description of an application's routes for programs."""
    document: Document = json.loads(json.dumps(app.api_doc))
    names = _operation_names(app)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            operation["operationId"] = names[method.upper(), path]
            _complete(operation)
    components = document["components"]
    schemas = {_public_name(name): _of_answers(schema) for name, schema in components["schemas"].items()}
    assert len(schemas) == len(components["schemas"]), "two schemas have the same public name"
    components["schemas"] = _with_partial_jobs(_with_job(schemas))
    components["headers"] = {
        name: {"schema": {"type": "string"}, "description": description} for name, description in _HEADERS.items()
    }
    known = components["schemas"]
    renamed: Document = _with_references(document, lambda name: name if name in known else _public_name(name))
    return renamed


# --- Operations ----------------------------------------------------------------------------------------------------


def _operation_names(app: OpenAPI) -> dict[tuple[str, str], str]:
    """Return the names of operations by method and path."""
    return {
        (method, re.sub(r"<(\w+)>", r"{\1}", rule.rule)): _camel_case(rule.endpoint.rpartition(".")[2])
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)


def _complete(operation: Operation) -> None:
    operation["description"] = (operation.get("description") or operation["summary"]).replace("<br/>", "\n")
    responses = operation["responses"]
    if any(parameter["name"] == _FIELDS for parameter in operation.get("parameters", [])):
        _allow_partial(responses["200"]["content"]["application/json"])
    operation["responses"] = dict(sorted(responses.items()))  # generated clients show them in this order
    parameters = [_parameter(parameter) for parameter in operation.get("parameters", [])]
    parameters += [*_header_parameters(operation), *operation.pop("x-headers", [])]
    if parameters:
        operation["parameters"] = parameters
    for status, response in responses.items():
        headers = {*_of_status(status, response), *_of_content(status, responses)}
        if status == "201" and "requestBody" in operation:
            headers.add("Location")
        if headers:
            response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in sorted(headers)}


def _allow_partial(content: dict[str, Any]) -> None:
    """Describe that an answer may have only some of its fields."""
    whole = _public_name(content["schema"]["$ref"].removeprefix(_REFERENCE))
    content["schema"] = {"anyOf": [{"$ref": f"{_REFERENCE}{name}"} for name in (whole, _PARTIAL[whole])]}


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter of a query without null, which a query cannot have."""
    schema = {key: value for key, value in parameter["schema"].items() if key not in {"title", "description"}}
    values = [value for value in schema.pop("anyOf", []) if value != {"type": "null"}]
    if values:
        schema.pop("default", None)
        schema |= values[0] if len(values) == 1 else {"anyOf": values}
    style = {"style": "form", "explode": False} if parameter["name"] == _FIELDS else {}
    return {**parameter, "schema": schema, **style}


def _header_parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    statuses = operation["responses"]
    if "304" in statuses:
        yield _IF_NONE_MATCH
    if "206" in statuses:
        yield from _RANGE
    if any(parameter["name"] == "follow" for parameter in operation.get("parameters", [])):
        yield _LAST_EVENT_ID


def _of_status(status: str, response: Mapping[str, Any]) -> tuple[str, ...]:
    is_report = status == "503" and "application/json" in response.get("content", {})  # that of `/readyz`
    return () if is_report else _HEADERS_BY_STATUS.get(status, ())


def _of_content(status: str, responses: Mapping[str, Any]) -> Iterator[str]:
    """Yield the headers of an answer that can be asked for again: as long as it is the same, or from a byte on."""
    if "304" in responses and status in {"200", "206", "302", "304"}:
        yield "ETag"
    if "206" in responses and status in {"200", "206"}:
        yield from ("Accept-Ranges", "Content-Disposition")


# --- Schemas -------------------------------------------------------------------------------------------------------


def _public_name(name: str) -> str:
    if name in _NAMES:
        return _NAMES[name]
    if page := re.fullmatch(r"\w*Page_(\w+)_", name):
        return f"{_public_name(page[1])}Page"
    return name.removesuffix("View")


def _of_answers(schema: Any) -> Any:
    """Return the schema of an answer: pydantic's, without titles, and with all fields, which answers always have."""
    if isinstance(schema, list):
        return [_of_answers(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    described = {key: _of_answers(value) for key, value in schema.items() if key not in {"title", "properties"}}
    if "properties" in schema:
        described["properties"] = {name: _of_answers(value) for name, value in schema["properties"].items()}
        described["required"] = [name for name in schema["properties"] if name not in _ON_REQUEST]
    return described


def _with_partial_jobs(schemas: Document) -> Document:
    """Add the schemas of answers that have only some fields of a job."""
    job, page = schemas["Job"], schemas["JobSummaryPage"]
    partial = {**job, "description": "The fields of a job that were asked for by `fields`.", "required": []}
    data = {"type": "array", "items": {"$ref": f"{_REFERENCE}{_PARTIAL['Job']}"}}
    partial_page = {**page, "properties": {**page["properties"], "data": data}}
    return {**schemas, _PARTIAL["Job"]: partial, _PARTIAL["JobSummaryPage"]: partial_page}


def _with_job(schemas: Document) -> Document:
    """Add the schema of a job that is sent, and those of its parts."""
    schema = job_schema(with_arguments=False)
    parts = schema.pop("$defs")
    del schema["$schema"], schema["title"]
    described = _with_defaults_in_words({NEW_JOB: schema, **parts})
    added = _with_references(described, lambda name: name, prefix="#/$defs/")
    assert not added.keys() & schemas.keys(), "a part of a job has the name of an answer"
    return {**schemas, **added}


def _with_defaults_in_words(value: Any) -> Any:
    """Return a schema with its defaults in the descriptions: generated clients would else send each of them."""
    if isinstance(value, list):
        return [_with_defaults_in_words(item) for item in value]
    if not isinstance(value, dict):
        return value
    described = {key: _with_defaults_in_words(item) for key, item in value.items()}
    default = described.pop("default", None) if not isinstance(described.get("default"), dict) else None
    if default is not None:
        words = [described["description"]] if "description" in described else []
        described["description"] = "; ".join([*words, f"default: {json.dumps(default)}"])
    return described


def _with_references(value: Any, rename: Callable[[str], str], prefix: str = _REFERENCE) -> Any:
    """Return a value with its references to schemas renamed."""
    if isinstance(value, list):
        return [_with_references(item, rename, prefix) for item in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("$ref")
    renamed = {key: _with_references(item, rename, prefix) for key, item in value.items()}
    if isinstance(reference, str) and reference.startswith(prefix):
        renamed["$ref"] = _REFERENCE + rename(reference.removeprefix(prefix))
    return renamed
