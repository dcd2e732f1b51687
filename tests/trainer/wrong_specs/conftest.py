"""An API with a real model checker and a database of its own, without a worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from service.api.context import EXTENSION
from service.app import create_app
from service.checker import Checker
from service.db import Database
from service.migrate import upgrade
from service.settings import Settings
from service.store import tokens


@pytest.fixture(scope="session")
def checker() -> Iterator[Checker]:
    checker = Checker()
    checker.start()
    assert checker.wait(120), checker.status()
    yield checker
    checker.close()


@pytest.fixture(scope="session")
def database_of_api(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('wrong') / 'fitqueue.db'}"
    upgrade(url)
    return url


@pytest.fixture(scope="session")
def api(checker: Checker, database_of_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    storage: Path = tmp_path_factory.mktemp("storage")
    # Nothing listens on port 1: these tests run without Redis.
    settings = Settings(database_url=database_of_api, redis_url="redis://127.0.0.1:1/0", storage=storage)
    app = create_app(settings, checker)
    database: Database = app.extensions[EXTENSION].database
    with database.write() as session:
        token = tokens.create(session, name="tests")
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    yield client
    database.close()
