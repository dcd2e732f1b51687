"""How a test logs in."""

from urllib.parse import quote

import httpx
from playwright.sync_api import Page

from tests.waiting import ANSWER_SECONDS


def log_in(page: Page, url: str, token: str, path: str = "/") -> None:
    """Open a page of the service by a link that logs in, as `fitqueue open` does."""
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.post(
        f"{url}/api/v1/login-links", headers=headers, trust_env=False, timeout=ANSWER_SECONDS
    ).raise_for_status()
    page.goto(f"{answer.json()['url']}&next={quote(path)}")
