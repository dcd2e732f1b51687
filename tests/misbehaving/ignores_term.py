"""Only KILL ends it."""

import signal
import threading

from says import begin


def main(pipes):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    begin(pipes)
    threading.Event().wait()
