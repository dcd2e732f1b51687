"""The commands about results, data sets and workers, with a real service."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from fitqueue.client import Client
from service.store import workers
from service.store.gpus import MeasuredGPU


def test_the_results_of_a_job(run: Any, job: dict[str, Any], service: Any, client: Client, tmp_path: Path) -> None:
    submitted = client.submit(job)
    worker = service.claim()
    assert run("weights", submitted.id)[0] == 3
    worker.log("Epoch 1\x1b[31m", "done")
    worker.epoch(1, 0.5)
    worker.epoch(2, float("nan"))
    worker.checkpoint(["best", "last", "ep1.weights.h5"], 1, b"first", 1.0)
    worker.checkpoint(["last"], 2, b"second")
    worker.finish()

    assert run("weights", submitted.id) == (0, f"{submitted.id}-best.weights.h5\n", "")
    assert (tmp_path / f"{submitted.id}-best.weights.h5").read_bytes() == b"first"
    assert run("weights", submitted.id, "--last", "-o", "w.h5") == (0, "w.h5\n", "")
    assert (tmp_path / "w.h5").read_bytes() == b"second"
    assert run("weights", submitted.id, "--checkpoint", "ep1.weights.h5")[1] == "ep1.weights.h5\n"
    assert (tmp_path / "ep1.weights.h5").read_bytes() == b"first"

    table = [line.split() for line in run("metrics", submitted.id)[1].splitlines()]
    assert table[0][:3] == ["EPOCH", "loss", "val_loss"]
    assert table[2][:3] == ["2", "nan", "nan"]
    assert [row["epoch"] for row in json.loads(run("metrics", submitted.id, "--json")[1])] == [1, 2]
    assert len(run("metrics", submitted.id, "--csv")[1].splitlines()) == 3

    assert [line.split()[0] for line in run("checkpoints", submitted.id)[1].splitlines()] == [
        "NAME",
        *(checkpoint.name for checkpoint in client.checkpoints(submitted.id)),
    ]
    assert len(json.loads(run("checkpoints", submitted.id, "--json")[1])) == 3

    assert run("logs", submitted.id)[1] == "Epoch 1\x1b[31m\ndone\n"
    assert run("logs", submitted.id, "-n", "1")[1] == "done\n"
    lines = [json.loads(line) for line in run("logs", submitted.id, "--json")[1].splitlines()]
    assert [(line["text"], line["attempt"]) for line in lines] == [("Epoch 1\x1b[31m", 1), ("done", 1)]
    assert json.loads(run("weights", submitted.id, "--json")[1]) == {
        "job": submitted.id, "checkpoint": "best", "path": f"{submitted.id}-best.weights.h5", "size": len(b"first"),
    }  # fmt: skip
    assert run("logs", submitted.id, "-f")[1] == "Epoch 1\x1b[31m\ndone\n"

    assert "succeeded" in run("events", submitted.id, "-f")[1].splitlines()[-1]
    lines = run("events", submitted.id, "--json")[1].splitlines()
    assert [json.loads(line)["kind"] for line in lines[:2]] == ["submitted", "claimed"]


def test_files_with_names_in_any_script(
    run: Any, job: dict[str, Any], service: Any, client: Client, tmp_path: Path
) -> None:
    submitted = client.submit(job)
    worker = service.claim()
    checkpoint, artifact, long = "模型-01.keras", "журнал 1.csv", "模" * 190 + ".keras"
    worker.checkpoint([checkpoint, long], 1, b"first", 1.0)
    worker.artifact(artifact, b"a,b")
    worker.finish()

    assert checkpoint in run("checkpoints", submitted.id)[1]
    assert run("weights", submitted.id, "--checkpoint", checkpoint) == (0, f"{checkpoint}\n", "")
    assert (tmp_path / checkpoint).read_bytes() == b"first"
    assert artifact in run("artifacts", submitted.id)[1]
    assert run("artifacts", submitted.id, artifact) == (0, f"{artifact}\n", "")
    assert (tmp_path / artifact).read_bytes() == b"a,b"
    code, out, _ = run("weights", submitted.id, "--checkpoint", long)
    assert (code, out.endswith("模.keras\n")) == (0, True)
    assert Path(out.strip()).read_bytes() == b"first"


def test_data_sets_are_added_listed_shown_and_removed(run: Any, tmp_path: Path) -> None:
    x = np.array([[0.5, np.nan], [-2, np.inf], [1, 0], [1, 0], [1, 0]], "float32")
    np.savez(tmp_path / "letters.npz", x=x, y=np.array([0, 1, 1, 0, 1]), names=np.array(["a", "b"]))
    code, out, err = run("dataset", "add", "letters.npz")
    assert code == 0
    assert '"dataset": "letters"' in err
    assert "Left out: names: its type is text, and Keras trains on plain numbers." in err
    assert run("dataset", "add", "letters.npz")[1] == out
    shown = run("dataset", "show", "letters")[1]
    assert "x 5×2 float32, -2 to 1, 1 NaN, 1 infinite\n" in shown
    assert "y 5 int64, 0 to 1, 2 classes\n" in shown
    assert "Left out  names: its type is text" in shown
    assert json.loads(run("dataset", "show", "letters", "--json")[1])["id"] == out.strip()
    assert any(line.startswith("letters") and "x 5×2" in line for line in run("dataset", "list")[1].splitlines())
    for options in ([], ["--all"]):
        assert "letters" in [row["name"] for row in json.loads(run("dataset", "list", "--json", *options)[1])]
    assert [row["name"] for row in json.loads(run("dataset", "list", "--json", "--submitted-by", "tests")[1])] == [
        "letters"
    ]
    assert any(line.startswith("Added") and line.endswith(" by tests") for line in shown.splitlines())
    assert run("dataset", "remove", "letters")[0] == 0
    assert run("dataset", "show", "letters")[0] == 3


def test_workers_lists_what_they_are_training(run: Any, job: dict[str, Any], service: Any, client: Client) -> None:
    submitted = client.submit(job)
    service.claim()
    [heading, row] = run("workers")[1].splitlines()
    assert heading.split()[:5] == ["HOST", "STATE", "SLOTS", "JOBS", "DEVICES"]
    assert row.split()[:4] == ["gpu-box", "alive", "1/2", "digits"]
    assert json.loads(run("workers", "--json")[1])[0]["jobs"] == [submitted.id]


def test_workers_shows_how_much_of_the_gpus_is_used(run: Any, service: Any) -> None:
    h100 = MeasuredGPU("GPU-a", "H100", 97, 40 * 10**9, 85 * 10**9)
    gpus = [h100, MeasuredGPU("GPU-b", "GB10", 3), MeasuredGPU("MIG-1", "MIG 1g")]
    with service.database.write() as session:
        workers.register(
            session, "wk_1", host="h", pools=["default"], slots=1, devices=["H100"], gpus=[], gpu_use=gpus,
            versions={"keras": "3.15.1"},
        )  # fmt: skip
    assert "H100 (97 %, 40.0 GB of 85.0 GB), GB10 (3 %), MIG 1g" in run("workers")[1]
    assert json.loads(run("workers", "--json")[1])[0]["versions"] == {"keras": "3.15.1"}
    with service.database.write() as session:
        workers.sign_off(session, "wk_1")
    assert run("workers")[1:] == ("", "No worker is alive; `fitqueue workers --all` lists gone ones.\n")
    gone = run("workers", "--all")[1]
    assert "gone" in gone
    assert "97 %" not in gone, "nobody knows it"
