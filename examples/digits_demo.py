"""Train a CNN on handwritten digits through the service, then measure its best weights in plain Keras.

`make demo` starts a service, runs this program, and stops the service. To use a service that is already running:
`python examples/digits_demo.py`.
"""

import subprocess
import sys
from pathlib import Path

import fitqueue

EXAMPLES = Path(__file__).parent
FITQUEUE = Path(sys.executable).with_name("fitqueue")  # the command that is installed beside this Python


def main() -> int:
    client = fitqueue.Client()
    job = client.submit(EXAMPLES / "digits_cnn.json")
    print(f"Submitted {job.id} to {client.url}: 1,437 images to train on, 360 to validate on.", flush=True)
    watched = subprocess.run([FITQUEUE, "watch", job.id], check=False)  # `client.wait(job.id)` waits without a picture
    if watched.returncode:
        return watched.returncode
    weights = client.download(job.id, "best", Path("var") / "digits.weights.h5")
    print(
        f"\nBest weights: {weights} ({weights.stat().st_size / 1e6:.1f} MB). Loading them into plain Keras …",
        flush=True,
    )
    # TensorFlow prints a lot to stderr while it starts. It is shown only if something went wrong.
    measured = subprocess.run(
        [sys.executable, EXAMPLES / "load_best_weights.py", weights], capture_output=True, text=True, check=False
    )
    print(measured.stdout.strip() or measured.stderr)
    return measured.returncode


if __name__ == "__main__":
    sys.exit(main())
