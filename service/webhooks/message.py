"""What is sent, and to whom."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fitqueue.webhooks import WebhookKind


@dataclass(frozen=True)
class Message:
    """A message and its receiver.

    Neither the secret nor the address is shown in a log: whoever knows the address of a channel may write there.
    `secret` is that of kinds that sign.
    """

    id: str
    kind: WebhookKind
    url: str = field(repr=False)
    secret: str | None = field(repr=False)
    payload: Mapping[str, Any] = field(repr=False)
