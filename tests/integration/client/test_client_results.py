"""Results, data sets and workers: the client with a real service and a simulated worker."""

import hashlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitqueue import errors
from fitqueue.client import Client
from fitqueue.states import EventKind


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    path = tmp_path / "letters.npz"
    np.savez(path, x=np.arange(600_000, dtype="float32").reshape(-1, 4), y=np.zeros(150_000, dtype="int32"))
    return path


def test_metrics_are_rows_and_csv(service: Any, client: Client, job: dict[str, Any]) -> None:
    submitted = client.submit(job)
    worker = service.claim()
    worker.epoch(1, 0.5)
    worker.epoch(2, float("inf"))
    rows = client.metrics(submitted.id)
    assert [(row.epoch, row.metrics["loss"], row.non_finite) for row in rows] == [
        (1, 0.5, []),
        (2, None, ["loss", "val_loss"]),
    ]
    assert [row.epoch for row in client.metrics(submitted.id, after=1)] == [2]
    assert client.metrics_csv(submitted.id).splitlines()[0].startswith("epoch,")


def test_the_metrics_within_epochs(service: Any, client: Client, job: dict[str, Any]) -> None:
    submitted = client.submit(job)
    assert client.get(submitted.id).progress.metrics == {}
    worker = service.claim()
    worker.progress(1, 3, loss=0.5, is_point=True)
    worker.progress(2, 4, loss=float("-inf"), is_point=True)
    worker.progress(2, 5, loss=0.25, accuracy=float("nan"))
    assert client.get(submitted.id).progress.metrics == {"loss": 0.25, "accuracy": None}
    first, second = client.metrics(submitted.id, within="epoch")
    assert (first.epoch, first.step, first.metrics, first.non_finite, first.attempt) == (1, 3, {"loss": 0.5}, [], 1)
    assert (second.metrics, second.non_finite_values) == ({"loss": None}, {"loss": "-Infinity"})
    assert client.metrics(submitted.id, within="epoch", after=1) == (second,)
    assert client.metrics(submitted.id) == ()
    assert client.metrics_csv(submitted.id, within="epoch").splitlines()[0] == "epoch,step,loss,attempt,at"


def test_events_and_logs_are_followed_to_the_end(service: Any, client: Client, job: dict[str, Any]) -> None:
    submitted = client.submit(job)
    worker = service.claim()
    worker.log("first", "second \u2028 line \x85 whole")
    events: list[Any] = []
    lines: list[str] = []
    followers = [
        threading.Thread(target=lambda: events.extend(client.events(submitted.id, follow=True))),
        threading.Thread(target=lambda: lines.extend(line.text for line in client.logs(submitted.id, follow=True))),
    ]
    for follower in followers:
        follower.start()
    worker.epoch(1, 0.5)
    worker.log("third")
    worker.finish()
    for follower in followers:
        follower.join(120)
    assert [event.kind for event in events] == [
        EventKind.SUBMITTED,
        EventKind.CLAIMED,
        EventKind.EPOCH_ENDED,
        EventKind.SUCCEEDED,
    ]
    assert lines == ["first", "second \u2028 line \x85 whole", "third"]
    assert list(client.events(submitted.id)) == events
    assert list(client.events(submitted.id, after=events[1].id)) == events[2:]
    assert [line.text for line in client.logs(submitted.id, tail=2)] == lines[1:]
    assert [line.text for line in client.logs(submitted.id, tail=2, follow=True)] == lines[1:]


def test_checkpoints_are_downloaded_by_name(service: Any, client: Client, job: dict[str, Any], tmp_path: Path) -> None:
    submitted = client.submit(job)
    worker = service.claim()
    with pytest.raises(errors.NoCheckpointYet):
        client.download(submitted.id, "best", tmp_path)
    content = bytes(range(256)) * 4000
    name = "ep001-loss0.500.weights.h5"
    worker.checkpoint(["best", "last", name], 1, content, 0.5)
    with pytest.raises(errors.CheckpointNotFound):
        client.download(submitted.id, "other", tmp_path)
    paths = [client.download(submitted.id, checkpoint, tmp_path) for checkpoint in ("best", "last", name)]
    assert [path.name for path in paths] == [
        f"{submitted.id}-best.weights.h5",
        f"{submitted.id}-last.weights.h5",
        name,
    ]
    assert all(path.read_bytes() == content for path in paths)
    assert {checkpoint.name for checkpoint in client.checkpoints(submitted.id)} == {"best", "last", name}


