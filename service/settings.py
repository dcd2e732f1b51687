"""The settings, from environment variables that begin with `FITQUEUE_`."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fitqueue.limits import ChangedUserLimits
from fitqueue.spec import MAX_EPOCHS, MAX_RUNTIME_SECONDS
from service import db
from service.forecast.turns import TurnsBy
from service.job_limits import DEFAULT_LIMITS
from service.login_proxy import validated_field
from service.mail_server import parse_mail_server
from service.origins import validated_origin
from service.storage_address import Bucket, parse_address, validated_downloads

MIB: Final = 1024**2
GIB: Final = 1024**3


class Settings(BaseSettings):
    """The settings of one process.

    A value that cannot be used raises pydantic.ValidationError, which names the variable and not the value: it may hold
    a password, and what a process prints when it cannot start ends up in logs.
    """

    model_config = SettingsConfigDict(env_prefix="FITQUEUE_", frozen=True, extra="ignore", hide_input_in_errors=True)

    database_url: str = Field(
        default="sqlite:///var/fitqueue.db",
        description="The database, as SQLAlchemy writes it: `sqlite:///path` or `postgresql+psycopg://…`.",
    )
    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        description="Redis, which notifies workers of new jobs. While it is down, workers poll the database.",
    )
    storage: Annotated[Path | Bucket, NoDecode, BeforeValidator(parse_address)] = Field(
        default=Path("var/storage"),
        description="Where checkpoints and data sets are stored: a folder, or `s3://bucket/prefix`.",
    )
    downloads: Annotated[str, AfterValidator(validated_downloads)] = Field(
        default="auto",
        description=(
            "How clients get files from a bucket. `stream`: through the API. An address such as "
            "`https://files.example.org`: by a redirect to a signed address there. `auto`: by a redirect to AWS, or "
            "through the API if an endpoint is set."
        ),
    )
    host: str = Field(default="127.0.0.1", description="The address that the API listens on.")
    port: int = Field(default=8765, ge=0, le=65535, description="The port that the API listens on.")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description=(
            "The proxies in front of the API, which say in `X-Forwarded-…` what a client has asked for: addresses and "
            "networks, separated by commas."
        ),
    )
    login_header: Annotated[str, AfterValidator(validated_field)] = Field(
        default="",
        description="The header field in which a login proxy names the user, such as `X-Remote-User`.",
    )
    login_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description=(
            "The login proxies that are believed to name the user: addresses and networks from which they connect, "
            "separated by commas."
        ),
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description=(
            "The origins of other web pages that may use the API from a browser, with a token of their own, separated "
            "by commas."
        ),
    )
    login_idle_seconds: int = Field(
        default=14 * 86_400,
        ge=60,
        description="After how long without a request a browser is logged out.",
    )
    max_body_bytes: int = Field(
        default=2 * MIB,
        ge=1024,
        description=(
            "The largest body of a request, except for an upload of a data set. The largest of Keras's own models "
            "takes half of it."
        ),
    )
    max_dataset_bytes: int = Field(
        default=20 * GIB, ge=1024, description="The largest data set, both as a file and as its arrays declare it."
    )
    max_model_bytes: int = Field(
        default=1024 * GIB, ge=1, description="The largest model, by the memory that training it takes."
    )
    max_epochs: int = Field(default=100_000, ge=1, le=MAX_EPOCHS, description="The most epochs of a job.")
    max_checkpoints: int = Field(
        default=DEFAULT_LIMITS.checkpoints, ge=1, description="The most checkpoints of a job under names of their own."
    )
    max_checkpoint_bytes: int = Field(
        default=DEFAULT_LIMITS.checkpoint_bytes, ge=1, description="The most bytes of all stored checkpoints of a job."
    )
    max_artifact_bytes: int = Field(
        default=DEFAULT_LIMITS.artifact_bytes,
        ge=1,
        description="The most bytes that the callbacks of a job write besides weights.",
    )
    max_events: int = Field(
        default=DEFAULT_LIMITS.events,
        ge=1,
        description="The most events of a job about its epochs and checkpoints. Further ones are only counted.",
    )
    max_log_bytes: int = Field(
        default=DEFAULT_LIMITS.log_bytes,
        ge=64 * 1024,
        description="The most bytes of a job's log. When there are more, its oldest lines are deleted.",
    )
    default_max_runtime_seconds: int | None = Field(
        default=None,
        ge=1,
        le=MAX_RUNTIME_SECONDS,
        description="The `max_runtime_seconds` of jobs that do not say any.",
    )
    new_user_limits: ChangedUserLimits | None = Field(
        default=None, description="The limits that a new user begins with, as JSON."
    )
    lease_seconds: float = Field(
        default=30.0,
        gt=0,
        description="How long a worker may be silent before its jobs go to another. It must be the same everywhere.",
    )
    pools: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("default",), min_length=1, description="The pools that this worker serves, separated by commas."
    )
    turns_by: TurnsBy = Field(
        default=TurnsBy.USER,
        description=(
            "Whose turns decide between jobs of equal priority: those of each `user`, or of each `project`. It must be "
            "the same everywhere."
        ),
    )
    slots: int = Field(default=1, ge=1, le=64, description="How many jobs this worker trains at the same time.")
    drain_seconds: float = Field(
        default=0.0,
        ge=0,
        description="How long a worker that is told to stop lets its jobs train before it requeues them.",
    )
    cpu_devices: int = Field(default=1, ge=1, le=64, description="How many logical CPUs a job without GPUs trains on.")
    job_memory_bytes: int | None = Field(
        default=None, ge=64 * MIB, description="The most memory that a job may take. One that takes more is ended."
    )
    spare_children: bool = Field(
        default=False,
        description=(
            "Whether an idle slot keeps a warm training process for its next job, on a worker without GPUs. It begins "
            "to train sooner, and each process takes about 60 MB."
        ),
    )
    work_dir: Path = Field(
        default=Path("var/work"),
        description=(
            "The folder in which this worker's jobs write. Files on their way from or to a bucket are there, too."
        ),
    )
    dataset_cache_bytes: int = Field(
        default=40 * GIB,
        ge=0,
        description="How many bytes of a bucket's data sets are kept on this machine. The one in use always fits.",
    )
    unnamed_dataset_days: int = Field(
        default=30,
        ge=1,
        le=36_500,
        description="How long a data set without a name is kept after its last use. One that a job needs stays.",
    )
    audit_days: int = Field(
        default=365, ge=1, le=36_500, description="How long the audit log keeps who did what, when and from where."
    )
    snapshot_seconds: float = Field(
        default=300.0,
        ge=0,
        description="How long an epoch may train without a snapshot to resume from. 0: one after each batch.",
    )
    silence_seconds: float = Field(
        default=1800.0,
        gt=0,
        description=(
            "How long a training may be silent, with no progress and no output, before it is killed and retried."
        ),
    )
    webhook_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description=(
            "The networks beside the public ones to which webhooks may send, separated by commas, such as "
            "`10.1.0.0/16`."
        ),
    )
    smtp_url: str = Field(
        default="",
        description=(
            "The mail server for webhooks of the kind `mail`: `smtp://user:password@host:587` or "
            "`smtps://user:password@host`. Without it, no mails are sent."
        ),
    )
    mail_from: str = Field(default="", description="From whom these mails come, such as `fitqueue@example.org`.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="The lowest severity that is logged."
    )

    @field_validator("database_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        db.parse_url(value)
        return value

    @field_validator("smtp_url")
    @classmethod
    def _is_mail_server(cls, value: str) -> str:
        if value:
            parse_mail_server(value, "")
        return value

    @model_validator(mode="after")
    def _has_sender(self) -> Self:
        if self.smtp_url and not ("@" in self.mail_from and self.mail_from.isprintable()):
            raise ValueError("with FITQUEUE_SMTP_URL, FITQUEUE_MAIL_FROM must be an address of mail")
        return self

    @field_validator("trusted_proxies", "login_proxies", "webhook_networks")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(validated_origin, value))

    @field_validator("login_proxies")
    @classmethod
    def _have_a_field(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        field = info.data.get("login_header")
        if field is not None and bool(field) != bool(value):
            raise ValueError("a login proxy needs both FITQUEUE_LOGIN_HEADER and FITQUEUE_LOGIN_PROXIES")
        return value

    @field_validator("pools", "trusted_proxies", "login_proxies", "cors_origins", "webhook_networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(entry.strip() for entry in value.split(",") if entry.strip())
        return value
