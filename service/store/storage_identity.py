"""The identity of the storage that the database's rows refer to."""

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service import clock
from service.models import StorageIdentity


def read(session: Session) -> str | None:
    """Return the identity; None if there is none yet."""
    return session.scalar(select(StorageIdentity.identity))


def write_if_missing(session: Session, identity: str) -> str:
    """Write the identity, unless there is one; return the one that counts."""
    try:
        with session.begin_nested():
            session.add(StorageIdentity(number=1, identity=identity, created_at=clock.now(session)))
    except IntegrityError:  # there is one, perhaps since a moment ago
        session.expire_all()
    return session.scalars(select(StorageIdentity.identity)).one()
