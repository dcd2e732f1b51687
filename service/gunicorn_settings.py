"""The settings of gunicorn, which serves the API: `gunicorn --config python:service.gunicorn_settings`.

One process, because a request takes milliseconds; many threads, because a long poll only takes a thread.
"""

import gc

from service.api.context import REQUEST_THREADS
from service.init_process import continue_below_init
from service.logs import JSONFormatter
from service.processes import host_and_port
from service.secrecy import hide_secrets
from service.server.connections import MAX_CONNECTIONS
from service.settings import Settings

hide_secrets()
continue_below_init()
_settings = Settings()

wsgi_app = "service.wsgi:app"
bind = host_and_port(_settings.host, _settings.port)
worker_class = "service.server.worker.BoundedThreadWorker"
threads = REQUEST_THREADS
# The worker has limits of its own, and accepts a connection more before it closes one.
worker_connections = 2 * MAX_CONNECTIONS
graceful_timeout = 5
control_socket_disable = True
# `service/forwarding.py` reads what proxies say. gunicorn knows only some of it, and would let them change the path.
forwarded_allow_ips = ",".join(_settings.trusted_proxies)
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": JSONFormatter}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"level": _settings.log_level, "handlers": ["stderr"]},
    # The application logs each request, with its id.
    "loggers": {"gunicorn.error": {"handlers": [], "propagate": True}, "gunicorn.access": {"handlers": []}},
}


def post_worker_init(_worker: object) -> None:
    """Leave the objects that exist now out of garbage collections, which would take a tenth of a second each.

    An answer with the metrics of thousands of epochs makes several of them happen.
    """
    gc.collect()
    gc.freeze()
