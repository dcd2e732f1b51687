"""The real stack, started by the same code as `make up`, and used only through the client."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fitqueue
from service.stack import Stack

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("var"), port=0) as stack:
        yield stack


@pytest.fixture(scope="session")
def client(stack: Stack) -> fitqueue.Client:
    return fitqueue.Client(stack.url, stack.token)


@pytest.fixture
def digits_job() -> dict[str, Any]:
    """Return the example that `make demo` trains."""
    return json.loads((EXAMPLES / "digits_cnn.json").read_text())


@pytest.fixture
def endless_job(digits_job: dict[str, Any]) -> dict[str, Any]:
    """Return a job that trains until it is stopped."""
    return digits_job | {"fit": {"epochs": 100_000, "batch_size": 64}, "callbacks": []}
