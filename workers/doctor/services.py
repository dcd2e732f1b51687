"""The checks of what a worker shares with others: the database, Redis, the other workers."""

import ipaddress
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from service import clock, migrate
from service.db import Database, sqlite_file
from service.queue import make_celery
from service.settings import Settings
from service.storage import Storage
from service.store import checkpoints, datasets, gauges
from workers.doctor.checks import CheckFailed

SKEW_SECONDS: Final = 5.0

_POLICY: Final = "noeviction"


def database(settings: Settings, opened: Database) -> str:
    """Whether it can be read and has the tables of this version."""
    file = sqlite_file(settings.database_url)
    if file is not None and not file.is_file():  # to look would make one
        raise CheckFailed(f"there is no file {file}", "set FITQUEUE_DATABASE_URL, or run `fitqueue migrate`")
    with opened.read() as session:
        version = migrate.check(session)
    where = file or urlsplit(settings.database_url).hostname or "a local socket"
    return f"{where}: its tables are of version {version}"


def stored_files(opened: Database, store: Storage) -> str:
    """Whether the store is the one whose files the database knows, and not another folder or bucket."""
    missing = None
    while True:
        with opened.read() as session:
            key = checkpoints.newest_key(session) or datasets.newest_key(session)
        if key is None:
            return "the database knows of none yet"
        if key == missing:
            raise CheckFailed(
                f"this is not the store of this database: it lacks {key}",
                "FITQUEUE_STORAGE must be the same everywhere; see whether the folder is mounted here",
            )
        try:
            store.size(key)
        except FileNotFoundError:
            missing = key  # or a better one replaced it at this moment
        else:
            return f"{key}, which the database knows of, is there"


def skew(opened: Database) -> str:
    with opened.read() as session:
        before = datetime.now(UTC)
        theirs = clock.now(session)
        after = datetime.now(UTC)
    ahead = (before + (after - before) / 2 - theirs).total_seconds()
    uncertain = (after - before).total_seconds() / 2
    if abs(ahead) - uncertain > SKEW_SECONDS:
        raise CheckFailed(
            f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} the database's",
            "have both machines keep time by NTP; until then times in logs are wrong, and S3 may refuse signatures",
        )
    return f"{ahead:+.2f} s against the database's"


def redis(settings: Settings) -> str:
    """Asked in the way in which a worker rings."""
    address = urlsplit(settings.redis_url)
    with make_celery(settings.redis_url).connection_for_write() as connection:
        memory = connection.default_channel.client.info("memory")
    policy = memory.get("maxmemory_policy", "unknown")
    if policy != _POLICY:
        raise CheckFailed(
            f"its maxmemory-policy is {policy}: it may forget bells",
            f"start it with `--maxmemory-policy {_POLICY}`",
        )
    if address.password is None and not is_loopback(address.hostname or "localhost"):
        raise CheckFailed(
            f"{address.hostname} asks for no password: anybody in its network can send workers what they cannot read",
            "start it with `--requirepass`, and put the password into FITQUEUE_REDIS_URL",
        )
    return f"{address.hostname}:{address.port or 6379} answers, and evicts nothing"


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def workers(settings: Settings, opened: Database) -> str:
    """Never fails: a pool without workers may be what this one is started for."""
    with opened.read() as session:
        found = gauges.read(session, settings.lease_seconds)
    served = {pool for worker in found.workers for pool in worker.pools}
    unserved = [f"{queue.length} in '{pool}'" for pool, queue in found.queues.items() if pool not in served]
    by_others = f"{len(found.workers)} live workers serve {', '.join(sorted(served)) or 'none'}"
    waiting = f"; jobs wait that none of them serves: {', '.join(unserved)}" if unserved else ""
    return f"this one would serve {', '.join(settings.pools)}; {by_others}{waiting}"
