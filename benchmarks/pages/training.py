"""Write what workers write while jobs train, as a process of its own: progress twice a second, an epoch every two.

`python -m benchmarks.pages.training DATABASE_URL EPOCH JOB_ID…` continues after this epoch, until it is ended.
"""

import sys
import time

from benchmarks.pages.rows import STEPS, record_epoch, record_progress
from service.db import Database
from service.store.leases import Lease

PROGRESS_SECONDS = 0.5
WRITES_AN_EPOCH = 4


def main(database_url: str, trained: str, *job_ids: str) -> None:
    database = Database(database_url)
    leases = [Lease(job_id, 1, "benchmark") for job_id in job_ids]
    pause = PROGRESS_SECONDS / len(leases)
    write, due = 0, time.monotonic()
    while True:
        epoch, part = divmod(write // len(leases), WRITES_AN_EPOCH)
        lease = leases[write % len(leases)]
        if part < WRITES_AN_EPOCH - 1:
            record_progress(database, lease, int(trained) + epoch, (part + 1) * STEPS // WRITES_AN_EPOCH)
        else:
            record_epoch(database, lease, int(trained) + epoch + 1)
        write, due = write + 1, due + pause
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main(*sys.argv[1:])
