"""Who may call which route: each role, owner or not, with each scope of a token.

The table below says it once more than the rules of the API do, so that a wrong rule fails here.
"""

import re
from itertools import product
from typing import Final, NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from fitqueue.roles import Scope
from fitqueue.states import JobState
from service.api.context import Services
from tests.integration.fixture_types import MakeSpec
from tests.integration.service.lab import PROJECT, USERS, WORKER, Lab

ACTORS: Final = ("nobody", "viewer", "owner", "colleague", "outsider", "boss")

# A path without a slash is below `/api/v1/`. `viewer`, `owner` and `colleague` are members of a closed project,
# `outsider` is not, `boss` is an admin. The job, the data set, the token and the webhook of the address are the
# owner's. `ok`: whatever the route answers to somebody who may call it. The last two columns are what a token of the
# scope `read` or `submit` gets where its user may call the route.
TABLE: Final = """
                                                             nobody viewer owner colleague outsider boss  read submit
GET    /                                                     401    ok     ok    ok        ok       ok    ok   ok
GET    audit                                                 401    403    403   403       403      ok    ok   ok
GET    catalogue                                             401    ok     ok    ok        ok       ok    ok   ok
POST   datasets                                              401    403    ok    ok        ok       ok    403  ok
GET    datasets                                              401    ok     ok    ok        ok       ok    ok   ok
GET    datasets/<reference>                                  401    ok     ok    ok        404      ok    ok   ok
DELETE datasets/<reference>                                  401    403    ok    403       404      ok    403  403
GET    datasets/<reference>/preview                          401    ok     ok    ok        404      ok    ok   ok
GET    job.schema.json                                       ok     ok     ok    ok        ok       ok    ok   ok
POST   jobs                                                  401    403    ok    ok        ok       ok    403  ok
GET    jobs                                                  401    ok     ok    ok        ok       ok    ok   ok
GET    jobs/<job_id>                                         401    ok     ok    ok        404      ok    ok   ok
PATCH  jobs/<job_id>                                         401    403    ok    403       404      ok    403  403
DELETE jobs/<job_id>                                         401    403    ok    403       404      ok    403  403
GET    jobs/<job_id>/artifacts                               401    ok     ok    ok        404      ok    ok   ok
GET    jobs/<job_id>/artifacts/<name>                        401    ok     ok    ok        404      ok    ok   ok
POST   jobs/<job_id>/cancel                                  401    403    ok    403       404      ok    403  403
GET    jobs/<job_id>/checkpoints                             401    ok     ok    ok        404      ok    ok   ok
GET    jobs/<job_id>/checkpoints/<name>                      401    ok     ok    ok        404      ok    ok   ok
GET    jobs/<job_id>/diff/<other_id>                         401    ok     ok    ok        404      ok    ok   ok
GET    jobs/<job_id>/events                                  401    ok     ok    ok        404      ok    ok   ok
POST   jobs/<job_id>/extend                                  401    403    ok    403       404      ok    403  403
GET    jobs/<job_id>/logs                                    401    ok     ok    ok        404      ok    ok   ok
GET    jobs/<job_id>/metrics                                 401    ok     ok    ok        404      ok    ok   ok
POST   jobs/<job_id>/move-to-front                           401    403    ok    403       404      ok    403  403
GET    jobs/<job_id>/news                                    401    ok     ok    ok        404      ok    ok   ok
POST   jobs/<job_id>/pause                                   401    403    ok    403       404      ok    403  403
POST   jobs/<job_id>/resume                                  401    403    ok    403       404      ok    403  403
GET    jobs/<job_id>/usage                                   401    ok     ok    ok        404      ok    ok   ok
GET    jobs/<job_id>/weights/best                            401    ok     ok    ok        404      ok    ok   ok
GET    jobs/<job_id>/weights/last                            401    ok     ok    ok        404      ok    ok   ok
GET    jobs/<job_id>/weights/last_with_optimizer             401    ok     ok    ok        404      ok    ok   ok
POST   login-links                                           401    ok     ok    ok        ok       ok    ok   ok
GET    me                                                    401    ok     ok    ok        ok       ok    ok   ok
GET    openapi.json                                          401    ok     ok    ok        ok       ok    ok   ok
GET    projects                                              401    ok     ok    ok        ok       ok    ok   ok
POST   projects                                              401    403    403   403       403      ok    403  403
GET    projects/<project>                                    401    ok     ok    ok        404      ok    ok   ok
PATCH  projects/<project>                                    401    403    403   403       403      ok    403  403
PUT    projects/<project>/members/<user>                     401    403    403   403       403      ok    403  403
DELETE projects/<project>/members/<user>                     401    403    403   403       403      ok    403  403
GET    queue                                                 401    ok     ok    ok        ok       ok    ok   ok
GET    tokens                                                401    ok     ok    ok        ok       ok    ok   ok
POST   tokens                                                401    ok     ok    ok        ok       ok    403  403
DELETE tokens/<token_id>                                     401    404    ok    404       404      ok    403  403
GET    usage                                                 401    ok     ok    ok        ok       ok    ok   ok
GET    users                                                 401    403    403   403       403      ok    ok   ok
POST   users                                                 401    403    403   403       403      ok    403  403
GET    users/<user>                                          401    403    403   403       403      ok    ok   ok
PATCH  users/<user>                                          401    403    403   403       403      ok    403  403
GET    webhooks                                              401    ok     ok    ok        ok       ok    ok   ok
POST   webhooks                                              401    403    ok    ok        ok       ok    403  403
GET    webhooks/<webhook_id>                                 401    404    ok    404       404      ok    ok   ok
DELETE webhooks/<webhook_id>                                 401    403    ok    404       404      ok    403  403
GET    webhooks/<webhook_id>/deliveries                      401    404    ok    404       404      ok    ok   ok
POST   webhooks/<webhook_id>/deliveries/<delivery_id>/resend 401    403    ok    404       404      ok    403  403
POST   webhooks/<webhook_id>/test                            401    403    ok    404       404      ok    403  403
GET    workers                                               401    ok     ok    ok        ok       ok    ok   ok
POST   workers/<worker_id>/drain                             401    403    403   403       403      ok    403  403
DELETE workers/<worker_id>/drain                             401    403    403   403       403      ok    403  403
GET    /account                                              401    ok     ok    ok        ok       ok    ok   ok
POST   /account/tokens                                       401    ok     ok    ok        ok       ok    403  403
POST   /account/tokens/<token_id>/revoke                     401    404    ok    404       404      ok    403  403
GET    /admin                                                401    403    403   403       403      ok    ok   ok
GET    /admin/projects                                       401    403    403   403       403      ok    ok   ok
POST   /admin/projects                                       401    403    403   403       403      ok    403  403
POST   /admin/projects/<project>                             401    403    403   403       403      ok    403  403
POST   /admin/projects/<project>/members                     401    403    403   403       403      ok    403  403
POST   /admin/projects/<project>/members/<user>/remove       401    403    403   403       403      ok    403  403
GET    /admin/users                                          401    403    403   403       403      ok    ok   ok
POST   /admin/users                                          401    403    403   403       403      ok    403  403
POST   /admin/users/<user>                                   401    403    403   403       403      ok    403  403
POST   /admin/users/<user>/tokens                            401    403    403   403       403      ok    403  403
POST   /admin/users/tokens/<token_id>/revoke                 401    403    403   403       403      ok    403  403
GET    /admin/audit                                          401    403    403   403       403      ok    ok   ok
GET    /admin/webhooks                                       401    403    403   403       403      ok    ok   ok
GET    /admin/webhooks/<webhook_id>                          401    403    403   403       403      ok    ok   ok
POST   /admin/projects/<project>/limits                      401    403    403   403       403      ok    403  403
POST   /admin/projects/<project>/retention                   401    403    403   403       403      ok    403  403
POST   /admin/users/<user>/limits                            401    403    403   403       403      ok    403  403
POST   /admin/webhooks                                       401    403    403   403       403      ok    403  403
POST   /admin/webhooks/<webhook_id>/delete                   401    403    403   403       403      ok    403  403
POST   /admin/webhooks/<webhook_id>/test                     401    403    403   403       403      ok    403  403
POST   /admin/webhooks/<webhook_id>/deliveries/<delivery_id>/resend 401   403    403   403       403      ok    403  403
GET    /assets/<version>/<name>                              ok     ok     ok    ok        ok       ok    ok   ok
GET    /compare                                              401    ok     ok    ok        ok       ok    ok   ok
GET    /datasets                                             401    ok     ok    ok        ok       ok    ok   ok
GET    /datasets/<path:reference>                            401    ok     ok    ok        404      ok    ok   ok
GET    /docs                                                 401    ok     ok    ok        ok       ok    ok   ok
GET    /docs/scalar.js                                       401    ok     ok    ok        ok       ok    ok   ok
GET    /healthz                                              ok     ok     ok    ok        ok       ok    ok   ok
GET    /jobs/<job_id>                                        401    ok     ok    ok        404      ok    ok   ok
GET    /login                                                ok     ok     ok    ok        ok       ok    ok   ok
POST   /login                                                403    403    403   403       403      403   403  403
POST   /logout                                               401    ok     ok    ok        ok       ok    ok   ok
GET    /metrics                                              401    403    403   403       403      ok    ok   ok
GET    /new                                                  401    403    ok    ok        ok       ok    403  ok
POST   /new                                                  401    403    ok    ok        ok       ok    403  ok
GET    /queue                                                401    ok     ok    ok        ok       ok    ok   ok
GET    /readyz                                               401    ok     ok    ok        ok       ok    ok   ok
"""


