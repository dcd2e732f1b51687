"""Train a CNN on real handwritten digits through the service, and measure its best weights somewhere else.

`make demo` runs this with a service of its own; beside a running one: `python examples/digits_demo.py`.
"""

import subprocess
import sys
from pathlib import Path

from rich.console import Console

import fitqueue
from fitqueue.cli.screen import show_result, watch

EXAMPLES = Path(__file__).parent


def main() -> int:
    console = Console()
    client = fitqueue.Client()
    job = client.submit(EXAMPLES / "digits_cnn.json")
    console.print(f"Submitted [bold]{job.id}[/] to {client.url}: 1,437 images to train on, 360 to validate on.")
    job = watch(client, job.id, console)
    show_result(client, job, console)
    if job.state != "succeeded":
        return 1
    weights = client.download(job.id, "best", Path("var") / "digits.weights.h5")
    console.print(f"\nBest weights: {weights} ({weights.stat().st_size / 1e6:.1f} MB). Loading them into plain Keras …")
    # TensorFlow has much to say on stderr before it can be told not to; it is shown only if something went wrong.
    measured = subprocess.run(
        [sys.executable, EXAMPLES / "load_best_weights.py", weights], capture_output=True, text=True, check=False
    )
    console.print(measured.stdout.strip() or measured.stderr)
    return measured.returncode


if __name__ == "__main__":
    sys.exit(main())
