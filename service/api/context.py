"""What a request has at hand: the parts that the application was made of."""

from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Final, cast

from flask import current_app, g

from service.checker import Checker
from service.dataset_cache import DatasetCache
from service.db import Database
from service.queue import Notifier
from service.settings import Settings
from service.storage import Storage

EXTENSION: Final = "fitqueue"
MAX_FOLLOWERS: Final = 48
"""Requests that may wait for news at the same time, each in a thread of the server's 64: the others stay free."""


@dataclass(frozen=True)
class Services:
    settings: Settings
    database: Database
    store: Storage
    datasets: DatasetCache
    notifier: Notifier
    checker: Checker | None
    """None: no job's model is checked before it runs."""
    followers: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(MAX_FOLLOWERS))


def services() -> Services:
    return cast(Services, current_app.extensions[EXTENSION])


def token_id() -> str:
    """Of the token that the request came with."""
    return cast(str, g.token_id)


def request_id() -> str:
    return cast(str, g.request_id)
