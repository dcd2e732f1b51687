"""What the API shows of a data set beyond its row: whose it is, its project, and who uploaded it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.models import Dataset
from service.store import projects, tokens, users


@dataclass(frozen=True)
class DatasetDetails:
    dataset: Dataset
    owner: str | None
    project: str | None
    submitted_by: str | None
    """The name of the token that it was uploaded with."""


def read_all(session: Session, datasets: Sequence[Dataset]) -> list[DatasetDetails]:
    """Return the details of data sets, in their order."""
    owners = users.names_of(session, {row.owner_id for row in datasets})
    of_projects = projects.names_of(session, {row.project_id for row in datasets})
    names = tokens.names_of(session, {row.token_id for row in datasets})
    return [
        DatasetDetails(row, owners.get(row.owner_id), of_projects.get(row.project_id), names.get(row.token_id))
        for row in datasets
    ]
