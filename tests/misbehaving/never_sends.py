"""Hangs before its first message, like a child of a damaged fork server."""

import threading


def main(pipes):
    threading.Event().wait()
