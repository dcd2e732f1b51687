"""Measure the memory (PSS) of the idle API and of one idle worker with its fork server, after a first job."""

import psutil

from benchmarks.common import report, running_stack


def pss_megabytes(pid: int) -> float:
    """Return the PSS of a process and all its descendants, which counts shared pages only once."""
    root = psutil.Process(pid)
    return float(sum(process.memory_full_info().pss for process in [root, *root.children(recursive=True)])) / 1e6


def api_process_megabytes(pid: int) -> float:
    """Return the PSS of the largest child of gunicorn's arbiter: the one that answers. The checker is its child."""
    workers = psutil.Process(pid).children()
    return max(float(process.memory_full_info().pss) for process in workers) / 1e6


def main() -> None:
    with running_stack() as (stack, _):
        worker = pss_megabytes(stack.processes["worker"].pid)
        api = api_process_megabytes(stack.processes["api"].pid)
    report(
        "memory",
        [("worker with fork server, idle", f"{worker:.0f} MB PSS"), ("API process, idle", f"{api:.0f} MB PSS")],
        {"worker_mb": worker, "api_mb": api},
    )


if __name__ == "__main__":
    main()