def test_an_interrupted_download_is_resumed(service: Any, client: Client, job: dict[str, Any], tmp_path: Path) -> None:
    submitted = client.submit(job)
    content = bytes(range(256)) * 4000
    service.claim().checkpoint(["best"], 1, content, 0.5)
    sha256 = hashlib.sha256(content).hexdigest()
    (tmp_path / f".w.{sha256[:16]}.part").write_bytes(content[:1000])
    seen: list[tuple[int, int]] = []
    client.download(submitted.id, path=tmp_path / "w", on_progress=lambda done, total: seen.append((done, total)))
    assert (tmp_path / "w").read_bytes() == content
    assert seen[0] == (1000, len(content))


def test_data_sets_are_stored_once(client: Client, npz: Path) -> None:
    sent: list[int] = []
    stored = client.upload(npz, "letters", on_progress=lambda done, _total: sent.append(done))
    assert [(array.name, array.shape, array.dtype) for array in stored.arrays] == [
        ("x", [150_000, 4], "float32"),
        ("y", [150_000], "int32"),
    ]
    assert sent[-1] == npz.stat().st_size
    sent.clear()
    again = client.upload(npz, "letters", on_progress=lambda done, _total: sent.append(done))
    assert (again.id, sent) == (stored.id, [])
    assert client.dataset("letters") == client.dataset(stored.id) == stored
    assert {"digits", "letters"} <= {dataset.name for dataset in client.datasets()}
    assert [dataset.name for dataset in client.datasets(submitted_by="tests")] == ["letters"]
    assert list(client.datasets(submitted_by="ada")) == []
    client.delete_dataset("letters")
    with pytest.raises(errors.DatasetNotFound):
        client.dataset("letters")


def test_a_data_set_without_a_name_is_found_by_its_content(client: Client, npz: Path) -> None:
    stored = client.upload(npz)
    try:
        assert stored.name == stored.id
        assert stored.sha256 is not None
        assert client.find_dataset(stored.sha256) == stored
        assert client.find_dataset(stored.sha256, "letters") is None
        assert client.find_dataset("0" * 64) is None
        sent: list[int] = []
        assert client.upload(npz, on_progress=lambda done, _total: sent.append(done)) == stored
        assert sent == []
        assert stored.id not in {dataset.id for dataset in client.datasets()}
        assert stored.id in {dataset.id for dataset in client.datasets(unnamed=True)}
    finally:
        client.delete_dataset(stored.id)


def test_rows_of_a_data_set_are_returned(client: Client, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **{"x y/z": np.arange(10.0)})
    client.upload(tmp_path / "x.npz", "numbers")
    shown = client.preview_dataset("numbers", "x y/z", first=7)
    assert (shown.rows, shown.shape, shown.looks_like) == ([7, 8, 9], [10], "scalar")
    assert len(client.preview_dataset("digits", "x_train", rows=3).rows) == 3
    with pytest.raises(errors.ArrayNotFound):
        client.preview_dataset("numbers", "x")
    with pytest.raises(errors.DatasetNotFound):
        client.preview_dataset("nothing", "x")
    with pytest.raises(errors.InvalidRequest):
        client.preview_dataset("numbers", "x y/z", rows=101)


def test_a_file_that_is_not_a_data_set_is_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"no zip")
    with pytest.raises(errors.InvalidDataset):
        client.upload(tmp_path / "x.npz", "x")


def test_workers_lists_what_they_are_training(service: Any, client: Client, job: dict[str, Any]) -> None:
    assert list(client.workers()) == []
    submitted = client.submit(job)
    service.claim()
    [listed] = client.workers()
    assert (listed.id, listed.alive, listed.jobs) == ("wk_1", True, [submitted.id])
