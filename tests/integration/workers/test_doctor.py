"""`fitqueue doctor`: its results on a healthy machine, and each of its checks seen to fail."""

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
from service import migrate
from service.db import Database
from service.models import Checkpoint
from service.processes import free_port, redis_server
from service.settings import Settings
from service.storage import FolderStorage
from service.storage.keys import checkpoint_key
from service.store import datasets, jobs, workers
from tests.storages import new_storage
from workers.doctor import machine, services
from workers.doctor.checks import Check, CheckFailed, run_check
from workers.doctor.command import find_secrets
from workers.doctor.training import SmokeTest
from workers.supervisor.devices import GPU

PASSWORD = "geheim-und-lang"
NOWHERE = "/proc/nowhere"  # not even root can create it

Doctor = Callable[..., tuple[int, dict[str, dict[str, Any]], str]]


@contextmanager
def running_redis(*options: str, host: str = "127.0.0.1") -> Iterator[str]:
    """Run a Redis; yield its address, without a password."""
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
    """Run the command with these settings; return its exit code, its results by check, and everything it printed."""

    def run(**settings: Any) -> tuple[int, dict[str, dict[str, Any]], str]:
        defaults = {"storage": tmp_path / "storage", "work_dir": tmp_path / "work"}
        for name, value in (defaults | settings).items():
            monkeypatch.setenv(f"FITQUEUE_{name.upper()}", str(value))
        code = main(["doctor", "--json"])
        out, err = capfd.readouterr()
        return code, {result["check"]: result for result in json.loads(out)["checks"]}, out + err

    return run


def test_a_healthy_machine(doctor: Doctor, sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "storage").mkdir()
    with running_redis("--requirepass", PASSWORD) as address:
        code, results, printed = doctor(database_url=sqlite_url, redis_url=f"redis://:{PASSWORD}@{address}")
    assert {name: result["detail"] for name, result in results.items() if result["state"] != "ok"} == {}
    assert code == 0
    assert list(results) == [
        "devices", "shared memory", "work directory", "storage", "database", "stored files", "clock", "redis",
        "workers", "fork server", "all-reduce",
    ]  # fmt: skip
    assert "a child sent a message" in results["fork server"]["detail"]
    assert "CPU:0, CPU:1 summed up" in results["all-reduce"]["detail"]
    assert PASSWORD not in printed
    assert list((tmp_path / "storage").iterdir()) == []
    assert list((tmp_path / "work").iterdir()) == []
    assert not [process for process in psutil.process_iter(["cmdline"]) if _is_our_smoke_test(process)]


def _is_our_smoke_test(process: psutil.Process) -> bool:
    return "workers.doctor.smoke_test" in (process.info["cmdline"] or []) and process.ppid() == os.getpid()


def test_a_machine_on_which_nothing_works(doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken" / "tensorflow"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('no such wheel')")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    code, results, printed = doctor(
        database_url=f"postgresql://me:{PASSWORD}@127.0.0.1:1/db",
        redis_url=f"redis://:{PASSWORD}@127.0.0.1:1/0",
        storage=NOWHERE,
        work_dir=NOWHERE,
    )
    assert code == 1
    states = {name: result["state"] for name, result in results.items()}
    assert states == {
        "devices": "ok",
        "shared memory": "ok",
        "work directory": "failed",
        "storage": "failed",
        "database": "failed",
        "stored files": "skipped",
        "clock": "skipped",
        "redis": "failed",
        "workers": "skipped",
        "fork server": "failed",
        "all-reduce": "skipped",
    }
    assert all(result["advice"] for result in results.values() if result["state"] == "failed")
    assert "FITQUEUE_STORAGE" in results["storage"]["advice"]
    assert "refused" in results["database"]["detail"]
    assert "refused" in results["redis"]["detail"]
    assert PASSWORD not in printed


