"""The plain script as a Celery task, as people write it who queue trainings with Celery alone."""

import os

from celery import Celery

app = Celery("benchmark", broker=os.environ.get("BENCHMARK_REDIS"), backend=os.environ.get("BENCHMARK_REDIS"))
app.conf.update(worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)


@app.task  # type: ignore[untyped-decorator] # Celery has no types
def train(data: str, epochs: int, learning_rate: float, scale: float) -> None:
    # In the task, because TensorFlow does not survive the fork of a Celery worker that has used it.
    from benchmarks import plain_train

    plain_train.main(data, epochs, learning_rate, scale)
