"""Errors of a disk or a network file system that say nothing about the file: time mends them, or an operator."""

import errno
from typing import Final

OUTAGE_ERRNOS: Final = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENODEV, errno.ENXIO),
        *(errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH),
    }
)


def is_disk_outage(error: BaseException | None) -> bool:
    """Tell whether the error, or what it was raised from, is one of these."""
    if error is None:
        return False
    if isinstance(error, OSError) and error.errno in OUTAGE_ERRNOS:
        return True
    return is_disk_outage(error.__cause__)
