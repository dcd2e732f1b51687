"""Many checks of a large model at once: they are bounded, and nobody else waits for them."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import httpx
import pytest

from service.api.context import REQUEST_THREADS
from service.check_queue import MAX_PER_USER
from tests.integration.server.conftest import Serve, Server, stop
from tests.waiting import ANSWER_SECONDS, until

LAYERS = 1_099


def job(layers: int) -> dict[str, Any]:
    """Return a legal job whose model has this many layers."""
    dense = [{"class_name": "Dense", "config": {"units": 4, "activation": "relu"}} for _ in range(layers - 2)]
    last = {"class_name": "Dense", "config": {"units": 10, "activation": "softmax"}}
    return {
        "model": {"class_name": "Sequential", "config": {"layers": [{"class_name": "Flatten"}, *dense, last]}},
        "compile": {"optimizer": "adam", "loss": "sparse_categorical_crossentropy"},
        "data": {"dataset": "digits", "x": "x_train", "y": "y_train"},
    }


def dry_run(server: Server, body: dict[str, Any]) -> httpx.Response:
    address = f"http://127.0.0.1:{server.port}/api/v1/jobs?dry_run=true"
    headers = {"Authorization": f"Bearer {server.token}"}
    return httpx.post(address, json=body, headers=headers, timeout=10 * ANSWER_SECONDS)


@pytest.fixture
def server_with_checks(serve: Serve) -> Iterator[Server]:
    server = serve(checks=True)
    until(lambda: dry_run(server, job(2)).json()["model"] is not None, ANSWER_SECONDS, "the checker is ready")
    yield server
    stop(server)  # the checker takes half a GiB


def test_checks_of_a_large_model_stop_nobody_else(server_with_checks: Server) -> None:
    server = server_with_checks
    body, asked = job(LAYERS), 0
    with ThreadPoolExecutor(REQUEST_THREADS) as pool:
        requests = [pool.submit(dry_run, server, body) for _ in range(REQUEST_THREADS)]
        while wait(requests, timeout=0.05).not_done:
            server.assert_answers()
            asked += 1
    answers = [request.result() for request in requests]
    statuses = Counter(answer.status_code for answer in answers)
    assert asked > 1, "others were answered while the models were checked"
    assert statuses[200] >= MAX_PER_USER, "those that the user may have were checked"
    assert statuses.keys() <= {200, 429, 503}
    for answer in answers:
        if answer.status_code != 200:
            assert answer.json()["code"] in ("checker_busy", "too_many_requests")
            assert int(answer.headers["Retry-After"]) > 0
