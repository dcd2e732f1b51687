"""Celery as a worker hears it: the bell's settings on the receiving side, each with its reason."""

import logging

from celery import Celery

from service.queue import make_celery


def make_app(redis_url: str, slots: int) -> Celery:
    app = make_celery(redis_url)
    app.conf.update(
        # Threads: a process of the prefork pool is daemonic and may start no children.
        worker_pool="threads",
        worker_concurrency=slots,
        # A bell that waits behind a training is a bell that an idle worker does not hear.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        # Early: a late one is redelivered when training outlasts the visibility timeout, and heard twice.
        task_acks_late=False,
        # A bell rings once; that Redis was lost while its job is trained says nothing about the job.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # A dead Redis is waited for without an end; meanwhile the database is asked.
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # The sender's bounds are for requests that people wait for. A receiver waits for messages anyway.
        broker_connection_timeout=4,
        broker_transport_options={
            "socket_connect_timeout": 2.0,
            "socket_timeout": 10.0,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        # Nobody talks to workers through Celery: commands and events would only be traffic, and a way in.
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        # Our logs are JSON lines already.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    logging.getLogger("celery").setLevel(logging.WARNING)  # it tells of every bell twice
    return app
