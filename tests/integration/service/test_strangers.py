"""What is in a closed project does not exist for a stranger: no answer differs from that of a service without it.

Two services get the same requests of a user who is not a member of the project. In one of them the project has jobs of
all states and data sets, in the other one it has nothing.
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from difflib import unified_diff
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from flask import Flask

from fitqueue.spec import MAX_PRIORITY
from fitqueue.states import JobState
from service.api.context import EXTENSION
from service.app import create_app
from service.settings import Settings
from service.store import jobs, projects
from tests.integration.fixture_types import MakeSpec
from tests.integration.service.lab import PROJECT, Lab
from tests.integration.service.npz import npz
from tests.integration.service.test_roles import LINES

ENDED: Final = "job_0secret0ended0000000000"
QUEUED: Final = "job_0secret0queued000000000"
OWN: Final = "job_1own00000000000000000000"
NAMED: Final = "ds_0secret0named00000000000"
UNNAMED: Final = "ds_0secret0unnamed000000000"
HIDDEN: Final = (ENDED, QUEUED, "job_0secret0running00000000", "job_0secret0paused00000000", NAMED, UNNAMED)
NAME: Final = "secret-name"
POOL: Final = "secret-pool"
LABELS: Final = {"secret-label": "yes"}
CONTENT: Final = npz(x=[0.0])
"""What the first data set of the lab holds."""


class World(NamedTuple):
    """A service, and the user who does not see the project."""

    app: Flask
    lab: Lab

    def ask(self, method: str, path: str, **options: Any) -> tuple[int, Mapping[str, str], str]:
        """Return an answer without what differs by chance: times, and ids that were made now."""
        headers = {**self.lab.headers("outsider"), "X-Request-Id": "the-same-for-both", **options.pop("headers", {})}
        answer = self.app.test_client().open(path, method=method, headers=headers, **options)
        kept = {name: _plain(value) for name, value in answer.headers.items() if name not in {"Content-Length", "Date"}}
        return answer.status_code, kept, _plain(answer.text)


def _plain(text: str) -> str:
    text = re.sub(r"\b(usr|prj|tok|job|ds)_[0-9a-z]{24}\b", r"<\1>", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00)?", "<time>", text)
    text = re.sub(r"\d\d:\d\d(:\d\d)? UTC", "<time>", text)
    text = re.sub(r"\b\d+ (s|min)\b", "<age>", text)
    text = re.sub(r'(name="key" value|data-key)="[^"]*"', "<key>", text)
    return re.sub(r"fq_[\w-]+|link=[\w-]+", "<secret>", text)


@pytest.fixture(params=["sqlite", "postgresql"])
def make_world(request: pytest.FixtureRequest, tmp_path: Path, make_spec: MakeSpec) -> Iterator[Callable[[str], World]]:
    """A function that makes a service with a database of its own, in which the stranger has a job."""
    databases = []

    def make(name: str) -> World:
        folder = tmp_path / name
        (folder / "storage").mkdir(parents=True)
        if request.param == "sqlite":
            shutil.copyfile(request.getfixturevalue("sqlite_template"), folder / "fitqueue.db")
            url = f"sqlite:///{folder}/fitqueue.db"
        else:
            url = request.getfixturevalue("new_postgres_database")(request.getfixturevalue("postgres_template"))
        # So long that the worker of the lab is alive in both.
        named = {"database_url": url, "redis_url": "redis://127.0.0.1:1/0", "storage": folder / "storage"}
        app = create_app(Settings(lease_seconds=3_600, **named))
        databases.append(app.extensions[EXTENSION].database)
        lab = Lab(app.extensions[EXTENSION], make_spec)
        with databases[-1].write() as session:
            jobs.create(session, make_spec(seed=7), [], job_id=OWN, owner_id=lab.users["outsider"].id)
        return World(app, lab)

    yield make
    for database in databases:
        with closing(database):
            pass


@pytest.fixture
def worlds(make_world: Callable[[str], World]) -> tuple[World, World]:
    """A service without anything in the project, and one with what is hidden."""
    empty, full = make_world("empty"), make_world("full")
    lab = full.lab
    lab.dataset(NAME, dataset_id=NAMED)
    lab.dataset(dataset_id=UNNAMED)
    states = (JobState.SUCCEEDED, JobState.QUEUED, JobState.RUNNING, JobState.PAUSED)
    for state, job_id in zip(states, HIDDEN, strict=False):
        lab.job(state, job_id=job_id, name=NAME, labels=LABELS, pool=f"{POOL}-{state}")
    return empty, full


def _spec(make_spec: MakeSpec, **fields: Any) -> dict[str, Any]:
    return {**make_spec().to_json(), **fields}


def _reads() -> Iterator[str]:
    lists = ("/api/v1/jobs", "/", "/api/v1/queue", "/queue", "/api/v1/datasets", "/datasets")
    filters = (
        "", "total=true", "owner=owner", f"project={PROJECT}", f"project={PROJECT}&owner=owner&total=true",
        f"dataset={NAME}", f"dataset={NAMED}", f"dataset={PROJECT}/{NAME}&total=true",
        "label=secret-label=yes&total=true",
        "submitted_by=owner-all", f"name={NAME}", f"pool={POOL}-queued&total=true", "state=running&total=true",
        "sort=finished", "sort=name&limit=1", f"cursor={ENDED}", f"cursor=0.{QUEUED}.{POOL}-queued", f"cursor={NAMED}",
        "limit=1", "unnamed=true&total=true", "unnamed=true&owner=owner",
    )  # fmt: skip
    for path in lists:
        yield from (f"{path}?{filter}" for filter in filters)
    content = "sha256=" + hashlib.sha256(CONTENT).hexdigest()
    yield from (f"/api/v1/datasets?{content}", f"/api/v1/datasets?{content}&total=true")
    yield from (f"/compare?job={OWN}&job={ENDED}", f"/compare?job={OWN}&add={ENDED}", f"/compare?job={OWN}&add={NAME}")
    yield from (f"/new?from={ENDED}", f"/new?from={OWN}", f"/api/v1/jobs/{OWN}/diff/{ENDED}")
    yield from (f"/api/v1/jobs/{OWN}/events", f"/api/v1/jobs/{OWN}", f"/jobs/{OWN}", f"/api/v1/jobs/{OWN}/news")
    yield from ("/api/v1/usage?by=project", "/api/v1/usage?by=user", f"/api/v1/webhooks?project={PROJECT}")
    yield from ("/api/v1/tokens?user=owner", f"/api/v1/projects/{PROJECT}", f"/datasets/{PROJECT}/{NAME}")
    yield from (f"/api/v1/datasets/{reference}" for reference in (NAME, f"{PROJECT}/{NAME}", f"{PROJECT}%2F{NAME}"))


def _paths() -> Iterator[tuple[str, str]]:
    """Yield a request to each route, with what is hidden in its address."""
    for route in LINES:
        method, path = route.split()
        if route in {"POST /logout", "GET /docs/scalar.js"}:
            continue
        for job in (ENDED, QUEUED):
            names = {
                "job_id": job, "other_id": OWN, "reference": NAMED, "project": PROJECT, "token_id": "tok_none",
                "user": "owner", "worker_id": "none", "webhook_id": "none",
                "delivery_id": "none", "version": "v", "name": "secret-checkpoint",
            }  # fmt: skip
            filled = re.sub(r"<(?:path:)?(\w+)>", lambda match, names=names: names[match[1]], path)
            yield method, f"{filled}?array=x" if path.endswith("/preview") else filled


def test_no_answer_tells_a_stranger_what_is_there(worlds: tuple[World, World]) -> None:
    requests = [*(("GET", path) for path in _reads()), *_paths()]
    differing = {}
    for (method, path), accept in product(requests, ("application/json", "text/html")):
        body = {} if method == "GET" else {"json": {}}
        answers = [str(world.ask(method, path, headers={"Accept": accept}, **body)) for world in worlds]
        if answers[0] != answers[1]:
            lines = [answer.split("\\n") for answer in answers]
            differing[method, path, accept] = list(unified_diff(*lines, n=0, lineterm=""))
    assert differing == {}
    assert len(requests) > 200


def test_no_submission_tells_a_stranger_what_is_there(worlds: tuple[World, World], make_spec: MakeSpec) -> None:
    own = make_spec().data.model_dump(mode="json", exclude_none=True)
    bodies = [
        _spec(make_spec, project=PROJECT),
        *(_spec(make_spec, initial_weights={"job": job}) for job in (ENDED, QUEUED)),
        _spec(make_spec, initial_weights={"job": ENDED, "checkpoint": "secret-checkpoint"}),
        *(_spec(make_spec, initial_weights={"dataset": reference}) for reference in (NAMED, NAME)),
        *(_spec(make_spec, data={**own, "dataset": reference}) for reference in (NAMED, NAME, f"{PROJECT}/{NAME}")),
    ]
    for body in bodies:
        for query in ("", "?dry_run=true"):
            empty, full = (world.ask("POST", f"/api/v1/jobs{query}", json=body) for world in worlds)
            assert empty == full
            assert empty[0] == 422


def test_no_upload_tells_a_stranger_what_is_there(worlds: tuple[World, World]) -> None:
    sent = {"data": CONTENT, "content_type": "application/octet-stream"}
    for query in (f"?project={PROJECT}", f"?project={PROJECT}&name={NAME}", "", f"?name={NAME}", f"?name={NAME}"):
        empty, full = (world.ask("POST", f"/api/v1/datasets{query}", **sent) for world in worlds)
        assert empty == full


def test_a_place_in_the_queue_names_no_job_that_is_hidden(make_world: Callable[[str], World]) -> None:
    """It counts them: how long one waits is true for all. Nothing else is told of them."""
    world = make_world("queue")
    world.lab.job(job_id=QUEUED, name=NAME, labels=LABELS, priority=MAX_PRIORITY, pool="default")
    paths = ("/api/v1/queue", "/queue", f"/api/v1/jobs/{OWN}", f"/jobs/{OWN}", "/api/v1/jobs", "/", "/api/v1/workers")
    answers = [world.ask("GET", path) for path in paths]
    answers.append(world.ask("POST", f"/api/v1/jobs/{OWN}/move-to-front"))
    assert [status for status, _, _ in answers] == [200] * len(paths) + [409]
    assert '"position":2' in answers[0][2]
    assert [text for _, _, text in answers if "secret" in text or "owner@" in text] == []


def test_a_stream_ends_when_its_reader_may_not_see_the_job_any_more(make_world: Callable[[str], World]) -> None:
    world = make_world("stream")
    job_id = world.lab.job()
    with world.lab.services.database.write() as session:
        projects.add_member(session, world.lab.project, world.lab.users["outsider"])
    answer = world.app.test_client().get(
        f"/api/v1/jobs/{job_id}/events?follow=true", headers=world.lab.headers("outsider"), buffered=False
    )
    chunks = answer.iter_encoded()
    assert b"submitted" in next(chunk for chunk in chunks if b"event:" in chunk)
    with world.lab.services.database.write() as session:
        projects.remove_member(session, world.lab.project, world.lab.users["outsider"])
    assert [chunk for chunk in chunks if b"event:" in chunk] == []
