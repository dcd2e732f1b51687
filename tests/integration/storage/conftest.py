from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from service.storage import FolderStorage, Storage
from service.storage.bucket import BucketStorage
from service.storage_address import Bucket
from tests.s3 import S3Server

SHORT = timedelta(seconds=0.5)
LONG = timedelta(seconds=60)


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Each kind."""
    if request.param == "folder":
        return FolderStorage(tmp_path / "store")
    return BucketStorage(request.getfixturevalue("bucket"), tmp_path / "incoming", LONG)


@pytest.fixture
def open_bucket(s3: S3Server, bucket: Bucket, tmp_path: Path) -> Callable[..., BucketStorage]:
    def open_bucket(retry_timeout: timedelta = LONG, downloads: str = "auto") -> BucketStorage:
        return BucketStorage(bucket, tmp_path / "incoming", retry_timeout, downloads)

    return open_bucket


@pytest.fixture
def written(tmp_path: Path) -> Callable[[bytes], Path]:
    def written(content: bytes) -> Path:
        path = tmp_path / "written"
        path.write_bytes(content)
        return path

    return written
