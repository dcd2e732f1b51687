"""Parameters that several routes share, and how answers are written."""

from typing import Annotated, Final

from flask import Response
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from fitqueue.views import Problem

MAX_LIMIT: Final = 200
MAX_ROWS: Final = 5_000


# PostgreSQL stores no NUL, so nothing has a name with one.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]


class Query(BaseModel):
    """Strict: a parameter that is not known is a fault, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class JobPath(BaseModel):
    job_id: Text


class PageQuery(Query):
    cursor: Text | None = Field(default=None, max_length=128, description="`next_cursor` of the page before")
    limit: int = Field(default=50, ge=1, le=MAX_LIMIT)


RowNumber = Annotated[int, Field(ge=0, le=2**63 - 1)]


def answer(model: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(model.model_dump_json(), status, headers=headers, mimetype="application/json")


def problems(*statuses: int) -> ResponseDict:
    """For OpenAPI: these statuses come with a problem document."""
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {status: {"content": {"application/problem+json": {"schema": schema}}} for status in statuses}


ALWAYS: Final[ResponseDict] = problems(401, 422, 500, 503)
