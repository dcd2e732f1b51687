"""Hangs before its first word, as a child of an unsound nursery does."""

import threading


def main(pipes):
    threading.Event().wait()
