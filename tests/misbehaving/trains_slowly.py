"""Trains as it should, with a pause after each snapshot."""

import time

from workers.trainer import resuming, run

SECONDS = 0.5


def main(pipes):
    take = resuming.Snapshots._take

    def take_and_wait(self, position):
        take(self, position)
        time.sleep(SECONDS)

    resuming.Snapshots._take = take_and_wait
    run.main(pipes)
