"""The Celery application of a worker: the settings of the receiving side, each with its reason."""

import logging
from collections.abc import Sequence

from celery import Celery
from kombu.entity import Queue

from service.queue import make_celery, queue_name


def make_app(redis_url: str, pools: Sequence[str], slots: int) -> Celery:
    """Return an application that receives the notifications of these pools."""
    app = make_celery(redis_url)
    app.conf.update(
        # No acknowledgements: a lost notification costs nothing. But if an acknowledgement fails because Redis dies at
        # that moment, Celery counts the task as running for ever, and the worker gets no other notification.
        task_queues=[Queue(queue_name(pool), no_ack=True) for pool in pools],  # type: ignore[no-untyped-call] # kombu's
        # Threads, because a process of the prefork pool is daemonic and must not start children.
        worker_pool="threads",
        worker_concurrency=slots,
        # A notification that waits behind a training is one that an idle worker does not get.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        # If Redis dies while a job trains, that says nothing about the job.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # Wait for a dead Redis without end; meanwhile the worker polls the database.
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # The sender's timeouts are short because users wait for requests. A receiver waits for messages anyway.
        broker_connection_timeout=4,
        broker_transport_options={
            "socket_connect_timeout": 2.0,
            "socket_timeout": 10.0,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        # Nobody controls workers through Celery: commands and events would only be traffic, and a way in.
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        # Our logs are JSON lines already.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    logging.getLogger("celery").setLevel(logging.WARNING)  # it logs each notification twice
    return app
