"""Train hostile jobs, or random ones, and compare the memory that each takes with its estimate.

It exits with 1 if one took more than one and a half times its estimate.
"""

import argparse
import os
import statistics
import sys
from typing import Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

from benchmarks.memory_trial.jobs import hostile_jobs
from benchmarks.memory_trial.measuring import measure
from benchmarks.memory_trial.random_jobs import held_out_jobs

MOST: Final = 1.5
MAX_BYTES: Final = 64 * 1024**3
_MIB: Final = 2**20


def main() -> int:
    """Print a line for each job, and return the exit code."""
    arguments = _parse_arguments()
    import workers.model_check.check
    import workers.trainer.preload  # noqa: F401 -- once, for all children

    ratios: list[float] = []
    jobs = held_out_jobs(arguments.seed, arguments.random) if arguments.random else hostile_jobs()
    for name, body, arrays in jobs:
        if arguments.words and not any(word in name for word in arguments.words):
            continue
        measured = measure(body, arrays, MAX_BYTES)
        parts = {part: round(size / _MIB) for part, size in measured.estimate.items() if size > _MIB / 2}
        taken = "refused" if measured.peak is None else f"{measured.peak / _MIB:.0f} MiB"
        ratio = measured.ratio
        print(
            f"{name:42} {taken:>9} {ratio or 0:5.2f} of {parts} {measured.outcome} {measured.faults or ''}", flush=True
        )
        ratios += [ratio] if ratio is not None else []
    print(
        f"{len(ratios)} jobs trained; the most is {max(ratios):.2f} times the estimate, the least {min(ratios):.2f}, "
        f"the median {statistics.median(ratios):.2f}"
    )
    return int(max(ratios) > MOST)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory_trial", description=__doc__)
    parser.add_argument("words", nargs="*", help="train only the jobs with one of these words in their names")
    parser.add_argument("--random", type=int, default=0, metavar="COUNT", help="train as many random jobs instead")
    parser.add_argument("--seed", type=int, default=12, help="another one makes other random jobs (default: 12)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
