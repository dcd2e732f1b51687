"""The exit codes of a training process that has nobody to send a last message to."""

from typing import Final

WORKER_GONE: Final = 86
"""Its worker is gone."""

LEASE_NOT_RENEWED: Final = 87
"""Its worker has not renewed the lease in time: another worker may have the job by now."""
