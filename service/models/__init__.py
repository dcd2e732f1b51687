"""The tables. An invariant of a row is a constraint here, so that no code can break it."""

from service.column_types import Base
from service.models.audit import AuditEntry
from service.models.counters import Counter, OwnerUsage, PoolUsage, TrainingTime, TurnUsage
from service.models.files import Artifact, Checkpoint, Dataset, Snapshot, StorageIdentity
from service.models.history import Epoch, EpochMetric, Event, LogLine, StepMetrics
from service.models.jobs import QUEUED, Job, JobLabel
from service.models.users import ADMIN_ID, LAB_ID, LoginLink, LoginSession, Project, ProjectMember, Token, User
from service.models.webhooks import Webhook, WebhookDelivery
from service.models.workers import GPUClaim, Worker

__all__ = [
    "ADMIN_ID",
    "LAB_ID",
    "QUEUED",
    "Artifact",
    "AuditEntry",
    "Base",
    "Checkpoint",
    "Counter",
    "Dataset",
    "Epoch",
    "EpochMetric",
    "Event",
    "GPUClaim",
    "Job",
    "JobLabel",
    "LogLine",
    "LoginLink",
    "LoginSession",
    "OwnerUsage",
    "PoolUsage",
    "Project",
    "ProjectMember",
    "Snapshot",
    "StepMetrics",
    "StorageIdentity",
    "Token",
    "TrainingTime",
    "TurnUsage",
    "User",
    "Webhook",
    "WebhookDelivery",
    "Worker",
]
