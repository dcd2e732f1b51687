from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.api.context import EXTENSION, Services
from service.app import create_app
from service.db import Database
from service.settings import Settings
from service.store import leases, tokens
from service.store.leases import ClaimedJob


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    # Nothing listens on port 1: Redis is down in these tests, and nobody minds.
    return Settings(
        database_url=database_url,
        redis_url="redis://127.0.0.1:1/0",
        store=tmp_path / "store",
        max_body_bytes=100_000,
        max_dataset_bytes=1_000_000,
    )


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    app = create_app(settings)
    yield app
    app.extensions[EXTENSION].database.close()


@pytest.fixture
def services(app: Flask) -> Services:
    found: Services = app.extensions[EXTENSION]
    return found


@pytest.fixture
def token(database: Database) -> str:
    with database.write() as session:
        return tokens.create(session, name="tests")


@pytest.fixture
def http(app: Flask, token: str) -> FlaskClient:
    """Speaks with a valid token."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


@pytest.fixture
def stranger(app: Flask) -> FlaskClient:
    """Speaks without one."""
    return app.test_client()


@pytest.fixture
def take(database: Database) -> Callable[[], ClaimedJob]:
    def take() -> ClaimedJob:
        with database.write() as session:
            claimed = leases.claim(session, "w1", ["default"], [], 30)
        assert claimed is not None
        return claimed

    return take
