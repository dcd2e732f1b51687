"""One FitQueue service as a class: thin methods over the routes of its API."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

from fitqueue.account_views import AuditView
from fitqueue.client.accounts import AccountMethods
from fitqueue.client.base import job_path
from fitqueue.client.configuration import find_connection
from fitqueue.client.training import TrainingMethods
from fitqueue.client.transport import Transport
from fitqueue.client.webhooks import WebhookMethods
from fitqueue.views import LoginLink, WorkerView


class Client(TrainingMethods, AccountMethods, WebhookMethods):
    """A client of one FitQueue service.

    Use it as a context manager, or call `close()`. Threads may share it.

    Every method raises the errors of `fitqueue.errors`: the one that the service answered (InvalidSpec, JobNotFound,
    …), or Unreachable if there is no answer within a few seconds. Until then, a request is retried if that is safe;
    `submit` is safe because each submitted job carries an idempotency key.

    Args:
        url: the address of the service. By default FITQUEUE_URL, or the one in `var/client.json` in the current folder
            or its parents, or the one in `~/.config/fitqueue/client.json`.
        token: the token to use. By default FITQUEUE_TOKEN, or the one that is stored with the address.

    Raises:
        NotConfigured: no address is known, or the address or the token cannot be used.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        super().__init__(Transport(find_connection(url, token)))

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    @property
    def url(self) -> str:
        """The address of the service."""
        return self._transport.url

    def workers(self) -> Sequence[WorkerView]:
        """Return the workers of the last day, newest first; `alive` says which of them are running."""
        return tuple(self._pages("/workers", WorkerView))

    def audit(
        self,
        *,
        user: str | None = None,
        action: str | None = None,
        target: str | None = None,
        since: datetime | None = None,
    ) -> Iterator[AuditView]:
        """Yield who did what, newest first. For admins.

        Args:
            user: only what the user with this name has done.
            action: only this action, as in `job.cancel`, or those on a kind of target, as in `job`.
            target: only what was done to what has this id.
            since: only what was done at this time or later; it needs a time zone.
        """
        time = None if since is None else since.isoformat()
        asked = {"user": user, "action": action, "target": target, "since": time}
        return self._pages("/audit", AuditView, {name: value for name, value in asked.items() if value is not None})

    def drain(self, worker_id: str, *, timeout: int | None = None) -> WorkerView:
        """Let a worker claim no more jobs. Draining it again sets the timeout anew.

        Args:
            worker_id: the worker.
            timeout: after how many seconds its jobs are requeued, to resume elsewhere; None: they train to their end.

        Raises:
            WorkerNotFound: there is no worker with this id, or it has stopped.
            Forbidden: you are not an admin.
        """
        body = json.dumps({"timeout_seconds": timeout}).encode()
        return WorkerView.model_validate_json(self._send("POST", _drain_path(worker_id), body))

    def end_drain(self, worker_id: str) -> WorkerView:
        """Let a worker claim jobs again that was drained.

        Raises:
            WorkerNotFound: there is no worker with this id, or it has stopped.
            Forbidden: you are not an admin.
        """
        return WorkerView.model_validate_json(self._call("DELETE", _drain_path(worker_id)))

    def login_link(self, job_id: str | None = None) -> str:
        """Return an address that logs a browser in once, within a day, with this client's token.

        Args:
            job_id: the job whose page it opens; None: the list of jobs.
        """
        link = LoginLink.model_validate_json(self._call("POST", "/login-links"))
        # At the address by which this client knows the service: a proxy may not tell the service where it is.
        url = f"{self.url}/login?{urlsplit(link.url).query}"
        return f"{url}&next={quote(job_path(job_id))}" if job_id else url

    def close(self) -> None:
        """Close the connections to the service."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _drain_path(worker_id: str) -> str:
    return f"/workers/{quote(worker_id, safe='')}/drain"
