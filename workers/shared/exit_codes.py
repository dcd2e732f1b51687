"""The exit codes by which a training process ends itself, with nobody there to hear a last word."""

from typing import Final

WORKER_GONE: Final = 86
"""Its worker is gone."""

LEASE_NOT_RENEWED: Final = 87
"""Its worker has not renewed the lease in time: somebody else may train the job by now."""
