"""Ignores the message `stop`, and dies by SIGTERM."""

import threading

from child_kit import begin


def main(pipes):
    begin(pipes)
    threading.Event().wait()
