import os
import subprocess
import sys
from pathlib import Path

from workers.supervisor.reaper import abandoned, own_directory

LIVE_UNTIL_STDIN_CLOSES = """
import sys
from pathlib import Path
from workers.supervisor.reaper import own_directory
with own_directory(Path(sys.argv[1]), sys.argv[2]) as directory:
    (directory / "job_1.1").mkdir()
    print("ready", flush=True)
    sys.stdin.read()
"""

START_UNTIL_THE_FORK_SERVER = """
import sys
from pathlib import Path
from workers.supervisor import worker
class ForkServer:
    def __init__(self, trainer):
        pass
    def open(self):
        sys.exit(str(sorted(str(pulse.parent.name) for pulse in Path(sys.argv[1]).glob("*/alive.*"))))
worker.ForkServer = ForkServer
worker.main()
"""


def start_worker(work_dir: Path, worker_id: str) -> "subprocess.Popen[str]":
    worker = subprocess.Popen(
        [sys.executable, "-c", LIVE_UNTIL_STDIN_CLOSES, str(work_dir), worker_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    return worker


def test_the_directory_of_a_killed_worker_is_found_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    dead, alive = start_worker(tmp_path, "wk_dead"), start_worker(tmp_path, "wk_alive")
    with own_directory(tmp_path, "wk_self"):
        assert abandoned(tmp_path) == []
        dead.kill()
        dead.wait()
        assert abandoned(tmp_path) == [tmp_path / "wk_dead"]
    alive.communicate()
    assert not (tmp_path / "wk_alive").exists()


def test_what_is_no_workers_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "file").touch()
    assert abandoned(tmp_path) == []


def test_a_worker_that_loads_tensorflow_is_not_taken_for_ready_by_the_pulse_of_one_before(tmp_path: Path) -> None:
    dead, alive = start_worker(tmp_path, "wk_dead"), start_worker(tmp_path, "wk_alive")
    for worker_id in ("wk_dead", "wk_alive"):
        (tmp_path / worker_id / "alive.host").touch()
    dead.kill()
    dead.wait()
    started = subprocess.run(
        [sys.executable, "-c", START_UNTIL_THE_FORK_SERVER, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        env=os.environ | {"FITQUEUE_WORK_DIR": str(tmp_path), "FITQUEUE_STORAGE": str(tmp_path / "store")},
        capture_output=True,
        text=True,
    )
    assert started.stderr.splitlines()[-1] == "['wk_alive']"
    alive.communicate()
