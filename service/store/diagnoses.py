"""What the losses of a job say."""

from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from fitqueue.advice import Language, Verdict
from fitqueue.diagnosis import Diagnosis, diagnose
from fitqueue.spec.findings import NoticeCode
from fitqueue.states import Reason
from fitqueue.webhooks import WebhookEvent
from service.models import Job
from service.store import metrics, webhook_deliveries, webhooks

_NOT_TOLD: Final = frozenset({Verdict.TOO_EARLY, Verdict.UNCLEAR, Verdict.NO_VALIDATION})
"""They say nothing about a training, and come and go between those that do."""


def read(session: Session, job: Job, language: Language = "en") -> Diagnosis | None:
    """Return the diagnosis of a job; None before its first epoch has ended."""
    losses = metrics.losses(session, job.id) if job.epoch else []
    if not losses:
        return None
    is_finite = losses[-1].are_finite and job.reason is not Reason.NAN_WEIGHTS
    # Only they need the notices, which would take a statement more to read.
    notices = [] if is_finite else job.notices
    return diagnose(
        losses,
        language,
        early_stopped=job.reason is Reason.EARLY_STOPPED,
        rate_share=metrics.rate_share(session, job.id),
        nan_weights=job.reason is Reason.NAN_WEIGHTS,
        non_finite_data=[notice["message"] for notice in notices if notice["code"] == NoticeCode.NON_FINITE],
    )


def announce_change(session: Session, job: Job, now: datetime) -> None:
    """Tell webhooks the diagnosis of a running job if its verdict is another one than they were told last."""
    if not webhooks.is_any_wanting(session, job, WebhookEvent.DIAGNOSIS_CHANGED):
        return
    diagnosis = read(session, job)
    if diagnosis is None or diagnosis.verdict in {*_NOT_TOLD, job.told_verdict}:
        return
    job.told_verdict = diagnosis.verdict
    webhook_deliveries.announce_diagnosis(session, job, diagnosis, now)
