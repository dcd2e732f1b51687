"""Users of a service, each with a client of their own."""

from flask import Flask
from flask.testing import FlaskClient

from fitqueue.roles import Role, Scope
from service.db import Database
from service.store import tokens, users


def add_user(app: Flask, database: Database, name: str, role: Role, scope: Scope = Scope.ALL) -> FlaskClient:
    """Create a user, unless there is one with this name, and return a client that sends a token of theirs."""
    with database.write() as session:
        user = users.find(session, name) or users.create(session, name, role)
        secret = tokens.issue(session, f"{name}-{scope}", user.id, scope=scope).secret
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    client.environ_base["HTTP_ACCEPT"] = "text/html"
    return client
