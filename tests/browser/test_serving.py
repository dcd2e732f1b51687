"""The whole service: a job is trained while its page is open, and the API is killed meanwhile."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from fitqueue.states import JobState
from tests.browser.login import log_in
from tests.browser.problems import Problems
from tests.browser.serving import WholeService
from tests.small_job import small_job
from tests.waiting import until

TRAINING_TIMEOUT = 600.0


def _drawn(page: Page, name: str) -> list[Any]:
    """Return the values of a metric that the page's curve shows."""
    curves = page.locator(f'figure[data-chart="metric-{name.removeprefix("val_")}"] .plot')
    if curves.count() == 0:
        return []
    read = "(plot, name) => plot.data?.find((trace) => trace.name === name)?.y ?? []"
    return list(curves.evaluate(read, name))


@pytest.mark.timeout(1500)  # the service starts within it, and trains
def test_a_page_follows_a_training_while_the_api_is_killed(
    page: Page, problems: Problems, service: WholeService
) -> None:
    problems.allow("ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE|ERR_SOCKET")
    job = service.client.submit({**small_job(120), "fit": {"epochs": 120, "batch_size": 64, "validation_split": 0.2}})
    log_in(page, service.url, service.token, f"/jobs/{job.id}")
    until(lambda: len(_drawn(page, "loss")) >= 2, TRAINING_TIMEOUT, "two epochs are drawn")
    service.kill_api()
    expect(page.locator("#connection")).to_have_text("The service does not answer. Trying again …")
    drawn_before = len(_drawn(page, "loss"))
    service.start_api()
    expect(page.locator("#connection")).to_be_hidden()
    until(lambda: len(_drawn(page, "loss")) > drawn_before, TRAINING_TIMEOUT, "the page goes on")
    assert service.client.wait(job.id).state is JobState.SUCCEEDED
    expect(page.locator(".state").first).to_have_text("succeeded")
    epochs = list(service.client.metrics(job.id))
    assert len(epochs) == 120
    for name in ("loss", "val_loss"):
        stored = [row.metrics[name] for row in epochs]
        until(lambda name=name, stored=stored: _drawn(page, name) == stored, TRAINING_TIMEOUT, f"{name} is drawn")
    expect(page.locator("#log")).to_contain_text("Epoch 120/120")
