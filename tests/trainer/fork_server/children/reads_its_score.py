"""Begins as every child does, and says how readily the kernel kills it when memory runs out."""

from pathlib import Path

from workers.shared.protocol import Ended
from workers.trainer.child import run_child


def main(pipes):
    run_child(
        pipes,
        lambda *_: Ended(reason="completed", message=Path("/proc/self/oom_score_adj").read_text().strip()),
    )
