"""The command line with a real service, through pipes: what scripts see."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitqueue.client import Client
from fitqueue.states import Phase, Reason


@pytest.fixture
def file(job: dict[str, Any], tmp_path: Path) -> str:
    (tmp_path / "job.json").write_text(json.dumps(job))
    return "job.json"


def test_submit_prints_only_the_id(run: Any, file: str, client: Client) -> None:
    code, out, err = run("submit", file, "--name", "seven", "--set", "fit.epochs=7", "--set", "seed=1")
    assert code == 0
    job = client.get(out.strip())
    assert (job.name, job.spec["fit"]["epochs"], job.spec["seed"]) == ("seven", 7, 1)
    assert "Notice: /compile/optimizer/config/lr" in err
    assert f"fitqueue watch {job.id}" in err


def test_submit_from_standard_input(
    run: Any, job: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").write_text(json.dumps(job))
    with (tmp_path / "in").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        code, out, _ = run("submit", "-", "--json")
    assert code == 0
    assert json.loads(out)["state"] == "queued"


def test_a_dry_run_stores_nothing(run: Any, file: str, client: Client) -> None:
    code, out, err = run("submit", file, "--dry-run")
    assert (code, out) == (0, "")
    assert "The job is valid. Nothing was stored." in err
    assert list(client.list()) == []
    assert json.loads(run("submit", file, "--dry-run", "--json")[1])["spec"]["fit"]["epochs"] == 3


def test_submit_prints_all_faults(run: Any, file: str) -> None:
    code, out, err = run("submit", file, "--set", "fit.epochs=x", "--set", "data.dataset=none")
    assert (code, out) == (3, "")
    assert err.startswith("Error: ")
    assert "  /fit/epochs: " in err
    assert "  /data/dataset: " in err


def play_two_epochs(service: Any) -> None:
    worker = service.claim()
    worker.phase(Phase.TRAINING)
    worker.progress(1, 5)
    worker.epoch(1, 0.5, rate=0.001, next_rate=0.0001)
    worker.checkpoint(["best", "last"], 1, b"weights", 1.0)
    worker.epoch(2, 0.25, rate=0.0001, next_rate=0.0001)
    worker.finish(Reason.EARLY_STOPPED, "EarlyStopping ended it.")


def test_submit_and_wait_shows_the_training_without_control_characters(
    run: Any, file: str, service: Any, client: Client
) -> None:
    training = threading.Thread(target=lambda: (_until_queued(client), play_two_epochs(service)))
    training.start()
    code, out, err = run("submit", file, "--wait")
    training.join()
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert "\x1b" not in out
    assert "\r" not in out
    assert ["epoch", "1/3", "loss", "0.5", "val_loss", "1", "lr", "0.001", "1.5", "s"] in lines
    assert ["epoch", "2/3", "loss", "0.25", "val_loss", "0.5", "lr", "0.0001", "1.5", "s"] in lines
    assert ["State", "succeeded"] in lines
    assert ["Reason", "early_stopped"] in lines
    assert ["Best", "val_loss", "1", "(epoch", "1)"] in lines
    assert ["Learning", "rate", "0.001", "→", "0.0001", "after", "epoch", "1"] in lines
    assert "Traceback" not in err


def _until_queued(client: Client) -> None:
    while not list(client.list()):
        pass


@pytest.mark.parametrize(
    ("reason", "code"), [(Reason.COMPLETED, 0), (Reason.OUT_OF_MEMORY, 1), (Reason.CANCELLED_BY_USER, 2)]
)
def test_watch_has_an_exit_code_for_each_final_state(
    run: Any, job: dict[str, Any], service: Any, client: Client, reason: Reason, code: int
) -> None:
    submitted = client.submit(job)
    service.claim().finish(reason, "Because\x1b[31m.")
    assert run("watch", submitted.id)[0] == code
    json_code, out, _ = run("watch", submitted.id, "--json")
    assert json_code == code
    assert json.loads(out)["reason"] == reason


def test_the_result_of_a_failed_job_says_why(run: Any, job: dict[str, Any], service: Any, client: Client) -> None:
    submitted = client.submit(job)
    service.claim().finish(Reason.INTERNAL_ERROR, "It died of \x1b[31mSIGSEGV.\nlast line")
    lines = run("watch", submitted.id)[1].splitlines()
    message_line = lines.index("Message  It died of \\x1b[31mSIGSEGV.")
    assert lines[message_line + 1] == "         last line"


def test_watch_shows_the_epochs_of_a_requeued_job_again(
    run: Any, job: dict[str, Any], service: Any, client: Client
) -> None:
    submitted = client.submit(job)
    printed: list[str] = []
    watcher = threading.Thread(target=lambda: printed.append(run("watch", submitted.id)[1]))
    worker = service.claim()
    worker.epoch(1, 0.5)
    watcher.start()
    worker.requeue()
    again = service.claim()
    again.epoch(1, 0.125)
    again.finish()
    watcher.join(120)
    assert "loss 0.125 " in printed[0]
    assert ["Attempts", "2"] in [line.split() for line in printed[0].splitlines()]


def test_jobs_lists_and_filters(run: Any, job: dict[str, Any], client: Client) -> None:
    assert run("jobs") == (0, "", "No jobs.\n")
    ids = [client.submit({**job, "name": "[red]evil", "labels": {"n": str(n)}}).id for n in range(3)]
    client.cancel(ids[0])
    code, out, _ = run("jobs")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["ID", *ids[::-1]]
    assert "[red]evil" in out
    assert not any(line.endswith(" ") for line in out.splitlines())
    assert [row["id"] for row in json.loads(run("jobs", "--json", "--limit", "2")[1])] == ids[:0:-1]
    assert [row["id"] for row in json.loads(run("jobs", "--json", "--label", "n=1")[1])] == [ids[1]]
    assert [row["id"] for row in json.loads(run("jobs", "--json", "--state", "cancelled")[1])] == [ids[0]]
    assert run("jobs", "--label", "n=0", "--label", "n=1")[2] == "No jobs.\n"
    for options in (["--sort", "oldest"], ["--sort", "oldest", "--submitted-by", "tests", "--dataset", "digits"]):
        assert [row["id"] for row in json.loads(run("jobs", "--json", *options)[1])] == ids
    assert run("jobs", "--submitted-by", "ada")[2] == run("jobs", "--dataset", "mnist")[2] == "No jobs.\n"
    assert run("jobs", "--label", "n")[0] == 3


def test_one_lists_ones_own(run: Any, job: dict[str, Any], service: Any, client: Client, tmp_path: Path) -> None:
    client.create_user("ada")
    token = client.create_token("laptop", user="ada").token
    mine = client.submit(job).id
    np.savez(tmp_path / "mine.npz", x=np.zeros(3))
    np.savez(tmp_path / "hers.npz", x=np.ones(3))
    client.upload(tmp_path / "mine.npz", "mine")
    with Client(service.url, token) as ada:
        assert (client.me().user.name, ada.me().user.name) == ("admin", "ada")
        hers = ada.submit(job).id
        ada.upload(tmp_path / "hers.npz", "hers")
    assert [row["id"] for row in json.loads(run("jobs", "--json")[1])] == [hers, mine]
    assert [row["id"] for row in json.loads(run("jobs", "--mine", "--json")[1])] == [mine]
    assert [row["name"] for row in json.loads(run("dataset", "list", "--mine", "--json")[1])] == ["mine"]
    assert [row["id"] for row in json.loads(run("jobs", "--owner", "ada", "--json")[1])] == [hers]
    assert [row["name"] for row in json.loads(run("dataset", "list", "--owner", "ada", "--json")[1])] == ["hers"]
    assert run("jobs", "--mine", "--owner", "ada")[0] == 3
    heading, *rows = (line.split() for line in run("jobs")[1].splitlines())
    assert [heading[-2], *(row[-3] for row in rows)] == ["OWNER", "ada", "admin"]
    assert "OWNER" in run("queue")[1]
    assert "OWNER" not in run("jobs", "--mine")[1]


def test_jobs_shows_what_there_is_and_says_if_there_is_more(
    run: Any, job: dict[str, Any], service: Any, client: Client
) -> None:
    for number in range(22):
        client.submit({**job, "name": f"job {number}"})
    code, out, err = run("jobs")
    assert (code, len(out.splitlines()), err) == (0, 1 + 20, "20 of 22 jobs; more with --limit.\n")
    assert out.splitlines()[0].split() == ["ID", "NAME", "STATE", "PROGRESS", "LEFT", "OR", "PLACE", "AGE"]
    assert "no. 22 " in out.splitlines()[1]
    assert run("jobs", "--limit", "22")[2] == ""
    assert len(json.loads(run("jobs", "--json")[1])) == 22
    worker = service.claim()
    worker.phase(Phase.TRAINING)
    worker.epoch(1, 0.5)
    worker.checkpoint(["best"], 1, b"weights", 1.0)
    worker.progress(2, 5)
    [row] = [line.split() for line in run("jobs", "--state", "running")[1].splitlines()][1:]
    assert row[3:7] == ["running", "2/3", "val_loss", "1"]
    assert "left" in row


def test_queue_lists_what_waits_in_the_order_of_claims(
    run: Any, job: dict[str, Any], service: Any, client: Client
) -> None:
    assert run("queue") == (0, "", "No job is waiting.\n")
    client.submit({**job, "name": "second"})
    client.submit({**job, "name": "first", "priority": 5})
    client.submit({**job, "name": "elsewhere", "resources": {"pool": "gpu"}})
    lines = [line.split() for line in run("queue")[1].splitlines()]
    assert [line[2] for line in lines] == ["NAME", "first", "second", "elsewhere"]
    assert lines[0][3:5] == ["POOL", "PRIORITY"]
    [heading, row] = run("queue", "--pool", "gpu")[1].splitlines()
    assert heading.split() == ["PLACE", "ID", "NAME", "WAITS", "FOR", "SINCE"]
    assert "a worker that serves the pool 'gpu'; none is alive" in row
    assert [row["name"] for row in json.loads(run("queue", "--json")[1])] == ["first", "second", "elsewhere"]


def test_show_prints_the_job_as_text_json_or_spec(
    run: Any, job: dict[str, Any], client: Client, tmp_path: Path
) -> None:
    submitted = client.submit(job)
    code, out, err = run("show", submitted.id)
    assert code == 0
    assert [line.split() for line in out.splitlines()][2] == ["State", "queued"]
    assert any(line.startswith("Submitted") and line.endswith(" by tests") for line in out.splitlines())
    assert "learning_rate" in err
    assert json.loads(run("show", submitted.id, "--json")[1])["id"] == submitted.id
    (tmp_path / "again.json").write_text(run("show", submitted.id, "--spec")[1])
    assert client.get(run("submit", "again.json")[1].strip()).spec == submitted.spec


def test_show_prints_the_diagnosis_in_the_users_language(
    run: Any, job: dict[str, Any], service: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = client.submit({**job, "fit": {"epochs": 9}})
    worker = service.claim()
    assert "Diagnosis" not in run("show", submitted.id)[1]
    worker.epoch(1, 0.5)
    assert "Diagnosis  Too early to say" in run("show", submitted.id)[1]
    for epoch in range(2, 6):
        worker.epoch(epoch, 0.55 - epoch / 20)
    out = run("show", submitted.id)[1]
    assert "the network is still learning" in out
    assert "Epochs 1 to 5: loss falling (-0.05 per epoch), val_loss falling (-0.1 per epoch)" in out
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert "说明网络仍在学习" in run("show", submitted.id)[1]
    worker.finish()
    assert "说明网络仍在学习" in run("watch", submitted.id)[1]
