"""Dies only by SIGKILL."""

import signal
import threading

from child_kit import begin


def main(pipes):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    begin(pipes)
    threading.Event().wait()
