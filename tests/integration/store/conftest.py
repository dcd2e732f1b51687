from collections.abc import Callable, Sequence
from typing import Any

import pytest

from service.db import Database
from service.store import leases
from service.store.gpus import VisibleGPU
from service.store.leases import ClaimedJob


@pytest.fixture
def claim(database: Database) -> Callable[..., ClaimedJob | None]:
    def claim(
        worker: str = "w1", pools: tuple[str, ...] = ("default",), gpus: Sequence[str] = (), seconds: float = 30.0
    ) -> ClaimedJob | None:
        with database.write() as session:
            return leases.claim(session, worker, pools, [VisibleGPU(uuid) for uuid in gpus], seconds)

    return claim


@pytest.fixture
def take(claim: Callable[..., ClaimedJob | None]) -> Callable[..., ClaimedJob]:
    """A claim that finds a job."""

    def take(*arguments: Any, **options: Any) -> ClaimedJob:
        claimed = claim(*arguments, **options)
        assert claimed is not None
        return claimed

    return take
