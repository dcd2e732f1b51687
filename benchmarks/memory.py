"""Proportional set size (PSS) of the idle API, and of one idle worker with its nursery, after a first job."""

import psutil

from benchmarks.common import report, running_stack


def pss_megabytes(pid: int) -> float:
    """PSS of a process and all below it: pages that several share are counted once between them."""
    root = psutil.Process(pid)
    return float(sum(process.memory_full_info().pss for process in [root, *root.children(recursive=True)])) / 1e6


def api_process_megabytes(pid: int) -> float:
    """The largest process right below gunicorn's arbiter: the one that answers. Its checker is below it."""
    workers = psutil.Process(pid).children()
    return max(float(process.memory_full_info().pss) for process in workers) / 1e6


def main() -> None:
    with running_stack() as (stack, _):
        worker = pss_megabytes(stack.processes["worker"].pid)
        api = api_process_megabytes(stack.processes["api"].pid)
    report(
        "memory",
        [("worker with nursery, idle", f"{worker:.0f} MB PSS"), ("API process, idle", f"{api:.0f} MB PSS")],
        {"worker_mb": worker, "api_mb": api},
    )


if __name__ == "__main__":
    main()
