"""`fitqueue open`: an address that logs a browser in."""

from typing import Any

import httpx
import pytest

from fitqueue.client import Client
from tests.waiting import ANSWER_SECONDS


def _opened(link: str) -> httpx.Response:
    """Return the page to which the link leads a browser."""
    headers = {"Accept": "text/html"}
    with httpx.Client(follow_redirects=True, headers=headers, trust_env=False, timeout=ANSWER_SECONDS) as browser:
        return browser.get(link)


def test_the_printed_address_opens_the_jobs(run: Any, client: Client) -> None:
    code, out, _ = run("open", "--print")
    assert code == 0
    assert out.startswith(f"{client.url}/login?link=")
    page = _opened(out.strip())
    assert page.status_code == 200
    assert str(page.url) == f"{client.url}/"
    assert _opened(out.strip()).status_code == 401, "it works once"


def test_it_opens_the_page_of_a_job(
    run: Any, job: dict[str, Any], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    job_id = client.submit(job).id
    code, out, err = run("open", job_id)
    assert (code, out) == (0, "")
    assert "The browser is opening." in err
    page = _opened(opened[0])
    assert page.status_code == 200
    assert page.url.path.endswith(f"/jobs/{job_id}")


def test_where_no_browser_opens_the_address_is_printed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webbrowser.open", lambda url: False)
    code, out, _ = run("open")
    assert code == 0
    assert _opened(out.strip()).status_code == 200