def test_a_line_for_each_check(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("workers.doctor.training.SmokeTest.fork_server", lambda *_: "ready")
    monkeypatch.setattr("workers.doctor.training.SmokeTest.all_reduce", lambda *_: "summed up")
    for name, value in (
        ("STORAGE", NOWHERE),
        ("WORK_DIR", tmp_path),
        ("DATABASE_URL", f"sqlite:///{tmp_path}/none.db"),
    ):
        monkeypatch.setenv(f"FITQUEUE_{name}", str(value))
    monkeypatch.setenv("FITQUEUE_REDIS_URL", "redis://127.0.0.1:1/0")
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line[0] for line in lines] == ["✓", "✓", "✓", "✗", "✗", "-", "-", "✗", "-", "✓", "✓"]
    assert all(" → " in line for line in lines if line[0] == "✗")
    assert not (tmp_path / "none.db").exists(), "looking for a database must not create one"


# --- Each check ----------------------------------------------------------------------------------------------------


def test_a_hanging_check_fails_after_its_timeout() -> None:
    result = run_check(Check("hangs", lambda: str(Event().wait()), "look", timeout=0.05), failed=[])
    assert (result.state, result.advice) == ("failed", "look")
    assert "no answer within 0.05 s" in result.detail


def test_gpus_that_the_library_does_not_list(tmp_path: Path) -> None:
    assert "no GPU" in machine.check_devices([], tmp_path)
    (tmp_path / "nvidiactl").touch()
    assert "no GPU" in machine.check_devices([], tmp_path)
    (tmp_path / "nvidia0").touch()
    with pytest.raises(CheckFailed, match="nvidia0"):
        machine.check_devices([], tmp_path)
    assert machine.check_devices([GPU("GPU-1", "H100", used_bytes=0)], tmp_path).startswith("1 GPUs (H100)")


def test_too_little_shared_memory_for_several_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MIN_SHARED_BYTES", 2**60)
    assert machine.check_shared_memory(1, tmp_path)
    with pytest.raises(CheckFailed, match="NCCL needs") as raised:
        machine.check_shared_memory(2, tmp_path)
    assert "shm_size" in raised.value.advice


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MIN_FREE_BYTES", 2**60)
    with pytest.raises(CheckFailed, match="are free"):
        machine.check_work_dir(tmp_path)


def test_a_storage_that_returns_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FolderStorage, "open", lambda *_: iter([b"something else"]))
    with pytest.raises(CheckFailed, match="does not read back"):
        machine.check_storage(FolderStorage(tmp_path))
    assert list(tmp_path.glob("artifacts*")) == []


def test_a_storage_that_is_not_the_database_s(
    database: Database, make_spec: Callable[..., Any], tmp_path: Path
) -> None:
    own, other = new_storage(tmp_path / "storage"), new_storage(tmp_path / "other")
    assert services.check_stored_files(database, own) == "the database does not refer to any files yet"
    key = checkpoint_key("job_1", 1, "weights.h5")
    (tmp_path / "file").write_bytes(b"weights")
    own.put(key, tmp_path / "file")
    with database.write() as session:
        job_id = jobs.create(session, make_spec(), []).id
        columns = {"epoch": 1, "metrics": {}, "size": 7, "sha256": "0" * 64, "attempt": 1, "format": "weights.h5"}
        session.add(Checkpoint(job_id=job_id, name="last", storage_key=key, created_at=datetime.now(UTC), **columns))
    assert services.check_stored_files(database, own) == f"it has {key}, which the database refers to"
    with pytest.raises(CheckFailed, match=f"not the storage of this database: it lacks {key}"):
        services.check_stored_files(database, other)


def test_a_storage_that_lacks_uploaded_data_sets(database: Database, tmp_path: Path) -> None:
    own, other = new_storage(tmp_path / "storage"), new_storage(tmp_path / "other")
    with database.write() as session:
        key = datasets.create(session, "ds_1", "mine", sha256="0" * 64, size=4, arrays={})[0].storage_key
    (tmp_path / "file").write_bytes(b"data")
    own.put(key, tmp_path / "file")
    assert services.check_stored_files(database, own) == "it has datasets/ds_1.npz, which the database refers to"
    with pytest.raises(CheckFailed, match=r"it lacks datasets/ds_1\.npz"):
        services.check_stored_files(database, other)


