"""Sends the deliveries to webhooks that are due, and deletes old ones."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Final

from service.db import Database
from service.mail_server import parse_mail_server
from service.settings import Settings
from service.store import webhook_deliveries, webhook_leases
from service.store.webhook_leases import Leased
from service.webhooks.addresses import parse_networks
from service.webhooks.sender import Sender

_logger = logging.getLogger(__name__)

AT_ONCE: Final = 16
"""Deliveries that a worker sends at the same time, each in a thread that waits for the receiver."""


def deliver_due(database: Database, sender: Sender, stopping: Event) -> None:
    """Send what is due, until nothing is left or `stopping` is set. Several may do it at once.

    Raises:
        DatabaseUnavailable: what was sent before and not recorded is sent again.
    """
    while not stopping.is_set():
        leased = _lease(database)
        if not leased:
            return
        with ThreadPoolExecutor(len(leased), thread_name_prefix="webhook") as threads:
            # All are sent before the first failure is raised.
            list(threads.map(lambda one: _deliver(database, sender, one), leased))


def purge_deliveries(database: Database, stopping: Event) -> None:
    """Delete the deliveries that ended long ago, in steps, until none is left or `stopping` is set.

    Raises:
        DatabaseUnavailable: what was deleted before stays deleted.
    """
    while not stopping.is_set():
        with database.write() as session:
            if not webhook_deliveries.delete_old(session):
                return


def make_sender(settings: Settings) -> Sender:
    server = parse_mail_server(settings.smtp_url, settings.mail_from) if settings.smtp_url else None
    return Sender(parse_networks(settings.webhook_networks), server)


def _lease(database: Database) -> Sequence[Leased]:
    with database.read() as session:
        if not webhook_leases.any_due(session):
            return ()
    with database.write() as session:
        return webhook_leases.lease_due(session, AT_ONCE)


def _deliver(database: Database, sender: Sender, leased: Leased) -> None:
    message = leased.message
    outcome = sender.send(message)
    with database.write() as session:
        webhook_leases.record(session, leased, outcome)
    # Without the address, which may hold a secret.
    extra = {"delivery": message.id, "kind": str(message.kind), "status": outcome.status}
    _logger.info("A delivery was tried.", extra=extra)
