from typing import Any

from flask.testing import FlaskClient

from service.db import Database
from service.store import workers
from service.store.leases import Lease


def test_workers_are_listed_with_their_jobs(http: FlaskClient, database: Database, lease: Lease) -> None:
    with database.write() as session:
        workers.register(session, "w1", host="h", pools=["default"], slots=1, devices=["CPU"], gpus=[])
    answer: Any = http.get("/api/v1/workers").json
    assert [(row["id"], row["alive"], row["jobs"]) for row in answer["data"]] == [("w1", True, [lease.job_id])]
