from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings
from service.storage_address import Bucket


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("var/storage", Path("var/storage")),
        ("/srv/store", Path("/srv/store")),
        ("s3://weights", Bucket("weights", "")),
        ("s3://weights/", Bucket("weights", "")),
        ("s3://my.weights-2/a/b/", Bucket("my.weights-2", "a/b")),
    ],
)
def test_where_files_are_stored(text: str, meant: Path | Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQUEUE_STORAGE", text)
    assert Settings().store == meant


@pytest.mark.parametrize(
    "text",
    ["s3://", "s3:///a", "s3://id:secret@weights/a", "s3://Weights", "s3://weights/../a", "s3://weights/a//b",
     "s3://weights/a?b", "gs://weights", "https://id:secret@minio/weights"],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_not_repeated(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQUEUE_STORAGE", text)
    with pytest.raises(ValidationError, match="store") as told:
        Settings()
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("value", ["auto", "stream", "https://files.example.org", "http://127.0.0.1:9000/"])
def test_how_files_reach_clients(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQUEUE_DOWNLOADS", value)
    assert Settings().downloads == value.rstrip("/")


@pytest.mark.parametrize(
    "value", ["", "redirect", "files.example.org", "ftp://x", "https://id:secret@x", "https://x/y"]
)
def test_how_they_do_not(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQUEUE_DOWNLOADS", value)
    with pytest.raises(ValidationError, match="downloads"):
        Settings()


def test_an_address_in_words() -> None:
    assert str(Bucket("weights", "a/b")) == "s3://weights/a/b"
    assert str(Bucket("weights", "")) == "s3://weights"
