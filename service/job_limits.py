"""What the service keeps of one job, at the most."""

from dataclasses import dataclass
from typing import Final

_MIB: Final = 1024**2
_GIB: Final = 1024**3


@dataclass(frozen=True)
class JobLimits:
    """The limits of one job. Their defaults are those of the settings."""

    checkpoints: int = 10_000
    """Names of checkpoints, without `best` and `last`."""
    checkpoint_bytes: int = 1024 * _GIB
    artifact_bytes: int = 4 * _GIB
    events: int = 250_000
    """Events about epochs and checkpoints. Those beyond are counted and not stored."""
    log_bytes: int = 64 * _MIB
    """Of the lines that it has printed. When there are more, the oldest lines are deleted."""


DEFAULT_LIMITS: Final = JobLimits()
