"""`/readyz`: which parts of the service can work, and which of them it can do without."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from fitqueue.views import Problem
from service.api.context import EXTENSION, Services
from service.app import create_app
from service.checker import Checker
from service.db import Database
from service.settings import Settings


def test_readiness_reports_each_part(http: FlaskClient) -> None:
    response = http.get("/readyz")
    assert response.json is not None
    parts = response.json["parts"]
    assert (response.status_code, parts["database"], parts["storage"]) == (200, "ok", "ok")
    assert "Connect" in parts["queue"] or "refused" in parts["queue"]


def test_a_service_is_ready_without_redis_and_without_a_checker(http: FlaskClient) -> None:
    response = http.get("/readyz")
    assert response.json is not None
    assert (response.status_code, response.json["ready"]) == (200, True)
    assert set(response.json["parts"]) == {"database", "storage", "queue", "checker"}
    assert "refused" in response.json["parts"]["queue"]
    assert response.json["parts"]["checker"] == "there is none"


@pytest.fixture
def checker_with_another_protocol(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Checker]:
    """A checker whose program sends a greeting that the API does not know."""
    (tmp_path / "another_protocol.py").write_text(
        "import signal, socket, sys\nsocket.socket(fileno=sys.stdin.fileno()).sendall(b'hello\\n')\nsignal.pause()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    checker = Checker("another_protocol")
    checker.start()
    assert not checker.wait(60)
    yield checker
    checker.close()


def test_readiness_quotes_a_message_of_the_checker_that_the_api_does_not_understand(
    app: Flask, services: Services, http: FlaskClient, checker_with_another_protocol: Checker
) -> None:
    app.extensions[EXTENSION] = replace(services, checker=checker_with_another_protocol)
    response = http.get("/readyz")
    assert response.json is not None
    assert (response.status_code, response.json["ready"]) == (200, True)
    assert response.json["parts"]["checker"] == "it sent a message that the API does not understand: b'hello\\n'"


def test_a_service_without_a_writable_storage_is_not_ready(http: FlaskClient, storage_folder: Path) -> None:
    storage_folder.rmdir()
    response = http.get("/readyz")
    assert response.json is not None
    assert (response.status_code, response.json["ready"], response.json["parts"]["database"]) == (503, False, "ok")
    assert "does not exist" in response.json["parts"]["storage"]
    assert not storage_folder.exists()


def test_readiness_is_503_without_parts_while_the_database_is_down(
    settings: Settings, token: str, tmp_path: Path
) -> None:
    """No token can be verified then, so nobody learns about the other parts."""
    (tmp_path / "broken.db").write_text("This is not a database, and longer than its header would be. " * 9)
    app = create_app(settings.model_copy(update={"database_url": f"sqlite:///{tmp_path}/broken.db"}))
    response = app.test_client().get("/readyz", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 503
    assert Problem.model_validate_json(response.data).code == "database_unavailable"


def test_a_service_with_tables_of_another_version_is_not_ready(database: Database, http: FlaskClient) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    response = http.get("/readyz")
    assert response.status_code == 503
    assert "fitqueue migrate" in response.text
