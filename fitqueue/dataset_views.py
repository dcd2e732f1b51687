"""What the API answers about data sets."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from fitqueue.non_finite import NonFinite
from fitqueue.view import View


class ArrayView(View):
    """One array of a data set. What is not known of a built-in one is null."""

    name: str
    shape: list[int | None] = Field(description="samples first; null for an axis whose length varies between samples")
    dtype: str
    minimum: float | None = Field(default=None, description="the lowest of its finite values")
    maximum: float | None = Field(default=None, description="the highest of its finite values")
    nan_count: int | None = Field(default=None, description="how many values are NaN")
    infinite_count: int | None = Field(default=None, description="how many values are infinite")
    class_count: int | None = Field(default=None, description="how many classes it has, if it is an array of labels")


class LeftOutArray(View):
    """Part of an uploaded file that nobody can train on."""

    name: str
    reason: str


class DatasetView(View):
    """A data set: uploaded, or built in."""

    SHOWN = ("id", "name", "builtin", "size")

    id: str
    name: str
    builtin: bool
    arrays: list[ArrayView]
    left_out: list[LeftOutArray] = Field(
        default=[], description="parts of the uploaded file that nobody can train on, such as arrays of text"
    )
    size: int | None = Field(description="bytes; null for a built-in data set that a worker downloads when it needs it")
    sha256: str | None
    source: str | None
    created_at: datetime | None
    owner: str | None = Field(default=None, description="name of the user whose it is; null if it is built in")
    project: str | None = Field(default=None, description="null if it is built in")
    submitted_by: str | None = Field(
        default=None, description="name of the token that it was uploaded with; null if unknown, or if it is built in"
    )


class DatasetPreview(View):
    """Some rows of an array of a data set. A row is what the array has at one index of its first axis."""

    SHOWN = ("name", "shape", "dtype", "looks_like", "first")

    name: str
    shape: list[int] = Field(description="the shape of the whole array")
    dtype: str
    looks_like: Literal["image", "table", "sequence", "scalar"] = Field(
        description="what a row may be, by its shape alone: `image` is height × width, or with 1, 3 or 4 "
        "channels behind, of 8 to 512 pixels each way; `table` is a row of numbers; `scalar` is one number"
    )
    first: int = Field(description="the index of the first row")
    rows: list[Any] = Field(
        description="numbers, or lists of them that are nested as the axes are; null where not finite; 0 and 1 for bool"
    )
    non_finite_values: dict[NonFinite, list[int]] = Field(
        default_factory=dict,
        description="which of the values in `rows` are NaN or infinite: their indices, counted from 0 over all rows",
    )
    truncated: bool = Field(description="whether rows that were asked for are missing, or the rows are not whole")
