"""Celery as a worker hears it: the bell's settings on the receiving side, each with its reason."""

import logging
from collections.abc import Sequence

from celery import Celery
from kombu.entity import Queue

from service.queue import make_celery, queue_name


def make_app(redis_url: str, pools: Sequence[str], slots: int) -> Celery:
    app = make_celery(redis_url)
    app.conf.update(
        # No acknowledgements: a bell that is lost costs nothing, and one whose acknowledgement fails, because Redis
        # was lost at that moment, counts as being worked at for ever: the worker would hear no other.
        task_queues=[Queue(queue_name(pool), no_ack=True) for pool in pools],  # type: ignore[no-untyped-call] # kombu's
        # Threads: a process of the prefork pool is daemonic and may start no children.
        worker_pool="threads",
        worker_concurrency=slots,
        # A bell that waits behind a training is a bell that an idle worker does not hear.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
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
