"""What came of one try to send a message."""

from dataclasses import dataclass
from enum import Enum, auto


class Verdict(Enum):
    """What follows from a try."""

    DELIVERED = auto()
    RETRY = auto()
    GONE = auto()
    """The receiver does not want any more messages."""


@dataclass(frozen=True)
class Outcome:
    """What came of one try to send a message. `status` is short, and has no text of the receiver's."""

    verdict: Verdict
    status: str
