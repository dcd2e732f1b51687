"""The command line with a real service, through pipes: what scripts see."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitqueue import cli
from fitqueue.client import Client
from fitqueue.states import JobState, Phase, Reason


@pytest.fixture
def run(
    service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs one command line in an empty folder and returns its exit code, stdout and stderr."""
    monkeypatch.setenv("FITQUEUE_URL", service.url)
    monkeypatch.setenv("FITQUEUE_TOKEN", service.token)
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(arguments)
        return code, *capsys.readouterr()

    return command


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
    watcher.join(30)
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
    assert run("jobs", "--label", "n")[0] == 3


def test_show_prints_the_job_as_text_json_or_spec(
    run: Any, job: dict[str, Any], client: Client, tmp_path: Path
) -> None:
    submitted = client.submit(job)
    code, out, err = run("show", submitted.id)
    assert code == 0
    assert [line.split() for line in out.splitlines()][2] == ["State", "queued"]
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


def test_cancel_and_delete(run: Any, job: dict[str, Any], client: Client) -> None:
    ids = [client.submit(job).id for _ in range(2)]
    assert run("cancel", *ids) == (0, "", f"{ids[0]}: cancelled\n{ids[1]}: cancelled\n")
    assert run("delete", *ids)[0] == 0
    assert list(client.list()) == []
    code, _, err = run("cancel", ids[0])
    assert code == 3
    assert ids[0] in err or "no job" in err


def test_a_running_job_is_asked_to_stop(run: Any, job: dict[str, Any], service: Any, client: Client) -> None:
    submitted = client.submit(job)
    service.claim()
    assert run("cancel", submitted.id)[2] == f"{submitted.id}: asked to stop\n"
    assert run("delete", submitted.id)[0] == 3


def test_pause_and_resume(run: Any, job: dict[str, Any], service: Any, client: Client) -> None:
    waiting, running = (client.submit(job).id for _ in range(2))
    assert run("pause", waiting) == (0, "", f"{waiting}: paused\n")
    worker = service.claim()
    for _ in range(2):
        assert run("pause", running, waiting) == (0, "", f"{running}: asked to pause\n{waiting}: paused\n")
    assert ["State", "paused"] in [line.split() for line in run("show", waiting)[1].splitlines()]
    assert [row["id"] for row in json.loads(run("jobs", "--json", "--state", "paused")[1])] == [waiting]
    for _ in range(2):
        assert run("resume", running, waiting) == (0, "", f"{running}: running\n{waiting}: queued\n")
    worker.finish()
    for command in ("pause", "resume"):
        code, out, err = run(command, running)
        assert (code, out) == (3, "")
        assert err.startswith(f"Error: The job {running} has succeeded already")
        assert run(command, "job_none")[0] == run(command)[0] == 3


def test_an_error_for_one_job_does_not_keep_the_others_from_being_paused(
    run: Any, job: dict[str, Any], client: Client
) -> None:
    first, second = (client.submit(job).id for _ in range(2))
    code, _, err = run("pause", first, "job_none", second)
    assert (code, err) == (3, f"{first}: paused\nError: There is no job 'job_none'.\n{second}: paused\n")


@pytest.fixture
def ended(job: dict[str, Any], service: Any, client: Client) -> str:
    """A job that was stopped after the first of its three epochs."""
    submitted = client.submit(job)
    worker = service.claim()
    worker.epoch(1, 0.5)
    worker.snapshot(1)
    worker.finish(Reason.EARLY_STOPPED)
    return submitted.id


def test_extend_adds_epochs_to_an_ended_job(run: Any, ended: str, client: Client) -> None:
    remark = f"{ended}: queued, will train until epoch 5. Follow it: fitqueue watch {ended}\n"
    for _ in range(2):
        assert run("extend", ended, "--epochs", "2") == (0, "", remark)
    code, out, err = run("extend", ended, "--epochs", "3")
    assert (code, out) == (3, "")
    assert "it can be extended when it has ended" in err
    assert client.get(ended).progress.epochs == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["job_none", "--epochs", "1"], "no job"),
        (["job_none"], "Missing option '--epochs'"),
        (["--epochs", "1"], "Missing argument 'JOB'"),
        (["job_none", "--epochs", "0"], "0 is not in the range x>=1"),
        (["job_none", "--epochs", "many"], "'many' is not a valid integer"),
        (["job_none", "--epochs", "2000000"], "/epochs"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_invalid_extension_is_refused(run: Any, arguments: list[str], message: str) -> None:
    code, out, err = run("extend", *arguments)
    assert (code, out) == (3, "")
    assert message in err


@pytest.mark.parametrize(
    ("reason", "code"), [(Reason.COMPLETED, 0), (Reason.OUT_OF_MEMORY, 1), (Reason.CANCELLED_BY_USER, 2)]
)
def test_extend_and_wait_shows_the_whole_training(
    run: Any, ended: str, service: Any, client: Client, reason: Reason, code: int
) -> None:
    def play() -> None:
        while client.get(ended).state is not JobState.QUEUED:
            pass
        worker = service.claim()
        worker.epoch(2, 0.25)
        worker.finish(reason, "The training ended.")

    training = threading.Thread(target=play)
    training.start()
    exit_code, out, _ = run("extend", ended, "--epochs", "2", "--wait")
    training.join()
    lines = [line.split() for line in out.splitlines()]
    assert exit_code == code
    assert [line[:2] for line in lines if line[:1] == ["epoch"]] == [["epoch", "1/5"], ["epoch", "2/5"]]
    assert ["Reason", str(reason)] in lines
    assert ["Attempts", "2"] in lines


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
    assert run("logs", submitted.id, "-f")[1] == "Epoch 1\x1b[31m\ndone\n"

    assert "succeeded" in run("events", submitted.id, "-f")[1].splitlines()[-1]
    lines = run("events", submitted.id, "--json")[1].splitlines()
    assert [json.loads(line)["kind"] for line in lines[:2]] == ["submitted", "claimed"]


def test_data_sets_are_added_listed_shown_and_removed(run: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "letters.npz", x=np.zeros((5, 2), "float32"))
    code, out, err = run("dataset", "add", "letters.npz")
    assert code == 0
    assert '"dataset": "letters"' in err
    assert run("dataset", "add", "letters.npz")[1] == out
    assert "x 5×2 float32" in run("dataset", "show", "letters")[1]
    assert json.loads(run("dataset", "show", "letters", "--json")[1])["id"] == out.strip()
    assert any(line.startswith("letters") and "x 5×2" in line for line in run("dataset", "list")[1].splitlines())
    assert "letters" in [row["name"] for row in json.loads(run("dataset", "list", "--json")[1])]
    assert run("dataset", "remove", "letters")[0] == 0
    assert run("dataset", "show", "letters")[0] == 3


def test_workers_lists_what_they_are_training(run: Any, job: dict[str, Any], service: Any, client: Client) -> None:
    submitted = client.submit(job)
    service.claim()
    [_, row] = run("workers")[1].splitlines()
    assert row.split()[:5] == ["wk_1", "gpu-box", "alive", "default", "1/2"]
    assert json.loads(run("workers", "--json")[1])[0]["jobs"] == [submitted.id]
