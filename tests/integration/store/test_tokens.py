from service.db import Database
from service.models import Token
from service.store import tokens


def test_a_token_is_valid_until_it_is_revoked(database: Database) -> None:
    with database.write() as session:
        token = tokens.create(session, name="ci")
        other = tokens.create(session, name="other")
    with database.read() as session:
        token_id = tokens.verify(session, token)
        assert token_id is not None
        assert tokens.verify(session, token + "x") is None
        assert tokens.verify(session, "") is None
        assert tokens.verify(session, "\udcff") is None
        rows = tokens.list_all(session)
        assert [(row.name, row.revoked_at) for row in rows] == [("ci", None), ("other", None)]
        assert all(token not in str(vars(row)) for row in rows), "the token itself is not stored"
    with database.write() as session:
        assert tokens.revoke(session, token_id)
        assert not tokens.revoke(session, token_id)
        assert not tokens.revoke(session, "tok_none")
    with database.read() as session:
        assert tokens.verify(session, token) is None
        assert tokens.verify(session, other) is not None
        assert session.query(Token).count() == 2
