"""Trains on whatever it is told, and dies by TERM."""

import threading

from says import begin


def main(pipes):
    begin(pipes)
    threading.Event().wait()
