"""Jobs and epochs as the API answers them, for tests of what is shown of them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fitqueue.states import JobState
from fitqueue.views import EpochView, JobView

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def job_view(state: JobState = JobState.RUNNING, **fields: Any) -> JobView:
    """Return a job in epoch 4 of 20, after 12 of 23 steps."""
    progress = {"epoch": 4, "epochs": 20, "step": 12, "steps": 23, "percent": 17.6, "eta_seconds": 42.0}
    progress |= fields.pop("progress", {})
    return JobView.model_validate(
        {
            "id": "job_1",
            "name": "digits",
            "state": state,
            "reason": None,
            "message": None,
            "phase": "training" if state is JobState.RUNNING else None,
            "progress": progress,
            "best": None,
            "queue": None,
            "attempt": 1,
            "max_attempts": 5,
            "pool": "default",
            "priority": 0,
            "labels": {},
            "worker": "wk_1",
            "cancel_requested_at": None,
            "created_at": NOW,
            "started_at": NOW,
            "finished_at": NOW if state.is_final else None,
            "spec": {},
            "notices": [],
        }
        | fields
    )


def epoch_view(epoch: int, metrics: Mapping[str, float | None], **fields: Any) -> EpochView:
    """Return an epoch that has ended."""
    return EpochView.model_validate(
        {
            "epoch": epoch,
            "metrics": metrics,
            "non_finite": [name for name, value in metrics.items() if value is None],
            "learning_rate": 0.001,
            "seconds": 1.4,
            "steps_per_second": 125.0,
            "attempt": 1,
            "finished_at": NOW,
        }
        | fields
    )
