from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.api.context import EXTENSION, Services
from service.app import create_app
from service.db import Database
from service.settings import Settings
from service.store import leases, tokens
from service.store.leases import ClaimedJob, Lease
from tests.integration.fixture_types import Claim, Submit


@pytest.fixture
def storage_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "storage"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(database_url: str, storage_folder: Path) -> Settings:
    # Nothing listens on port 1: these tests run without Redis, which must not matter.
    return Settings(
        database_url=database_url,
        redis_url="redis://127.0.0.1:1/0",
        storage=storage_folder,
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
    services: Services = app.extensions[EXTENSION]
    return services


@pytest.fixture
def token(database: Database) -> str:
    with database.write() as session:
        return tokens.create(session, name="tests")


@pytest.fixture
def http(app: Flask, token: str) -> FlaskClient:
    """A client that sends a valid token."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


@pytest.fixture
def stranger(app: Flask) -> FlaskClient:
    """A client that sends no token."""
    return app.test_client()


@pytest.fixture
def claim(database: Database) -> Claim:
    """A function that claims the next job, of which there must be one."""

    def claim() -> ClaimedJob:
        with database.write() as session:
            claimed = leases.claim(session, "w1", ["default"], [], 30)
        assert claimed is not None
        return claimed

    return claim


@pytest.fixture
def lease(submit: Submit, claim: Claim) -> Lease:
    """The lease of a running job with many epochs."""
    submit(fit={"epochs": 1000})
    return claim().lease


@pytest.fixture
def url(lease: Lease) -> str:
    """The address of the running job."""
    return f"/api/v1/jobs/{lease.job_id}"
