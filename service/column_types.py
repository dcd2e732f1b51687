"""Column types and the declarative base of the tables in `service/models`."""

import math
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Double, Enum, MetaData, TypeDecorator
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import BigInteger, Integer

from fitqueue.roles import Role, Scope
from fitqueue.states import EventKind, JobState, Phase, Reason
from fitqueue.webhooks import DeliveryState, WebhookEvent, WebhookKind


class UTCDateTime(TypeDecorator[datetime]):
    """A point in time with a time zone. SQLite has no time zones, so it stores UTC without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"A time needs a time zone; got {value!r}.")
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 -- part of SQLAlchemy's signature
    ) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class MetricValue(TypeDecorator[float]):
    """A float that may be NaN or infinite. SQLite stores NaN as NULL, so NULL is read as NaN."""

    impl = Double
    cache_ok = True

    def process_result_value(
        self,
        value: float | None,
        dialect: Dialect,  # noqa: ARG002 -- part of SQLAlchemy's signature
    ) -> float:
        return math.nan if value is None else value


def _string_enum(kind: type[StrEnum]) -> Enum:
    return Enum(kind, native_enum=False, length=32, values_callable=lambda members: [str(m.value) for m in members])


# SQLite takes a column for the row id only if its type is exactly INTEGER.
RowId = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 -- SQLAlchemy reads this attribute
        datetime: UTCDateTime,
        float: Double,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        JobState: _string_enum(JobState),
        Reason: _string_enum(Reason),
        Phase: _string_enum(Phase),
        EventKind: _string_enum(EventKind),
        Role: _string_enum(Role),
        Scope: _string_enum(Scope),
        WebhookKind: _string_enum(WebhookKind),
        WebhookEvent: _string_enum(WebhookEvent),
        DeliveryState: _string_enum(DeliveryState),
    }
