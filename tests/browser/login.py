"""How a test logs in."""

from playwright.sync_api import Page


def log_in(page: Page, token: str) -> None:
    """Let the page's browser send the token with each request."""
    page.context.set_extra_http_headers({"Authorization": f"Bearer {token}"})
