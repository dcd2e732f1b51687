"""The API as a WSGI application."""

from flask import Flask
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.info import Info
from flask_openapi3.models.server import Server
from flask_openapi3.openapi import OpenAPI

from fitqueue import __version__
from fitqueue.views import Problem
from service.api import (
    access,
    actions,
    artifacts,
    audit,
    authentication,
    catalogue,
    checkpoints,
    compression,
    context,
    cors,
    datasets,
    diff,
    docs,
    errors,
    events,
    health,
    jobs,
    login_links,
    logs,
    me,
    metrics,
    news,
    overdue,
    owner_usage,
    previews,
    projects,
    prometheus,
    queue,
    request_limits,
    requests,
    tokens,
    usage,
    users,
    webhooks,
    workers,
)
from service.api.context import REQUEST_THREADS, Services
from service.checker import Checker
from service.db import Database
from service.forwarding import ForwardedRequests, TrustedProxies
from service.login_proxy import LoggedInRequests, LoginProxies
from service.pages import assets, login
from service.pages.blueprint import blueprint as pages
from service.queue import Notifier
from service.settings import Settings
from service.storage import REQUEST_RETRY_TIMEOUT, open_storage
from service.storage_marking import identity_reader
from service.store.forecasts import Forecaster

_BLUEPRINTS: tuple[APIBlueprint, ...] = (
    jobs.blueprint,
    actions.blueprint,
    queue.blueprint,
    metrics.blueprint,
    events.blueprint,
    logs.blueprint,
    news.blueprint,
    usage.blueprint,
    owner_usage.blueprint,
    diff.blueprint,
    login_links.blueprint,
    checkpoints.blueprint,
    artifacts.blueprint,
    datasets.blueprint,
    previews.blueprint,
    workers.blueprint,
    me.blueprint,
    tokens.blueprint,
    users.blueprint,
    audit.blueprint,
    projects.blueprint,
    webhooks.blueprint,
    health.blueprint,
    catalogue.blueprint,
    prometheus.blueprint,
)

_INFO = Info(
    title="FitQueue",
    version=__version__,
    description="model.fit as a service: submit a Keras job as data, watch it train, fetch its best weights.",
)


def create_app(settings: Settings, checker: Checker | None = None) -> Flask:
    """Make the application. It does not connect yet: it starts, and answers `/healthz`, while the database is down.

    Args:
        checker: checks the models of jobs; None: jobs are accepted unchecked.
    """
    app = OpenAPI(
        __name__,
        info=_INFO,
        servers=[Server(url="/")],
        security_schemes={"token": {"type": "http", "scheme": "bearer"}},
        openapi_extensions={"security": [{"token": []}]},
        validation_error_model=Problem,
        validation_error_callback=errors.raise_invalid_parameters,
        doc_ui=False,
        static_folder=None,
    )
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it
    database = Database(settings.database_url, REQUEST_THREADS)
    app.extensions[context.EXTENSION] = Services(
        settings=settings,
        database=database,
        storage=open_storage(settings, REQUEST_RETRY_TIMEOUT, identity_reader(database)),
        notifier=Notifier(settings.redis_url),
        checker=checker,
        forecaster=Forecaster(settings.lease_seconds, settings.turns_by),
    )
    forwarded = ForwardedRequests(app.wsgi_app, TrustedProxies(settings.trusted_proxies))
    app.wsgi_app = LoggedInRequests(  # type: ignore[method-assign]  # as Flask documents it
        forwarded, LoginProxies(settings.login_header, settings.login_proxies)
    )
    requests.register(app)
    compression.register(app)
    authentication.register(app)
    request_limits.register(app)
    access.register(app)
    overdue.register(app)
    errors.register(app)
    cors.register(app, settings.cors_origins)
    for blueprint in _BLUEPRINTS:
        app.register_api(blueprint)
    for pages_blueprint in (docs.blueprint, pages, assets.blueprint, login.blueprint):
        app.register_blueprint(pages_blueprint)
    return app
