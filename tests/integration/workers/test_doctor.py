"""`fitqueue doctor`: what it says of a sound machine, and each of its checks seen to fail."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest
from sqlalchemy import create_engine, text

from fitqueue.cli import main
from fitqueue.errors import DatabaseOutdated, DatabaseUnavailable
from service.db import Database
from service.models import Checkpoint
from service.settings import Settings
from service.processes import free_port, redis_server
from service.storage import FolderStorage
from service.storage.keys import checkpoint_key
from service.store import datasets, jobs, workers
from service.store.leases import Lease
from workers.doctor import machine, services
from workers.doctor.checks import Check, CheckFailed, examine
from workers.doctor.command import secrets_of
from workers.doctor.training import SmokeTest
from workers.supervisor.devices import GPU

PASSWORD = "geheim-und-lang"
NOWHERE = "/proc/nowhere"  # not even root can make it

Doctor = Callable[..., tuple[int, dict[str, dict[str, Any]], str]]


@contextmanager
def running_redis(*options: str, host: str = "127.0.0.1") -> Iterator[str]:
    """Its address, without a password."""
    port = free_port(0)
    command = [redis_server(), "--port", str(port), "--bind", host, "--save", "", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        if b"eady to accept connections" in line:
            break
    try:
        yield f"{host}:{port}/0"
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Doctor:
    """Runs the command with these settings: its exit code, its findings by check, and all that it printed."""

    def run(**settings: Any) -> tuple[int, dict[str, dict[str, Any]], str]:
        defaults = {"store": tmp_path / "store", "work_dir": tmp_path / "work"}
        for name, value in (defaults | settings).items():
            monkeypatch.setenv(f"FITQUEUE_{name.upper()}", str(value))
        code = main(["doctor", "--json"])
        out, err = capfd.readouterr()
        return code, {found["check"]: found for found in json.loads(out)["checks"]}, out + err

    return run


def test_a_sound_machine(doctor: Doctor, sqlite_url: str, tmp_path: Path) -> None:
    with running_redis("--requirepass", PASSWORD) as address:
        code, found, printed = doctor(database_url=sqlite_url, redis_url=f"redis://:{PASSWORD}@{address}")
    assert {name: each["found"] for name, each in found.items() if each["state"] != "ok"} == {}
    assert code == 0
    assert list(found) == [
        "devices", "shared memory", "work directory", "file store", "database", "stored files", "clock", "redis",
        "workers", "fork_server", "all-reduce",
    ]  # fmt: skip
    assert "a child spoke" in found["fork_server"]["found"]
    assert "CPU:0, CPU:1 summed up" in found["all-reduce"]["found"]
    assert PASSWORD not in printed
    assert not (tmp_path / "store").exists()
    assert f"there is no folder {tmp_path}/store yet" in found["file store"]["found"]
    assert list((tmp_path / "work").iterdir()) == []
    assert not [each for each in psutil.process_iter(["cmdline"]) if _is_rehearsal_of_ours(each)]


def _is_rehearsal_of_ours(process: psutil.Process) -> bool:
    return "workers.doctor.smoke_test" in (process.info["cmdline"] or []) and process.ppid() == os.getpid()


def test_a_machine_on_which_nothing_works(doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken" / "tensorflow"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('no such wheel')")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    code, found, printed = doctor(
        database_url=f"postgresql://me:{PASSWORD}@127.0.0.1:1/db",
        redis_url=f"redis://:{PASSWORD}@127.0.0.1:1/0",
        store=NOWHERE,
        work_dir=NOWHERE,
    )
    assert code == 1
    states = {name: each["state"] for name, each in found.items()}
    assert states == {
        "devices": "ok",
        "shared memory": "ok",
        "work directory": "failed",
        "file store": "failed",
        "database": "failed",
        "stored files": "not_tried",
        "clock": "not_tried",
        "redis": "failed",
        "workers": "not_tried",
        "fork_server": "failed",
        "all-reduce": "not_tried",
    }
    assert all(each["advice"] for each in found.values() if each["state"] == "failed")
    assert "FITQUEUE_STORAGE" in found["file store"]["advice"]
    assert "refused" in found["database"]["found"]
    assert "refused" in found["redis"]["found"]
    assert PASSWORD not in printed


def test_a_line_for_each_check(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("workers.doctor.training.SmokeTest.fork_server", lambda *_: "ready")
    monkeypatch.setattr("workers.doctor.training.SmokeTest.all_reduce", lambda *_: "summed up")
    for name, value in (("STORE", NOWHERE), ("WORK_DIR", tmp_path), ("DATABASE_URL", f"sqlite:///{tmp_path}/none.db")):
        monkeypatch.setenv(f"FITQUEUE_{name}", str(value))
    monkeypatch.setenv("FITQUEUE_REDIS_URL", "redis://127.0.0.1:1/0")
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line[0] for line in lines] == ["✓", "✓", "✓", "✗", "✗", "-", "-", "✗", "-", "✓", "✓"]
    assert all(" → " in line for line in lines if line[0] == "✗")
    assert not (tmp_path / "none.db").exists(), "to look for a database must not make one"


# --- Each check ----------------------------------------------------------------------------------------------------


def test_a_check_that_hangs_ends_in_its_time() -> None:
    found = examine(Check("hangs", lambda: str(Event().wait()), "look", seconds=0.05), failed=[])
    assert (found.state, found.advice) == ("failed", "look")
    assert "no answer within 0.05 s" in found.found


def test_gpus_that_the_library_does_not_list(tmp_path: Path) -> None:
    assert "no GPU" in machine.devices([], tmp_path)
    (tmp_path / "nvidiactl").touch()
    assert "no GPU" in machine.devices([], tmp_path)
    (tmp_path / "nvidia0").touch()
    with pytest.raises(CheckFailed, match="nvidia0"):
        machine.devices([], tmp_path)
    assert machine.devices([GPU("GPU-1", "H100", used_bytes=0)], tmp_path).startswith("1 GPUs (H100)")


def test_too_little_shared_memory_for_several_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SHARED_BYTES", 2**60)
    assert machine.shared_memory(1, tmp_path)
    with pytest.raises(CheckFailed, match="NCCL wants") as raised:
        machine.shared_memory(2, tmp_path)
    assert "shm_size" in raised.value.advice


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "FREE_BYTES", 2**60)
    with pytest.raises(CheckFailed, match="are free"):
        machine.work_dir(tmp_path)


def test_a_store_that_gives_back_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FolderStorage, "open", lambda *_: iter([b"something else"]))
    with pytest.raises(CheckFailed, match="does not read back"):
        machine.file_store(FolderStorage(tmp_path))
    assert list(tmp_path.glob("artifacts*")) == []


def test_a_store_that_is_not_the_service_s(database: Database, make_spec: Callable[..., Any], tmp_path: Path) -> None:
    of_service, other = FolderStorage(tmp_path / "store"), FolderStorage(tmp_path / "other")
    assert services.stored_files(database, of_service) == "the database knows of none yet"
    key = checkpoint_key(Lease("job_1", attempt=1, worker_id="wk_1"), "weights.h5")
    (tmp_path / "file").write_bytes(b"weights")
    of_service.put(key, tmp_path / "file")
    with database.write() as session:
        job_id = jobs.create(session, make_spec(), []).id
        about = {"epoch": 1, "metrics": {}, "size": 7, "sha256": "0" * 64, "attempt": 1, "format": "weights.h5"}
        session.add(Checkpoint(job_id=job_id, name="last", storage_key=key, created_at=datetime.now(UTC), **about))
    assert services.stored_files(database, of_service) == f"{key}, which the database knows of, is there"
    with pytest.raises(CheckFailed, match=f"not the store of this database: it lacks {key}"):
        services.stored_files(database, other)


def test_a_store_that_lacks_the_uploads_of_the_service(database: Database, tmp_path: Path) -> None:
    of_service, other = FolderStorage(tmp_path / "store"), FolderStorage(tmp_path / "other")
    with database.write() as session:
        key = datasets.create(session, "ds_1", "mine", sha256="0" * 64, size=4, arrays=[])[0].storage_key
    (tmp_path / "file").write_bytes(b"data")
    of_service.put(key, tmp_path / "file")
    assert services.stored_files(database, of_service) == "datasets/ds_1.npz, which the database knows of, is there"
    with pytest.raises(CheckFailed, match=r"it lacks datasets/ds_1\.npz"):
        services.stored_files(database, other)


def test_the_folders_of_others_stay_in_a_store(tmp_path: Path) -> None:
    of_job = tmp_path / "artifacts" / "job_1"
    of_job.mkdir(parents=True)
    assert machine.file_store(FolderStorage(tmp_path)) == "a file was written, read back and deleted"
    assert list((tmp_path / "artifacts").iterdir()) == [of_job]


def test_a_database_without_its_migrations(database: Database, database_url: str) -> None:
    settings = Settings(database_url=database_url)
    assert "of version" in services.database(settings, database)
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with pytest.raises(DatabaseOutdated, match="0001"):
        services.database(settings, database)


def test_a_database_without_any_tables(empty_database_url: str) -> None:
    with closing(Database(empty_database_url)) as empty:
        with empty.read() as session:  # SQLite makes its file here
            session.execute(text("SELECT 1"))
        with pytest.raises(DatabaseUnavailable):
            services.database(Settings(database_url=empty_database_url), empty)


def test_a_clock_that_differs(new_postgres_database: Callable[[str | None], str]) -> None:
    url = new_postgres_database(None)
    with closing(Database(url)) as database:
        assert "s against the database's" in services.skew(database)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        for statement in (
            "CREATE SCHEMA shifted",
            "CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql"
            " AS $$ SELECT pg_catalog.clock_timestamp() + interval '90 seconds' $$",
            f"ALTER DATABASE {name} SET search_path = shifted, pg_catalog",
        ):
            connection.execute(text(statement))
    engine.dispose()
    with (
        closing(Database(url)) as database,
        pytest.raises(CheckFailed, match=r"\d+\.\d s behind the database's") as raised,
    ):
        services.skew(database)
    assert "NTP" in raised.value.advice


def test_a_redis_that_evicts() -> None:
    with running_redis("--maxmemory-policy", "allkeys-lru") as address:
        with pytest.raises(CheckFailed, match="allkeys-lru") as raised:
            services.redis(Settings(redis_url=f"redis://{address}"))
        assert "noeviction" in raised.value.advice


def test_a_wrong_password_of_redis() -> None:
    with running_redis("--requirepass", PASSWORD) as address:
        found = examine(
            Check("redis", lambda: services.redis(Settings(redis_url=f"redis://:no@{address}")), "look"), []
        )
    assert found.state == "failed"
    assert PASSWORD not in found.found


def test_a_redis_without_a_password_for_a_whole_network() -> None:
    addresses = [each.address for card in psutil.net_if_addrs().values() for each in card if each.family == 2]
    outside = next((address for address in addresses if not services.is_loopback(address)), None)
    if outside is None:
        pytest.skip("this machine has no address but its loopback's")
    with (
        running_redis("--protected-mode", "no", host=outside) as address,
        pytest.raises(CheckFailed, match="no password") as raised,
    ):
        services.redis(Settings(redis_url=f"redis://{address}"))
    assert "requirepass" in raised.value.advice


def test_the_other_workers_and_jobs_that_nobody_serves(
    database: Database, database_url: str, submit: Callable[..., str]
) -> None:
    settings = Settings(database_url=database_url, pools="default,large")  # type: ignore[arg-type]
    with database.write() as session:
        workers.register(session, "wk_1", host="h", pools=["default"], slots=1, devices=[], gpus=[])
    submit()
    submit(resources={"pool": "forgotten"})
    told = services.workers(settings, database)
    assert "would serve default, large; 1 live workers serve default" in told
    assert told.endswith("none of them serves: 1 in 'forgotten'")


def test_gpus_that_cannot_be_summed_over() -> None:
    with SmokeTest() as smoke_test:
        assert "a child spoke" in smoke_test.fork_server([GPU("GPU-of-nobody", "none", used_bytes=0)])
        with pytest.raises(RuntimeError, match="TensorFlow sees 0"):
            smoke_test.all_reduce()


def test_secrets_are_known_by_their_place_and_by_their_names() -> None:
    settings = Settings(database_url="postgresql://me:p%40ss@h/db", redis_url="redis://:ab@h/0")
    variables = {"AWS_SECRET_ACCESS_KEY": "very secret", "MAX_TOKENS": "10", "HOME": "/root"}
    assert set(secrets_of(settings, variables)) == {"p%40ss", "p@ss", "ab", "very secret"}
