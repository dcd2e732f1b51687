"""A lab: users of each role, a project that is closed to some of them, and what is in it."""

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fitqueue.datasets import ArrayInfo
from fitqueue.roles import Role, Scope
from fitqueue.states import JobState, Reason
from fitqueue.webhooks import WebhookEvent, WebhookKind
from fitqueue.weights import LAST_WITH_OPTIMIZER
from service.api.context import Services
from service.models import LogLine, User
from service.storage import artifact_key, dataset_key
from service.store import (
    actions,
    attempt_outcomes,
    datasets,
    jobs,
    leases,
    projects,
    recording,
    snapshots,
    tokens,
    users,
    webhook_deliveries,
    webhooks,
    workers,
)
from service.store.leases import Lease
from tests.integration.fixture_types import MakeSpec
from tests.integration.service.npz import npz
from tests.integration.service.saving import save_checkpoint
from tests.reports import artifact_written, epoch_ended, snapshot_written

PROJECT: Final = "secret-project"
USERS: Final = {
    "viewer": Role.VIEWER,
    "owner": Role.MEMBER,
    "colleague": Role.MEMBER,
    "outsider": Role.MEMBER,
    "boss": Role.ADMIN,
}
MEMBERS: Final = ("viewer", "owner", "colleague")
"""The members of the closed project. `owner` owns what is in it."""

WORKER: Final = "worker-of-the-lab"


@dataclass
class Lab:
    """Makes things in the project, and knows a token of each user with each scope."""

    services: Services
    make_spec: MakeSpec
    tokens: dict[tuple[str, Scope], str] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    numbers: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        with self.services.database.write() as session:
            self.project = projects.create(session, PROJECT, is_open=False)
            for name, role in USERS.items():
                self.users[name] = user = users.create(session, name, role)
                for scope in Scope:
                    self.tokens[name, scope] = tokens.issue(session, f"{name}-{scope}", user.id, scope=scope).secret
                if name in MEMBERS:
                    projects.add_member(session, self.project, user)
            workers.register(
                session, WORKER, host="gpu-box", pools=["default"], slots=4, devices=["1 CPU"], gpus=[]
            )  # fmt: skip

    def job(
        self, state: JobState = JobState.QUEUED, owner: str = "owner", job_id: str | None = None, **spec: Any
    ) -> str:
        """Store a job of the project in this state, and return its id."""
        pool = spec.pop("pool", f"pool-{next(self.numbers)}")
        whole = self.make_spec(project=PROJECT, resources={"pool": pool}, **spec)
        with self.services.database.write() as session:
            job = jobs.create(
                session, whole, [], job_id=job_id, owner_id=self.users[owner].id, project_id=self.project.id
            )  # fmt: skip
            if state is JobState.PAUSED:
                actions.pause(session, job.id)
        if state in {JobState.RUNNING, JobState.SUCCEEDED}:
            self._train(self._claim(pool), ends=state is JobState.SUCCEEDED)
        return job.id

    def _claim(self, pool: str) -> Lease:
        with self.services.database.write() as session:
            claimed = leases.claim(session, WORKER, [pool], [], 3_600)
        assert claimed is not None
        return claimed.lease

    def _train(self, lease: Lease, *, ends: bool) -> None:
        key = artifact_key(lease.job_id, lease.attempt)
        self._store(key, b"table")
        names = ["best", "last", LAST_WITH_OPTIMIZER, "secret-checkpoint"]
        save_checkpoint(self.services, lease, b"weights", names, has_optimizer=True)
        with self.services.database.write() as session:
            job = leases.held_job(session, lease)
            recording.record_epoch(session, job, epoch_ended(1))
            snapshots.record(session, job, snapshot_written(1), f"snapshots/{lease.job_id}/{lease.attempt}")
            recording.record_artifact(session, job, artifact_written("secret-artifact"), key)
            session.add(
                LogLine(job_id=job.id, at=job.created_at, attempt=1, stream="stdout", text="a secret line")
            )  # fmt: skip
            if ends:
                assert attempt_outcomes.finish(session, lease, Reason.COMPLETED, "The training ended.")

    def dataset(self, name: str | None = None, owner: str = "owner", dataset_id: str | None = None) -> str:
        """Store a data set of the project, and return its id."""
        content = npz(x=[float(next(self.numbers))])
        id = dataset_id or f"ds_{next(self.numbers)}"
        self._store(dataset_key(id), content)
        with self.services.database.write() as session:
            row, _ = datasets.create(
                session, id, name or id, hashlib.sha256(content).hexdigest(), len(content),
                {"x": ArrayInfo((1,), "float64")}, owner_id=self.users[owner].id, project=self.project,
            )  # fmt: skip
        return row.id

    def webhook(self, owner: str = "owner") -> tuple[str, str]:
        """Create a webhook for a job of the project and a delivery of it, and return their ids."""
        job_id = self.job(owner=owner)
        with self.services.database.write() as session:
            webhook = webhooks.create(
                session, WebhookKind.WEBHOOK, f"https://example.org/{next(self.numbers)}", [WebhookEvent.JOB_FAILED],
                owner_id=self.users[owner].id, service_url="http://localhost", job_id=job_id,
            )  # fmt: skip
            return webhook.id, webhook_deliveries.add_test(session, webhook).id

    def token_id(self, owner: str = "owner") -> str:
        """Create another token, and return its id."""
        with self.services.database.write() as session:
            return tokens.issue(session, "another", self.users[owner].id).row.id

    def _store(self, key: str, content: bytes) -> None:
        path = self.services.storage.temporary_folder() / "stored"
        path.write_bytes(content)
        self.services.storage.put(key, path)

    def headers(self, user: str, scope: Scope = Scope.ALL) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.tokens[user, scope]}"}
