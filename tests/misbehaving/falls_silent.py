"""Sends one message and then nothing more, like a training that waits for a lock for ever."""

import threading

from child_kit import begin


def main(pipes):
    begin(pipes)
    threading.Event().wait()