def test_other_folders_of_a_storage_are_kept(tmp_path: Path) -> None:
    folder_of_job = tmp_path / "artifacts" / "job_1"
    folder_of_job.mkdir(parents=True)
    assert machine.check_storage(FolderStorage(tmp_path)) == "a file was written, read back and deleted"
    assert list((tmp_path / "artifacts").iterdir()) == [folder_of_job]


def test_a_database_without_its_migrations(database: Database, database_url: str) -> None:
    settings = Settings(database_url=database_url)
    assert "its tables have version" in services.check_database(settings, database)
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(DatabaseOutdated, match=f"have version 0000; expected {migrate.HEAD}: run `fitqueue migrate`"):
        services.check_database(settings, database)


def test_a_database_without_any_tables(empty_database_url: str) -> None:
    with closing(Database(empty_database_url)) as empty:
        with empty.read() as session:  # SQLite creates its file here
            session.execute(text("SELECT 1"))
        with pytest.raises(DatabaseUnavailable):
            services.check_database(Settings(database_url=empty_database_url), empty)


def test_a_clock_that_differs(new_postgres_database: Callable[[str | None], str]) -> None:
    url = new_postgres_database(None)
    with closing(Database(url)) as database:
        assert "s compared to the database's" in services.check_clock(database)
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
        services.check_clock(database)
    assert "NTP" in raised.value.advice


def test_a_redis_that_evicts() -> None:
    with running_redis("--maxmemory-policy", "allkeys-lru") as address:
        with pytest.raises(CheckFailed, match="allkeys-lru") as raised:
            services.check_redis(Settings(redis_url=f"redis://{address}"))
        assert "noeviction" in raised.value.advice


def test_a_wrong_password_of_redis() -> None:
    with running_redis("--requirepass", PASSWORD) as address:
        result = run_check(
            Check("redis", lambda: services.check_redis(Settings(redis_url=f"redis://:no@{address}")), "look"), []
        )
    assert result.state == "failed"
    assert PASSWORD not in result.detail


def test_a_redis_without_a_password_for_a_whole_network() -> None:
    addresses = [entry.address for card in psutil.net_if_addrs().values() for entry in card if entry.family == 2]
    reachable = next((address for address in addresses if not services.is_loopback(address)), None)
    if reachable is None:
        pytest.skip("this machine has only loopback addresses")
    with (
        running_redis("--protected-mode", "no", host=reachable) as address,
        pytest.raises(CheckFailed, match="needs no password") as raised,
    ):
        services.check_redis(Settings(redis_url=f"redis://{address}"))
    assert "requirepass" in raised.value.advice


def test_other_workers_and_jobs_that_none_of_them_serves(
    database: Database, database_url: str, submit: Callable[..., str]
) -> None:
    settings = Settings(database_url=database_url, pools="default,large")  # type: ignore[arg-type]
    with database.write() as session:
        workers.register(session, "wk_1", host="h", pools=["default"], slots=1, devices=[], gpus=[])
    submit()
    submit(resources={"pool": "forgotten"})
    detail = services.check_workers(settings, database)
    assert "would serve default, large; 1 live workers serve default" in detail
    assert detail.endswith("none of them serves: 1 in 'forgotten'")


def test_gpus_that_tensorflow_does_not_see() -> None:
    with SmokeTest() as smoke_test:
        assert "a child sent a message" in smoke_test.fork_server([GPU("GPU-of-nobody", "none", used_bytes=0)])
        with pytest.raises(RuntimeError, match="TensorFlow sees 0"):
            smoke_test.all_reduce()


def test_secrets_are_found_in_addresses_and_by_the_names_of_variables() -> None:
    settings = Settings(database_url="postgresql://me:p%40ss@h/db", redis_url="redis://:ab@h/0")
    variables = {"AWS_SECRET_ACCESS_KEY": "very secret", "MAX_TOKENS": "10", "HOME": "/root"}
    assert set(find_secrets(settings, variables)) == {"p%40ss", "p@ss", "ab", "very secret"}
