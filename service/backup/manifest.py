"""The manifest of a backup: what it consists of. It is written last, so what has none was not finished."""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from service.storage.keys import BACKUPS, validated

FORMAT: Final[Literal[1]] = 1
"""The version of this format. A program refuses those that it does not know."""


def _file_key(key: str) -> str:
    if validated(key).startswith(f"{BACKUPS}/"):
        raise ValueError(f"'{key}' is not the key of a file that rows refer to.")
    return key


Key = Annotated[str, AfterValidator(_file_key)]
SHA256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class SavedTable(_Part):
    """A table: a compressed file with a line for its columns and a line for each row, all of them JSON."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,62}$")]
    rows: Count
    size: Count
    sha256: SHA256

    @property
    def file(self) -> str:
        """The name of the file."""
        return f"{self.name}.jsonl.gz"


class SavedFile(_Part):
    """A file that rows refer to. It has the same key in the backup as in the storage."""

    key: Key
    size: Count
    sha256: SHA256


class Manifest(_Part):
    """What a backup consists of.

    Attributes:
        created_at: the time of the database's clock, at which all rows are as they were.
        revision: the version of the tables.
        fitqueue: the version of the program that made the backup.
        storage_id: the identity of the storage that the files are from.
        tables: the tables, those first that others refer to.
        missing: the keys of files that rows refer to, and that the storage had lost before.
    """

    format: Literal[1] = FORMAT
    created_at: Annotated[AwareDatetime, Field(strict=False)]
    revision: Annotated[str, Field(pattern=r"^\d{4}$")]
    fitqueue: str
    storage_id: str
    tables: Annotated[tuple[SavedTable, ...], Field(strict=False)]
    files: Annotated[tuple[SavedFile, ...], Field(strict=False)]
    missing: Annotated[tuple[Key, ...], Field(strict=False)] = ()

    @property
    def file_bytes(self) -> int:
        """The sizes of all files that rows refer to."""
        return sum(file.size for file in self.files)

    def rows_of(self, table: str) -> int:
        """Return how many rows of a table it has."""
        return sum(saved.rows for saved in self.tables if saved.name == table)


def name_of(created_at: datetime) -> str:
    """Return the name of a backup: its time, to the millisecond, so that names sort by time."""
    return f"{created_at:%Y%m%dT%H%M%S}.{created_at.microsecond // 1000:03}Z"
