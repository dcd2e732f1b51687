"""The doctor's checks of what a worker shares with others: the database, the storage, Redis, other workers.

Each returns a detail for people, or raises.
"""

import ipaddress
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from service import clock, migrate
from service.db import Database, sqlite_file
from service.queue import make_celery
from service.settings import Settings
from service.storage import Storage
from service.storage_marking import newest_file
from service.store import gauges
from workers.doctor.checks import CheckFailed

MAX_SKEW_SECONDS: Final = 5.0

_EVICTION_POLICY: Final = "noeviction"


def check_database(settings: Settings, database: Database) -> str:
    """Check that it can be read and has the tables of this version."""
    file = sqlite_file(settings.database_url)
    if file is not None and not file.is_file():  # connecting would create it
        raise CheckFailed(f"the file {file} does not exist", "set FITQUEUE_DATABASE_URL, or run `fitqueue migrate`")
    with database.read() as session:
        version = migrate.verify_version(session)
    address = file or urlsplit(settings.database_url).hostname or "a local socket"
    return f"{address}: its tables have version {version}"


def check_stored_files(database: Database, storage: Storage) -> str:
    """Check that this is the storage that the database refers to, and not another folder or bucket."""
    file = newest_file(database, storage)
    if file is None:
        return "the database does not refer to any files yet"
    if not file.is_stored:
        raise CheckFailed(
            f"this is not the storage of this database: it lacks {file.key}",
            "FITQUEUE_STORAGE must be the same everywhere; check that the folder is mounted here",
        )
    return f"it has {file.key}, which the database refers to"


def check_clock(database: Database) -> str:
    with database.read() as session:
        before = datetime.now(UTC)
        database_time = clock.now(session)
        after = datetime.now(UTC)
    ahead = (before + (after - before) / 2 - database_time).total_seconds()
    uncertainty = (after - before).total_seconds() / 2
    if abs(ahead) - uncertainty > MAX_SKEW_SECONDS:
        raise CheckFailed(
            f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} the database's",
            "synchronize both machines with NTP; until then, times in logs are wrong and S3 may refuse signatures",
        )
    return f"{ahead:+.2f} s compared to the database's"


def check_redis(settings: Settings) -> str:
    """Check it through the connection that notifications use."""
    address = urlsplit(settings.redis_url)
    with make_celery(settings.redis_url).connection_for_write() as connection:
        memory = connection.default_channel.client.info("memory")
    policy = memory.get("maxmemory_policy", "unknown")
    if policy != _EVICTION_POLICY:
        raise CheckFailed(
            f"its maxmemory-policy is {policy}, so it may lose notifications",
            f"start it with `--maxmemory-policy {_EVICTION_POLICY}`",
        )
    if address.password is None and not is_loopback(address.hostname or "localhost"):
        raise CheckFailed(
            f"{address.hostname} needs no password: anybody in its network can send messages that break workers",
            "start it with `--requirepass`, and put the password into FITQUEUE_REDIS_URL",
        )
    return f"{address.hostname}:{address.port or 6379} answers, and evicts nothing"


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_workers(settings: Settings, database: Database) -> str:
    """Describe the other workers. This never fails: a pool without workers may be why this one is started."""
    with database.read() as session:
        current = gauges.read(session, settings.lease_seconds)
    served = {pool for worker in current.workers for pool in worker.pools}
    unserved = [f"{queue.length} in '{pool}'" for pool, queue in current.queues.items() if pool not in served]
    others = f"{len(current.workers)} live workers serve {', '.join(sorted(served)) or 'no pool'}"
    queued = f"; jobs are queued in pools that none of them serves: {', '.join(unserved)}" if unserved else ""
    return f"this worker would serve {', '.join(settings.pools)}; {others}{queued}"
