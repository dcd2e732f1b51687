"""Which receivers a webhook may be created for, and how their addresses are shown."""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from fitqueue.webhooks import WebhookKind
from service.webhooks.addresses import Network, is_allowed, literal_address
from service.webhooks.endpoint import InvalidEndpoint, parse_endpoint

MAIL_SCHEME: Final = "mailto:"
EXPECTED_ADDRESS: Final = "an address such as `https://ci.example.org/fitqueue`"
EXPECTED_MAIL: Final = "an address such as `mailto:ada@example.org`"

_MAIL: Final = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9.-]{1,253}")


class InvalidReceiver(ValueError):
    """No message could be sent there. The message is a sentence for the user who named it."""

    def __init__(self, code: str, message: str, expected: str) -> None:
        super().__init__(message)
        self.code = code
        self.expected = expected


def kind_of(url: str) -> WebhookKind:
    """Return the kind of a webhook that nobody has named one for."""
    return WebhookKind.MAIL if url.startswith(MAIL_SCHEME) else WebhookKind.WEBHOOK


def validate_receiver(kind: WebhookKind, url: str, networks: Sequence[Network], *, sends_mail: bool) -> None:
    """Check what can be known without asking anybody. The address of a name is checked with each try.

    Raises:
        InvalidReceiver: no message could be sent there.
    """
    if kind is WebhookKind.MAIL:
        _validate_mail(url, sends_mail)
        return
    try:
        endpoint = parse_endpoint(url)
    except InvalidEndpoint as error:
        raise InvalidReceiver("invalid_url", str(error), EXPECTED_ADDRESS) from error
    address = literal_address(endpoint.host)
    if address is not None and not is_allowed(address, networks):
        message = "The address is not public; the operator can allow its network by FITQUEUE_WEBHOOK_NETWORKS."
        raise InvalidReceiver("forbidden_address", message, EXPECTED_ADDRESS)


def shown_url(kind: WebhookKind, url: str) -> str:
    """Return an address without what may be a secret: the path of a channel, or a query."""
    parts = urlsplit(url)
    if kind is WebhookKind.SLACK:
        return f"{parts.scheme}://{parts.netloc}/…"
    return f"{url.partition('?')[0]}?…" if parts.query else url


def _validate_mail(url: str, sends_mail: bool) -> None:
    if not sends_mail:
        message = "This service sends no mail: its operator has not set FITQUEUE_SMTP_URL."
        raise InvalidReceiver("no_mail", message, EXPECTED_ADDRESS)
    if not url.startswith(MAIL_SCHEME) or not _MAIL.fullmatch(url.removeprefix(MAIL_SCHEME)):
        raise InvalidReceiver("invalid_url", "This is not one address of mail.", EXPECTED_MAIL)
