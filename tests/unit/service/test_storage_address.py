from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings
from service.storage_address import Bucket


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("var/storage", Path("var/storage")),
        ("/srv/storage", Path("/srv/storage")),
        ("s3://weights", Bucket("weights", "")),
        ("s3://weights/", Bucket("weights", "")),
        ("s3://my.weights-2/a/b/", Bucket("my.weights-2", "a/b")),
    ],
)
def test_the_storage_is_a_folder_or_a_bucket(
    text: str, expected: Path | Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FITQUEUE_STORAGE", text)
    assert Settings().storage == expected


@pytest.mark.parametrize(
    "text",
    ["s3://", "s3:///a", "s3://id:secret@weights/a", "s3://Weights", "s3://weights/../a", "s3://weights/a//b",
     "s3://weights/a?b", "gs://weights", "https://id:secret@minio/weights"],
)  # fmt: skip
def test_an_invalid_storage_address_is_refused_and_not_repeated(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQUEUE_STORAGE", text)
    with pytest.raises(ValidationError, match="storage") as error:
        Settings()
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("value", ["auto", "stream", "https://files.example.org", "http://127.0.0.1:9000/"])
def test_valid_settings_for_downloads(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQUEUE_DOWNLOADS", value)
    assert Settings().downloads == value.rstrip("/")


@pytest.mark.parametrize(
    "value", ["", "redirect", "files.example.org", "ftp://x", "https://id:secret@x", "https://x/y"]
)
def test_invalid_settings_for_downloads_are_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQUEUE_DOWNLOADS", value)
    with pytest.raises(ValidationError, match="downloads"):
        Settings()


def test_a_bucket_is_printed_as_its_address() -> None:
    assert str(Bucket("weights", "a/b")) == "s3://weights/a/b"
    assert str(Bucket("weights", "")) == "s3://weights"
