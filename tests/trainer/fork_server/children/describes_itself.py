"""Prints what a child is made of, as one line of JSON."""

import json
import os
import signal
import sys

from workers.trainer import stdio

ASKED = ("celery", "kombu", "redis", "sqlalchemy", "flask", "service", "pytest", "tensorflow", "keras")


def main(pipes):
    stdio.capture(pipes.stdout, pipes.stderr)
    os.write(2, b"native words\n")
    tells = {
        "modules": [name for name in ASKED if name in sys.modules],
        "environment": dict(os.environ),
        "sigint": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
        "parent": os.getppid(),
        "main": getattr(sys.modules["__main__"], "__file__", None),
    }
    sys.stdout.write(json.dumps(tells) + "\n")
    stdio.flush()
    os._exit(7)
