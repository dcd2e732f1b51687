"""What can be set, from environment variables that begin with `FITQUEUE_`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service import db
from service.storage_address import Bucket, checked_downloads, parse_address

MIB = 1024**2
GIB = 1024**3


class Settings(BaseSettings):
    """Raises pydantic.ValidationError for a value that cannot be used, naming the variable and not its value.

    A password may stand in the value, and what a process says when it cannot start stands in logs.
    """

    model_config = SettingsConfigDict(env_prefix="FITQUEUE_", frozen=True, extra="ignore", hide_input_in_errors=True)

    database_url: str = Field(
        default="sqlite:///var/fitqueue.db",
        description="The database, as SQLAlchemy writes it: `sqlite:///path` or `postgresql+psycopg://…`.",
    )
    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        description="Redis, which tells workers that there is work. While it is down, workers ask the database.",
    )
    store: Annotated[Path | Bucket, NoDecode, BeforeValidator(parse_address)] = Field(
        default=Path("var/storage"),
        description="What holds checkpoints and data sets: a folder, or `s3://bucket/prefix`.",
    )
    downloads: Annotated[str, AfterValidator(checked_downloads)] = Field(
        default="auto",
        description="How files of a bucket reach clients: `stream`, through the API; by a redirect to a signed address "
        "at an endpoint that they can reach, such as `https://files.example.org`; `auto`: by a redirect to AWS, and "
        "through the API where an endpoint is set.",
    )
    host: str = Field(default="127.0.0.1", description="The address that the API listens on.")
    port: int = Field(default=8765, ge=0, le=65535, description="The port that the API listens on.")
    max_body_bytes: int = Field(
        default=8 * MIB, ge=1024, description="The largest body of any request but an upload of a data set."
    )
    max_dataset_bytes: int = Field(
        default=20 * GIB, ge=1024, description="The largest data set, both as uploaded and as its arrays declare it."
    )
    max_model_bytes: int = Field(
        default=1024 * GIB, ge=1, description="The largest model that is taken, by the memory that its training needs."
    )
    lease_seconds: float = Field(
        default=30.0,
        gt=0,
        description="How long a worker may be silent before its jobs go to another. It must be the same everywhere.",
    )
    pools: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("default",), min_length=1, description="The pools that this worker serves, separated by commas."
    )
    slots: int = Field(default=1, ge=1, le=64, description="How many jobs this worker trains at the same time.")
    cpu_devices: int = Field(
        default=1, ge=1, le=64, description="How many logical CPUs a job trains on where there is no GPU."
    )
    work_dir: Path = Field(
        default=Path("var/work"),
        description="The folder in which this worker's jobs write, and what is on its way from or to a bucket.",
    )
    dataset_cache_bytes: int = Field(
        default=40 * GIB,
        ge=0,
        description="How much of the data sets of a bucket is kept on this machine; the one in use is at any rate.",
    )
    snapshot_seconds: float = Field(
        default=300.0,
        ge=0,
        description="How long an epoch may be trained without a snapshot to go on from; 0: one after each batch.",
    )
    silence_seconds: float = Field(
        default=1800.0,
        gt=0,
        description="How long a training may say nothing, no progress and no line, before it is ended and put back.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="The least severity that is logged."
    )

    @field_validator("database_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        db.parsed(value)
        return value

    @field_validator("pools", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value
