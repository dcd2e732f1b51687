"""What the API shows of a data set beyond its row."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.models import Dataset
from service.store import ownership
from service.store.ownership import Ownership


@dataclass(frozen=True)
class DatasetDetails:
    dataset: Dataset
    ownership: Ownership


def read_all(session: Session, datasets: Sequence[Dataset]) -> list[DatasetDetails]:
    """Return the details of data sets, in their order."""
    owned = ownership.read(session, datasets)
    return [DatasetDetails(row, names) for row, names in zip(datasets, owned, strict=True)]
