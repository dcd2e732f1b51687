"""The settings of gunicorn for an API that may have no model checker, and whose server has less time for a client."""

import os

from service.gunicorn_settings import *  # noqa: F403 -- gunicorn reads its settings from the names in a module
from service.server import pace, worker

wsgi_app = "tests.integration.server.quick_api:app"
if "TEST_ROUND_SECONDS" in os.environ:
    worker_class = "tests.integration.server.busy_worker.BusyWorker"
worker.HEAD_SECONDS = float(os.environ["TEST_HEAD_SECONDS"])  # type: ignore[misc]
pace.STALL_SECONDS = float(os.environ["TEST_STALL_SECONDS"])  # type: ignore[misc]
