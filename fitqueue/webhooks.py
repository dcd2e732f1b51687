"""What webhooks tell, to whom, and how far a delivery has come."""

from typing import Final

from fitqueue.states import DescribedEnum


class WebhookKind(DescribedEnum):
    """To whom a webhook tells what happened."""

    WEBHOOK = ("webhook", "A program that takes signed messages, by the Standard Webhooks scheme.")
    SLACK = ("slack", "A channel of Slack, or of another chat that has incoming webhooks of this form.")
    MAIL = ("mail", "A person, by mail.")


class WebhookEvent(DescribedEnum):
    """What a webhook tells."""

    JOB_SUCCEEDED = ("job.succeeded", "A job succeeded.")
    JOB_FAILED = ("job.failed", "A job failed.")
    JOB_CANCELLED = ("job.cancelled", "A job was cancelled.")
    JOB_REQUEUED = ("job.requeued", "An attempt failed, or its worker shut down, and the job is queued again.")
    DIAGNOSIS_CHANGED = ("diagnosis.changed", "The losses of a running job say something else than before.")
    WEBHOOK_TEST = ("webhook.test", "A user asked for a test.")


CHOSEN_EVENTS: Final = tuple(event for event in WebhookEvent if event is not WebhookEvent.WEBHOOK_TEST)
"""The events that a webhook can be created for. A test comes to each one."""

DEFAULT_EVENTS: Final = (WebhookEvent.JOB_SUCCEEDED, WebhookEvent.JOB_FAILED, WebhookEvent.JOB_CANCELLED)


class DeliveryState(DescribedEnum):
    """How far a delivery has come."""

    PENDING = ("pending", "It is to be sent, for the first time or again.")
    DELIVERED = ("delivered", "The receiver has answered that it has it.")
    FAILED = ("failed", "All tries have failed, or the receiver does not want any more.")
