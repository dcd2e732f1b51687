"""Chaos tests run only when asked for, by `make chaos`: they take minutes and every processor."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "chaos" in config.getoption("-m"):
        return
    for item in items:
        if "chaos" in item.keywords and item.get_closest_marker("chaos"):
            item.add_marker(pytest.mark.skip(reason="run it with `make chaos`"))
