"""Parameters that several routes share, the JSON body of a request, and how answers are written."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final

from flask import Response, request
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, ConfigDict, Field

from fitqueue.errors import UnsupportedMediaType
from fitqueue.spec import parse_json
from fitqueue.spec.strict import Pattern
from fitqueue.views import Problem

MAX_LIMIT: Final = 200
MAX_ROWS: Final = 5_000
MAX_CURSOR: Final = 300
"""The characters of a cursor that has a name of 255 in it."""


# PostgreSQL cannot store NUL, so no name has one.
Text = Annotated[str, Pattern(r"[^\x00]*", "a string without the NUL character")]
RowNumber = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Query(BaseModel):
    """Query parameters. An unknown one is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    _schema: ClassVar[dict[str, Any]]

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """Return the schema. flask-openapi3 looks at it in every request, and making it takes milliseconds."""
        if args or options:
            return super().model_json_schema(*args, **options)
        if "_schema" not in cls.__dict__:
            cls._schema = super().model_json_schema()
        return cls._schema


class JobPath(BaseModel):
    job_id: Text


class FilePath(JobPath):
    """A named file of a job: a checkpoint or an artifact."""

    name: Text


class PageQuery(Query):
    cursor: Text | None = Field(default=None, max_length=128, description="`next_cursor` of the page before")
    limit: int = Field(default=50, ge=1, le=MAX_LIMIT)
    total: bool = Field(default=False, description="count all that the list has, as `total`")


class FilesQuery(Query):
    cursor: Text | None = Field(default=None, max_length=MAX_CURSOR, description="`next_cursor` of the page before")
    limit: int = Field(default=1_000, ge=1, le=MAX_ROWS)


class RowsQuery(Query):
    after: RowNumber = Field(default=0, description="only rows after this id")
    cursor: RowNumber | None = Field(default=None, description="`next_cursor` of the page before; overrides `after`")
    limit: int = Field(default=1_000, ge=1, le=MAX_ROWS)

    @property
    def start(self) -> int:
        return self.after if self.cursor is None else self.cursor


class FollowQuery(RowsQuery):
    follow: bool = Field(default=False, description="stay connected, and get new rows as server-sent events")


def json_body() -> Any:
    """Parse the body of the request.

    Raises:
        UnsupportedMediaType: it is not declared as JSON.
        MalformedJSON: it is not strict JSON.
    """
    if not request.is_json:
        raise UnsupportedMediaType(f"The Content-Type is '{request.content_type or ''}'; expected 'application/json'.")
    return parse_json(request.get_data(cache=False))


def answer(model: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(model.model_dump_json(), status, headers=headers, mimetype="application/json")


def problems(*statuses: int) -> ResponseDict:
    """Return, for OpenAPI, that these statuses come with a problem document."""
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {status: {"content": {"application/problem+json": {"schema": schema}}} for status in statuses}


def json_request(model: type[BaseModel], example: Mapping[str, Any], *, required: bool = True) -> dict[str, Any]:
    """Return, for OpenAPI, that a request has this model as its JSON body."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    content = {"application/json": {"schema": _inlined(schema, definitions), "example": dict(example)}}
    return {"requestBody": {"required": required, "content": content}}


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Return a schema in which references are replaced by what they refer to: `$defs` mean nothing in OpenAPI."""
    if isinstance(schema, list):
        return [_inlined(entry, definitions) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if (reference := schema.get("$ref")) is not None:
        schema = {**definitions[reference.rpartition("/")[2]], **{k: v for k, v in schema.items() if k != "$ref"}}
    return {name: _inlined(value, definitions) for name, value in schema.items()}


ALWAYS: Final[ResponseDict] = problems(401, 403, 408, 422, 429, 431, 500, 503)
