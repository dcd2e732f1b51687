from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from service.storage import Storage
from service.storage.bucket import BucketStorage
from service.storage_address import Bucket
from tests.s3 import S3Server
from tests.storages import new_storage

LONG_TIMEOUT = timedelta(seconds=60)


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty storage of each kind."""
    if request.param == "folder":
        return new_storage(tmp_path / "storage")
    return BucketStorage(request.getfixturevalue("bucket"), tmp_path / "incoming", LONG_TIMEOUT)


@pytest.fixture
def open_bucket(s3: S3Server, bucket: Bucket, tmp_path: Path) -> Callable[..., BucketStorage]:
    """A function that opens the bucket, with a setting for `retry_timeout` and `downloads`."""

    def open_bucket(retry_timeout: timedelta = LONG_TIMEOUT, downloads: str = "auto") -> BucketStorage:
        return BucketStorage(bucket, tmp_path / "incoming", retry_timeout, downloads)

    return open_bucket


@pytest.fixture
def write_file(tmp_path: Path) -> Callable[[bytes], Path]:
    """A function that writes a file to be stored, and returns its path."""

    def write_file(content: bytes) -> Path:
        path = tmp_path / "written"
        path.write_bytes(content)
        return path

    return write_file
