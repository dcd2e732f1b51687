"""Which errors time or an operator mends."""

import errno
import os

import pytest

from workers.shared.outages import is_disk_outage


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE], ids=errno.errorcode.get
)
def test_a_disk_that_is_full_or_broken(number: int) -> None:
    error = OSError(number, os.strerror(number))
    assert is_disk_outage(error)
    wrapped = RuntimeError("A library failed.")
    wrapped.__cause__ = error
    assert is_disk_outage(wrapped)


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "x"), PermissionError(errno.EACCES, "x"), OSError("x"), ValueError("x")]
)
def test_errors_that_stay(error: Exception) -> None:
    assert not is_disk_outage(error)
