"""The whole service, which a browser visits while the API is killed."""

import pytest
from playwright.sync_api import Error, Page, expect

from fitqueue.states import JobState
from tests.browser.login import log_in
from tests.browser.problems import Problems
from tests.browser.serving import WholeService
from tests.small_job import small_job


def test_the_api_comes_again_at_its_address(page: Page, problems: Problems, service: WholeService) -> None:
    problems.allow("scalar|ERR_CONNECTION_REFUSED")
    log_in(page, service.token)
    page.goto(f"{service.url}/docs")
    job = service.client.submit(small_job(2))
    service.kill_api()
    with pytest.raises(Error, match="ERR_CONNECTION_REFUSED"):
        page.goto(f"{service.url}/docs")
    service.start_api()
    page.goto(f"{service.url}/docs")
    expect(page.get_by_role("heading", name="FitQueue", exact=True)).to_be_visible()
    assert service.client.wait(job.id).state == JobState.SUCCEEDED
