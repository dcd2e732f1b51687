"""Says a word, and then nothing more, as a training that waits for a lock that nobody gives back."""

import threading

from says import begin


def main(pipes):
    begin(pipes)
    threading.Event().wait()
