"""A worker that forks a child, prints its pid, and waits to be killed."""

import sys
from pathlib import Path

if __name__ == "__main__":
    from service import environment
    from workers.shared.protocol import Start
    from workers.supervisor.fork_server import ForkServer

    environment.drop_secrets()
    sys.path.insert(0, str(Path(__file__).parent / "children"))
    child = ForkServer("sends_progress").spawn()
    child.send(Start(job_id="j", attempt=1, spec={}, dataset_path=None, work_dir="", gpus=[], cpu_devices=1, threads=0))
    for _ in child.outputs(1.0):
        sys.stdout.write(f"{child.pid}\n")
        sys.stdout.flush()
        sys.stdin.read()
