"""Who may call which route. A route without a rule is refused, so none can be forgotten.

What a user may not see is answered as what does not exist. What they may see and not do is refused with the reason.
"""

from dataclasses import dataclass
from typing import Any, Final

from flask import Flask, request
from sqlalchemy.orm import Session

from fitqueue.datasets import BUILTIN
from fitqueue.errors import Forbidden
from fitqueue.roles import Role, Scope
from service.api.authentication import is_open
from service.api.context import get_services, principal
from service.api.cors import is_preflight
from service.models import Dataset, Job
from service.store import datasets, jobs, users
from service.store.principals import Principal


@dataclass(frozen=True)
class Rule:
    """What a route needs: a role, a scope of the token, and whether the job or data set must be the user's own."""

    role: Role
    scope: Scope
    is_owners: bool = False

    def allows(self, who: Principal) -> bool:
        """Tell whether somebody has the role and the scope, whoever the owner is."""
        return who.role.includes(self.role) and who.scope.includes(self.scope)


READ: Final = Rule(Role.VIEWER, Scope.READ)
SUBMIT: Final = Rule(Role.MEMBER, Scope.SUBMIT)
CHANGE: Final = Rule(Role.MEMBER, Scope.ALL, is_owners=True)
MANAGE_WEBHOOKS: Final = Rule(Role.MEMBER, Scope.ALL)
OWN_ACCOUNT: Final = Rule(Role.VIEWER, Scope.ALL)
ADMIN: Final = Rule(Role.ADMIN, Scope.ALL)
ADMIN_READ: Final = Rule(Role.ADMIN, Scope.READ)

RULES: Final[dict[str, Rule]] = {
    "actions.cancel_job": CHANGE,
    "actions.extend_job": CHANGE,
    "actions.move_job_to_front": CHANGE,
    "actions.pause_job": CHANGE,
    "actions.resume_job": CHANGE,
    "artifacts.get_artifact": READ,
    "artifacts.list_artifacts": READ,
    "audit.list_audit": ADMIN_READ,
    "catalogue.get_catalogue": READ,
    "checkpoints.get_best_weights": READ,
    "checkpoints.get_checkpoint": READ,
    "checkpoints.get_last_weights": READ,
    "checkpoints.get_last_weights_with_optimizer": READ,
    "checkpoints.list_checkpoints": READ,
    "datasets.create_dataset": SUBMIT,
    "datasets.delete_dataset": CHANGE,
    "datasets.get_dataset": READ,
    "datasets.list_datasets": READ,
    "diff.get_job_diff": READ,
    "docs.openapi": READ,
    "docs.page": READ,
    "docs.script": READ,
    "events.get_job_events": READ,
    "health.get_readiness": READ,
    "jobs.change_job": CHANGE,
    "jobs.create_job": SUBMIT,
    "jobs.delete_job": CHANGE,
    "jobs.get_job": READ,
    "jobs.list_jobs": READ,
    "login.log_out": READ,
    "login_links.create_login_link": READ,
    "logs.get_job_logs": READ,
    "me.get_me": READ,
    "metrics.get_job_metrics": READ,
    "news.get_job_news": READ,
    "owner_usage.get_usage": READ,
    "pages.account": READ,
    "pages.add_project_member": ADMIN,
    "pages.admin": ADMIN_READ,
    "pages.admin_audit": ADMIN_READ,
    "pages.admin_projects": ADMIN_READ,
    "pages.admin_users": ADMIN_READ,
    "pages.admin_webhook": ADMIN_READ,
    "pages.admin_webhooks": ADMIN_READ,
    "pages.change_limits_of_project": ADMIN,
    "pages.change_limits_of_user": ADMIN,
    "pages.change_project": ADMIN,
    "pages.change_retention_of_project": ADMIN,
    "pages.change_user": ADMIN,
    "pages.compare": READ,
    "pages.create_own_token": OWN_ACCOUNT,
    "pages.create_project": ADMIN,
    "pages.create_token_of_user": ADMIN,
    "pages.create_user": ADMIN,
    "pages.create_webhook": ADMIN,
    "pages.delete_webhook": ADMIN,
    "pages.dataset": READ,
    "pages.datasets": READ,
    "pages.job": READ,
    "pages.jobs": READ,
    "pages.new_job": SUBMIT,
    "pages.post_job": SUBMIT,
    "pages.queue": READ,
    "pages.remove_project_member": ADMIN,
    "pages.resend_delivery": ADMIN,
    "pages.revoke_own_token": OWN_ACCOUNT,
    "pages.revoke_token_of_user": ADMIN,
    "pages.test_webhook": ADMIN,
    "previews.preview_dataset": READ,
    "projects.add_project_member": ADMIN,
    "projects.change_project": ADMIN,
    "projects.create_project": ADMIN,
    "projects.get_project": READ,
    "projects.list_projects": READ,
    "projects.remove_project_member": ADMIN,
    "prometheus.get_prometheus_metrics": ADMIN_READ,
    "queue.list_queue": READ,
    "tokens.create_token": OWN_ACCOUNT,
    "tokens.list_tokens": READ,
    "tokens.revoke_token": OWN_ACCOUNT,
    "usage.get_job_usage": READ,
    "users.change_user": ADMIN,
    "users.create_user": ADMIN,
    "users.get_user": ADMIN_READ,
    "users.list_users": ADMIN_READ,
    "webhooks.create_webhook": MANAGE_WEBHOOKS,
    "webhooks.delete_webhook": MANAGE_WEBHOOKS,
    "webhooks.get_webhook": READ,
    "webhooks.list_deliveries": READ,
    "webhooks.list_webhooks": READ,
    "webhooks.resend_delivery": MANAGE_WEBHOOKS,
    "webhooks.test_webhook": MANAGE_WEBHOOKS,
    "workers.drain_worker": ADMIN,
    "workers.end_drain_of_worker": ADMIN,
    "workers.list_workers": READ,
}


