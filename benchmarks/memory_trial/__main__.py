"""Train the hostile jobs and compare the memory of each with its estimate: `python -m benchmarks.memory_trial [WORD…]`.

Only jobs with one of the words in their names are trained, if there are any. It exits with 1 if one took more than one
and a half times its estimate.
"""

import os
import sys
from typing import Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

from benchmarks.memory_trial.jobs import hostile_jobs
from benchmarks.memory_trial.measuring import measure

MOST: Final = 1.5
MAX_BYTES: Final = 64 * 1024**3
_MIB: Final = 2**20


def main(words: list[str]) -> int:
    """Print a line for each job, and return the exit code."""
    import workers.model_check.check
    import workers.trainer.preload  # noqa: F401 -- once, for all children

    ratios: list[float] = []
    for name, body, arrays in hostile_jobs():
        if words and not any(word in name for word in words):
            continue
        measured = measure(body, arrays, MAX_BYTES)
        parts = {part: round(size / _MIB) for part, size in measured.estimate.items() if size > _MIB / 2}
        taken = "refused" if measured.peak is None else f"{measured.peak / _MIB:.0f} MiB"
        ratio = measured.ratio
        print(
            f"{name:42} {taken:>9} {ratio or 0:5.2f} of {parts} {measured.outcome} {measured.faults or ''}", flush=True
        )
        ratios += [ratio] if ratio is not None else []
    print(f"{len(ratios)} jobs trained; the most is {max(ratios):.2f} times the estimate, the least {min(ratios):.2f}")
    return int(max(ratios) > MOST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
