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
    def start(self):
        sys.exit(str(sorted(str(path.parent.name) for path in Path(sys.argv[1]).glob("*/alive.*"))))
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


def test_only_the_directory_of_a_killed_worker_is_abandoned(tmp_path: Path) -> None:
    dead, alive = start_worker(tmp_path, "wk_dead"), start_worker(tmp_path, "wk_alive")
    with own_directory(tmp_path, "wk_self"):
        assert abandoned(tmp_path) == []
        dead.kill()
        dead.wait()
        assert abandoned(tmp_path) == [tmp_path / "wk_dead"]
    alive.communicate()
    assert not (tmp_path / "wk_alive").exists()


def test_a_directory_that_is_not_a_worker_s_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "file").touch()
    assert abandoned(tmp_path) == []


def test_a_starting_worker_removes_the_liveness_file_of_its_dead_predecessor(tmp_path: Path) -> None:
    dead, alive = start_worker(tmp_path, "wk_dead"), start_worker(tmp_path, "wk_alive")
    for worker_id in ("wk_dead", "wk_alive"):
        (tmp_path / worker_id / "alive.host").touch()
    dead.kill()
    dead.wait()
    started = subprocess.run(
        [sys.executable, "-c", START_UNTIL_THE_FORK_SERVER, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        env=os.environ | {"FITQUEUE_WORK_DIR": str(tmp_path), "FITQUEUE_STORAGE": str(tmp_path / "storage")},
        capture_output=True,
        text=True,
    )
    assert started.stderr.splitlines()[-1] == "['wk_alive']"
    alive.communicate()
