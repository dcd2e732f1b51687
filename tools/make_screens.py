"""Draw `docs/screen-*.svg`, screens of the command line: `python -m tools.make_screens`.

It starts the service and trains networks on handwritten digits; then it runs the commands in a terminal.
"""

import copy
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fitqueue
from service.stack import Stack
from tools.terminal_picture import run_in_terminal, save_picture

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PROGRAM = Path(sys.executable).with_name("fitqueue")
EXAMPLE = ROOT / "examples" / "digits_cnn.json"
WIDTH = 84
RATES = {"cnn-fast": 0.003, "cnn-slow": 0.0003}
PICTURES = {
    "screen-jobs.svg": [["fitqueue", "jobs"], ["fitqueue", "queue"], ["fitqueue", "workers"]],
    "screen-compare.svg": [["fitqueue", "compare", *RATES, "--metric", "val_loss"]],
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), port=0, echo=print) as stack:
        os.environ.update(FITQUEUE_URL=stack.url, FITQUEUE_TOKEN=stack.token)
        client = fitqueue.Client(stack.url, stack.token)
        for name, rate in RATES.items():
            client.wait(client.submit(_job(name, rate, 16)).id)
        running = client.submit(_job("cnn", 0.001, 200)).id
        next(job for job in client.watch(running) if job.progress.epoch >= 5 and job.progress.eta_seconds)
        waiting = [client.submit(_job(name, 0.001, 40)).id for name in ("cnn-wide", "cnn-deep")]
        for file, commands in PICTURES.items():
            save_picture(DOCS / file, [line for command in commands for line in _shown(command)], WIDTH)
        for job_id in (*waiting, running):
            client.cancel(job_id)


def _job(name: str, rate: float, epochs: int) -> dict[str, Any]:
    """Return the example with another learning rate, and without the callback that would end it early."""
    job: dict[str, Any] = copy.deepcopy(json.loads(EXAMPLE.read_text()))
    job |= {"name": name, "labels": {}}
    job["fit"]["epochs"] = epochs
    job["compile"]["optimizer"]["config"]["lr"] = rate
    job["callbacks"] = [each for each in job["callbacks"] if each["class_name"] == "ReduceLROnPlateau"]
    return job


def _shown(command: Sequence[str]) -> list[str]:
    """Run a command; return the line that was typed, what it showed, and an empty line."""
    shown = run_in_terminal([str(PROGRAM), *command[1:]], WIDTH)
    return [f"\x1b[1m$ {' '.join(command)}\x1b[0m", *shown.rstrip("\n").split("\n"), ""]


if __name__ == "__main__":
    main()
