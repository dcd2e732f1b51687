"""Take the pictures of the pages in `docs/`: `python -m tools.make_screenshots`.

It starts the service, trains three networks on handwritten digits, and opens their pages in an installed Chromium.
"""

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

import fitqueue
from service.stack import Stack
from tools.installed_browser import find_browser

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
EXAMPLE = ROOT / "examples" / "digits_cnn.json"
SIZE = {"width": 1280, "height": 860}
EPOCHS = 24
RATES = {"cnn-fast": 0.003, "cnn": 0.001, "cnn-slow": 0.0002}
MAX_MILLISECONDS = 300_000


def main() -> None:
    browser_path = find_browser()
    if browser_path is None:
        raise SystemExit("No browser is installed; on Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), port=0, echo=print) as stack:
        client = fitqueue.Client(stack.url, stack.token)
        ended = [client.wait(client.submit(_job(name, rate)).id).id for name, rate in RATES.items()]
        running = client.submit(_job("cnn-again", 0.0005)).id
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path, chromium_sandbox=False)
            page = browser.new_page(viewport=SIZE)
            page.goto(client.login_link(running))
            _wait_for_epoch(page, 14)
            page.screenshot(path=DOCS / "page-job.png")
            page.goto(f"{stack.url}/compare?{'&'.join(f'job={job_id}' for job_id in ended)}")
            expect(page.locator(".plot .main-svg").first).to_be_visible(timeout=MAX_MILLISECONDS)
            page.wait_for_load_state("networkidle")
            page.screenshot(path=DOCS / "page-compare.png")
            browser.close()
        client.cancel(running)


def _job(name: str, rate: float) -> dict[str, Any]:
    """Return the example with another learning rate, and without the callback that would end it early."""
    job: dict[str, Any] = copy.deepcopy(json.loads(EXAMPLE.read_text()))
    job["name"] = name
    job["fit"]["epochs"] = EPOCHS
    job["compile"]["optimizer"]["config"]["lr"] = rate
    job["callbacks"] = [one for one in job["callbacks"] if one["class_name"] == "ReduceLROnPlateau"]
    return job


def _wait_for_epoch(page: Page, epoch: int) -> None:
    heading = page.locator("#epochs tbody th", has_text=str(epoch))
    expect(heading.first).to_be_visible(timeout=MAX_MILLISECONDS)


if __name__ == "__main__":
    main()