def register(app: Flask) -> None:
    app.before_request(_authorize)


def _authorize() -> None:
    if request.endpoint is None or is_open(request.path) or is_preflight():
        return
    who, rule = principal(), RULES.get(request.endpoint)
    if rule is None:
        raise Forbidden(f"Nobody has said who may call {request.endpoint}.")
    if who.viewer.hidden or (rule.is_owners and not who.is_admin):
        _authorize_target(who, rule, request.view_args or {})
    _require(who, rule)


def _require(who: Principal, rule: Rule) -> None:
    """Check the role and the token.

    Raises:
        Forbidden: they do not allow what the rule is for.
    """
    if not who.role.includes(rule.role):
        raise Forbidden(f"{who.user} is a {who.role}; this needs the role {rule.role}.")
    if not who.scope.includes(rule.scope):
        raise Forbidden(f"The token '{who.token}' has the scope {who.scope}; this needs the scope {rule.scope}.")


def _authorize_target(who: Principal, rule: Rule, arguments: dict[str, Any]) -> None:
    """Check that the user may see the job or data set of the address, and may change it if the rule says so.

    Raises:
        NotFound: there is none that they may see.
        Forbidden: it belongs to somebody else.
    """
    # The route itself refuses an id that cannot be stored.
    targets = {name: str(value) for name, value in arguments.items() if "\0" not in str(value)}
    ids = [targets[name] for name in ("job_id", "other_id") if name in targets]
    reference = targets.get("reference")
    if not ids and (reference is None or reference in BUILTIN):
        return
    with get_services().database.read() as session:
        for id in ids:
            _require_owner(session, who, rule, jobs.get(session, id, who.viewer))
        if reference is not None:
            _require_owner(session, who, rule, datasets.get(session, reference, who.viewer))


def _require_owner(session: Session, who: Principal, rule: Rule, row: Job | Dataset) -> None:
    if rule.is_owners and not who.owns(row.owner_id):
        kind = "job" if isinstance(row, Job) else "data set"
        owner = users.names_of(session, [row.owner_id]).get(row.owner_id, row.owner_id)
        raise Forbidden(f"The {kind} {row.id} belongs to {owner}; only its owner and admins may change it.")
