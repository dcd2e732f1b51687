"""What can be wrong with a backup."""

from fitqueue.errors import FitQueueError


class BackupFailed(FitQueueError):
    """The backup could not be made or restored."""

    code = "backup_failed"
