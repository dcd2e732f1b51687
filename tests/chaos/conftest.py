"""Chaos is run by itself, by `make chaos`: it takes minutes and both hands."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "chaos" in config.getoption("-m"):
        return
    for item in items:
        if "chaos" in item.keywords and item.get_closest_marker("chaos"):
            item.add_marker(pytest.mark.skip(reason="`make chaos` runs it"))