LOOKS_LATE: Final = ("<token_id>", "<webhook_id>")
"""What a route looks for when the token of the request is known to be allowed to change it."""


class Line(NamedTuple):
    """A line of the table."""

    by_actor: dict[str, str]
    by_scope: dict[Scope, str]

    def expected(self, actor: str, scope: Scope) -> str:
        """Return the answer: what one may not see, or not do, comes before what the token may not do."""
        answer = self.by_actor[actor]
        return self.by_scope.get(scope, "ok") if answer == "ok" else answer


def _table() -> dict[str, Line]:
    heading, *lines = TABLE.strip().splitlines()
    assert heading.split() == [*ACTORS, "read", "submit"]
    found = {}
    for line in lines:
        method, path, *cells = line.split()
        by_scope = {Scope.READ: cells[-2], Scope.SUBMIT: cells[-1]}
        whole = path if path.startswith("/") else f"/api/v1/{path}"
        found[f"{method} {whole}"] = Line(dict(zip(ACTORS, cells[:-2], strict=True)), by_scope)
    return found


LINES: Final = _table()


def test_each_route_has_its_line(app: Flask) -> None:
    routes = {
        f"{method} {rule.rule}" for rule in app.url_map.iter_rules() for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert routes == LINES.keys()


def test_each_operation_that_is_described_has_its_line(http: FlaskClient) -> None:
    paths = (http.get("/api/v1/openapi.json").json or {})["paths"]
    described = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    assert described <= {line.replace("<", "{").replace(">", "}") for line in LINES}


@pytest.fixture
def lab(services: Services, make_spec: MakeSpec) -> Lab:
    return Lab(services, make_spec)


class Targets(NamedTuple):
    """What addresses name: what is there, or what is not."""

    job: str
    dataset: str
    token: str
    webhook: str
    delivery: str
    project: str = PROJECT
    user: str = "colleague"


NOTHING: Final = Targets("job_absent", "no-dataset", "tok_absent", "wh_absent", "whd_absent", "no-project")


def _path(route: str, targets: Targets) -> str:
    names = {
        "job_id": targets.job, "other_id": targets.job, "reference": targets.dataset, "project": targets.project,
        "webhook_id": targets.webhook, "delivery_id": targets.delivery, "token_id": targets.token, "user": targets.user,
        "worker_id": WORKER, "version": "v",
        "name": "secret-artifact" if "artifacts" in route else "best",
    }  # fmt: skip
    path = re.sub(r"<(?:path:)?(\w+)>", lambda match: names[match[1]], route.split()[1])
    return f"{path}?array=x" if path.endswith("/preview") else path


def _ask(app: Flask, lab: Lab, route: str, actor: str, scope: Scope, targets: Targets) -> TestResponse:
    headers = {} if actor == "nobody" else lab.headers(actor, scope)
    method = route.split()[0]
    body = {} if method == "GET" else {"json": {}}
    return app.test_client().open(_path(route, targets), method=method, headers=headers, **body)


@pytest.mark.parametrize("route", LINES)
def test_a_route_answers_whoever_may_call_it(route: str, app: Flask, lab: Lab) -> None:
    """What a request changed is another one for the next; one that was refused has changed nothing."""
    line, is_read = LINES[route], route.startswith("GET")
    targets = _new_targets(lab) if is_read else _new_targets_to_change(lab)
    for actor, scope in product(ACTORS, Scope):
        answer = _ask(app, lab, route, actor, scope, targets)
        assert answer.status_code < 500, answer.text
        expected = line.expected(actor, scope)
        if expected == "404" and any(name in route for name in LOOKS_LATE):
            expected = max(expected, line.by_scope.get(scope, "ok"), key=["ok", "404", "403"].index)
        assert _outcome(route, answer) == expected, f"{actor} with a token of the scope {scope}: {answer.text[:300]}"
        if expected == "ok" and not is_read:
            targets = _new_targets_to_change(lab)


def _outcome(route: str, answer: TestResponse) -> str:
    is_refusal = answer.status_code in {401, 403, 404} and not route.startswith("GET /assets/")  # there is no such file
    return str(answer.status_code) if is_refusal else "ok"


def _new_targets(lab: Lab) -> Targets:
    return Targets(lab.job(JobState.SUCCEEDED), lab.dataset("letters"), lab.token_id(), *lab.webhook())


def _new_targets_to_change(lab: Lab) -> Targets:
    return Targets(lab.job(), lab.dataset(), lab.token_id(), *lab.webhook())


def _names_something_hidden(route: str) -> bool:
    """Tell whether a route answers 404. A page of one's own tokens has more of them with each request of this test."""
    return "404" in LINES[route].by_actor.values() and "/account/tokens" not in route


@pytest.mark.parametrize("route", list(filter(_names_something_hidden, LINES)))
def test_what_somebody_may_not_see_is_answered_as_what_does_not_exist(route: str, app: Flask, lab: Lab) -> None:
    targets = _new_targets(lab)
    for actor in (actor for actor, answer in LINES[route].by_actor.items() if answer == "404"):
        for scope in Scope:
            hidden, missing = (_ask(app, lab, route, actor, scope, each) for each in (targets, NOTHING))
            assert hidden.status_code == missing.status_code
            assert _without(hidden, targets) == _without(missing, NOTHING)


def _without(answer: TestResponse, targets: Targets) -> tuple[str, dict[str, str]]:
    """Return an answer without what the request named, and without the number of the request."""
    text = answer.text
    for name, value in targets._asdict().items():
        text = text.replace(value, f"<{name}>")
    headers = {name: value for name, value in answer.headers.items() if name not in {"X-Request-Id", "Content-Length"}}
    return text.replace(answer.headers["X-Request-Id"], ""), headers


def test_each_user_of_the_lab_is_in_the_table() -> None:
    assert {"nobody", *USERS} == set(ACTORS)
