"""Who a request comes from."""

from flask.testing import FlaskClient

from fitqueue.account_views import MeView
from service.db import Database
from service.store import tokens


def test_a_request_is_told_its_token_by_name(http: FlaskClient, database: Database) -> None:
    with database.write() as session:
        other = tokens.create(session, name="ada 模型")
        ids = {row.name: row.id for row in tokens.list_all(session)}
    for headers, name in (({}, "tests"), ({"Authorization": f"Bearer {other}"}, "ada 模型")):
        answer = http.get("/api/v1/me", headers=headers)
        token = MeView.model_validate_json(answer.data).token
        assert (token.name, token.id) == (name, ids[name])
        assert other not in answer.text
