"""Takes more and more memory, which it could get."""

import time

from child_kit import begin


def main(pipes):
    begin(pipes)
    taken = []
    while True:
        taken.append(bytearray(b"m") * (8 * 2**20))
        time.sleep(0.02)
