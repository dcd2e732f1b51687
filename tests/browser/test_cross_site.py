"""Pages of other sites, which try to use the login of somebody who visits them."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page, expect

from service.store import jobs
from tests.browser.login import log_in
from tests.browser.problems import Problems
from tests.browser.rows import store_job
from tests.browser.serving import PreparedAPI
from tests.waiting import until

WRITES = """<!doctype html><title>evil</title>
<form method="post" action="{url}/api/v1/jobs/{job}/cancel" target="answer"><button>win</button></form>
<form method="post" action="{url}/logout" target="answer"><button>leave</button></form>
<iframe name="answer"></iframe>
<script>
async function forge() {{
    const cancel = "{url}/api/v1/jobs/{job}/cancel";
    const request = {{ method: "POST", mode: "no-cors", credentials: "include" }};
    await fetch(cancel, request).catch(() => null);
    await fetch(cancel, {{ ...request, referrerPolicy: "no-referrer" }}).catch(() => null);
    await fetch("{url}/api/v1/jobs", {{ ...request, body: "{{}}" }}).catch(() => null);
    document.title = "done";
}}
</script>
<button onclick="forge()">forge</button>"""


@pytest.fixture
def serve_page() -> Iterator[object]:
    """A function that serves HTML on a port of its own, and returns the port."""
    servers: list[ThreadingHTTPServer] = []

    def serve(html: str) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(html.encode() if self.path == "/" else b"")

            def log_message(self, format: str, *_: object) -> None:
                """Write nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return int(server.server_address[1])

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


# Browsers send a cookie to all ports of a host, and call them the same site: there only our own check helps.
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_forged_writes_change_nothing(
    page: Page, api: PreparedAPI, problems: Problems, serve_page: object, host: str
) -> None:
    problems.allow("evil|403|401|forbids frame|X-Frame|refused to connect|frame-ancestors|ERR_BLOCKED_BY|chrome-error")
    job_id = store_job(api.database, resources={"pool": "none"})
    log_in(page, api.url, api.token)
    port = serve_page(WRITES.format(url=api.url, job=job_id))
    page.goto(f"http://{host}:{port}/")
    answers: list[int] = []
    page.on("response", lambda response: answers.append(response.status) if response.url.startswith(api.url) else None)
    for name in ("win", "leave"):
        page.get_by_role("button", name=name).click()
    page.get_by_role("button", name="forge").click()
    expect(page).to_have_title("done")
    until(lambda: len(answers) >= 5, 60, "all writes were answered")
    assert set(answers) <= {401, 403}
    with api.database.read() as session:
        job = jobs.get(session, job_id)
        assert (job.state, job.version) == ("queued", 1)
    page.goto(f"{api.url}/jobs/{job_id}")
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
