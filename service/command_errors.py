"""The settings of operators' commands, and what these say if a setting or the database cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fitqueue.client.configuration import files_above
from fitqueue.errors import DatabaseOutdated, DatabaseUnavailable, NotConfigured
from fitqueue.spec import validation_words
from service.db import sqlite_file
from service.settings import Settings


@contextmanager
def database_errors_explained() -> Iterator[None]:
    """Add what the driver says to DatabaseUnavailable: operators may read it, users of the API may not."""
    try:
        yield
    except DatabaseUnavailable as error:
        cause = getattr(error.__cause__, "orig", None)
        if isinstance(error, DatabaseOutdated) or cause is None:
            raise
        raise DatabaseUnavailable(f"The database cannot be used: {' '.join(str(cause).split())}") from error


def read_settings() -> Settings:
    """Read the settings.

    Raises:
        click.ClickException: a variable has a value that cannot be used.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise click.ClickException("; ".join(map(_setting_error, error.errors()))) from error


def service_settings() -> Settings:
    """Return the settings with the database and the storage of the service.

    Without FITQUEUE_DATABASE_URL, these are the ones that `fitqueue up` has created here or in a parent folder.

    Raises:
        NotConfigured: there is no database.
    """
    settings = read_settings()
    if "database_url" not in settings.model_fields_set:
        nearest = _nearest_database_file()
        values = {"database_url": f"sqlite:///{nearest}", "storage": nearest.parent / "storage"}
        return settings.model_copy(update={k: v for k, v in values.items() if k not in settings.model_fields_set})
    file = sqlite_file(settings.database_url)
    if file is not None and not file.is_file():
        raise NotConfigured(f"There is no database at {file} yet, which FITQUEUE_DATABASE_URL names")
    return settings


def _nearest_database_file() -> Path:
    file = next(files_above(Path.cwd(), "fitqueue.db"), None)
    if file is None:
        raise NotConfigured(
            "No database is known: set FITQUEUE_DATABASE_URL, or go where `fitqueue up` has created var/fitqueue.db"
        )
    return file


def _setting_error(error: ErrorDetails) -> str:
    return f"FITQUEUE_{str(error['loc'][0]).upper()}: {validation_words.message(error)}"
