"""Sends one message in the form that its receiver takes."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fitqueue import __version__
from fitqueue.webhooks import WebhookKind
from service.mail_server import MailServer
from service.webhooks import mail, texts
from service.webhooks.addresses import Network
from service.webhooks.endpoint import InvalidEndpoint, parse_endpoint
from service.webhooks.message import Message
from service.webhooks.outcome import Outcome, Verdict
from service.webhooks.posting import SECONDS, post
from service.webhooks.receiver import MAIL_SCHEME
from service.webhooks.signing import signed_headers

_AGENT: Final = {"User-Agent": f"FitQueue/{__version__}"}


@dataclass(frozen=True)
class Sender:
    """Sends messages, with the settings of this process.

    Attributes:
        networks: the networks beside the public ones in which receivers may be.
        mail_server: None: no mails are sent.
        seconds: how long a try may take by HTTP.
    """

    networks: tuple[Network, ...] = ()
    mail_server: MailServer | None = None
    seconds: float = SECONDS

    def send(self, message: Message) -> Outcome:
        """Try to send a message once."""
        match message.kind:
            case WebhookKind.MAIL:
                return self._mail(message)
            case WebhookKind.SLACK:
                return self._post(message, _to_json({"text": texts.slack_text(message.payload)}))
        return self._post(message, _to_json(message.payload))

    def _post(self, message: Message, body: bytes) -> Outcome:
        try:
            endpoint = parse_endpoint(message.url)
        except InvalidEndpoint:
            return Outcome(Verdict.RETRY, "refused: the address is not valid")
        signed = signed_headers(message.secret, message.id, int(time.time()), body) if message.secret else {}
        return post(endpoint, body, {**_AGENT, **signed}, self.networks, self.seconds)

    def _mail(self, message: Message) -> Outcome:
        if self.mail_server is None:
            return Outcome(Verdict.RETRY, "the worker has no FITQUEUE_SMTP_URL")
        to = message.url.removeprefix(MAIL_SCHEME)
        subject, text = texts.headline(message.payload), texts.mail_text(message.payload)
        return mail.send(self.mail_server, to, message.id, subject, text)


def _to_json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
