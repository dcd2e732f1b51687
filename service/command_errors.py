"""What the commands of operators say if a setting or the database cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fitqueue.errors import DatabaseOutdated, DatabaseUnavailable
from fitqueue.spec import validation_words
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


def _setting_error(error: ErrorDetails) -> str:
    return f"FITQUEUE_{str(error['loc'][0]).upper()}: {validation_words.message(error)}"
