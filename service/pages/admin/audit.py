"""The audit log: who did what, when and from where."""

import json

from flask import Blueprint, Response

from fitqueue.audit_actions import AuditAction
from service.api.audit import AuditQuery, read_audit
from service.api.context import get_services
from service.pages.parameters import read_query, url_with
from service.pages.rendering import render


def register(blueprint: Blueprint) -> None:
    blueprint.add_url_rule("/admin/audit", "admin_audit", show)


def show() -> Response:
    """Show what the address asks for; without parameters, the newest of all."""
    query, fault = read_query(AuditQuery)
    page = read_audit(get_services(), query)
    kinds = sorted({action.target_kind for action in AuditAction})
    return render(
        "admin/audit.html",
        entries=[(entry, json.dumps(entry.data, ensure_ascii=False) if entry.data else "") for entry in page.data],
        actions=[*kinds, *(str(action) for action in AuditAction)],
        query=query,
        fault=fault,
        is_filtered=bool(query.model_fields_set - {"cursor", "limit"}),
        next_url=url_with(cursor=page.next_cursor) if page.next_cursor else None,
    )
