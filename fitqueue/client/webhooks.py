"""The webhooks of a service."""

import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from fitqueue.client.base import JSON, ClientBase
from fitqueue.views import DeliveryView, NewWebhook, WebhookView


class WebhookMethods(ClientBase):
    """The methods of `Client` about webhooks."""

    def add_webhook(
        self,
        url: str,
        *,
        project: str | None = None,
        job: str | None = None,
        kind: str | None = None,
        events: Sequence[str] | None = None,
    ) -> NewWebhook:
        """Have somebody told when jobs end.

        Args:
            url: where to send: `https:`, `http:`, or `mailto:` for mail.
            project: the project whose jobs it is for.
            job: the id of the only job that it is for.
            kind: `webhook`, `slack` or `mail`; by default `mail` for `mailto:`, else `webhook`.
            events: what to tell; by default that a job succeeded, failed or was cancelled.

        Returns:
            The webhook. Its `secret`, by which the receiver verifies the messages, cannot be read again.

        Raises:
            InvalidRequest: nothing can be sent there, or it is not for either a project or a job.
            ProjectNotFound: there is no project with this name.
            JobNotFound: there is no job with this id.
            Forbidden: the job is somebody else's.
            TooManyWebhooks: you have too many for this project or job.
        """
        fields: dict[str, Any] = {"url": url, "project": project, "job": job, "kind": kind, "events": events}
        body = json.dumps({name: value for name, value in fields.items() if value is not None}).encode()
        answer = self._call("POST", "/webhooks", headers=JSON, body=lambda: body, repeatable=False)
        return NewWebhook.model_validate_json(answer)

    def webhooks(self, *, project: str | None = None, job: str | None = None) -> Iterator[WebhookView]:
        """Yield your webhooks and those for your jobs, newest first; for admins all.

        Args:
            project: only those for this project.
            job: only those for the job with this id alone.

        Raises:
            ProjectNotFound: there is no project with this name.
        """
        filters = {"project": project, "job": job}
        return self._pages("/webhooks", WebhookView, {name: value for name, value in filters.items() if value})

    def webhook(self, webhook_id: str) -> WebhookView:
        """Return one webhook.

        Raises:
            WebhookNotFound: you have no webhook with this id.
        """
        return WebhookView.model_validate_json(self._call("GET", _path(webhook_id)))

    def remove_webhook(self, webhook_id: str) -> None:
        """Delete a webhook with its deliveries.

        Raises:
            WebhookNotFound: you have no webhook with this id.
        """
        self._call("DELETE", _path(webhook_id), repeatable=False)

    def test_webhook(self, webhook_id: str) -> DeliveryView:
        """Send a message to a webhook that tells nothing, to see whether it comes.

        Returns:
            The delivery, which is sent within seconds.

        Raises:
            WebhookNotFound: you have no webhook with this id.
            WebhookDisabled: its receiver has answered 410.
        """
        return DeliveryView.model_validate_json(self._call("POST", f"{_path(webhook_id)}/test", repeatable=False))

    def deliveries(self, webhook_id: str) -> Iterator[DeliveryView]:
        """Yield what is, or was, delivered to a webhook in the last 30 days, newest first.

        Raises:
            WebhookNotFound: you have no webhook with this id.
        """
        return self._pages(f"{_path(webhook_id)}/deliveries", DeliveryView)

    def resend_delivery(self, webhook_id: str, delivery_id: str) -> DeliveryView:
        """Send a delivery again within seconds, with its id and all its tries.

        Raises:
            WebhookNotFound: you have no webhook with this id.
            DeliveryNotFound: it has no delivery with this id.
            WebhookDisabled: its receiver has answered 410.
        """
        path = f"{_path(webhook_id)}/deliveries/{quote(delivery_id, safe='')}/resend"
        return DeliveryView.model_validate_json(self._call("POST", path))


def _path(webhook_id: str) -> str:
    return f"/webhooks/{quote(webhook_id, safe='')}"
