"""What a browser reports about pages, which must be nothing."""

import re
from dataclasses import dataclass, field
from typing import Final

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, WebError

_REPORT_VIOLATIONS: Final = """
document.addEventListener('securitypolicyviolation', violation => reportViolation(
    `${violation.effectiveDirective} forbids ${violation.blockedURI} at ${violation.sourceFile}:${violation.lineNumber}`
));
"""

_LEFT_UNFINISHED: Final = "net::ERR_ABORTED"
"""Why a request failed whose page was left, or whose answer became a download. No page can avoid that."""


@dataclass
class Problems:
    """Collects console messages, exceptions, failed requests, and what the Content-Security-Policy forbade.

    An answer with an error status counts, too, because Chromium writes it to the console.
    """

    seen: list[str] = field(default_factory=list)
    _allowed: list[re.Pattern[str]] = field(default_factory=list)

    def allow(self, pattern: str) -> None:
        """Expect problems in which this regular expression occurs, reported before or after this call."""
        self._allowed.append(re.compile(pattern))

    @property
    def unexpected(self) -> list[str]:
        """What was reported and is not allowed."""
        return [problem for problem in self.seen if not any(allowed.search(problem) for allowed in self._allowed)]

    def collect_from(self, context: BrowserContext) -> None:
        """Collect what all pages of the context report from now on."""
        context.on("console", self._add_message)
        context.on("weberror", self._add_exception)
        context.on("requestfailed", self._add_request)
        context.on("page", lambda page: page.on("crash", self._add_crash))
        context.expose_function("reportViolation", self._add_violation)
        context.add_init_script(_REPORT_VIOLATIONS)

    def _add_message(self, message: ConsoleMessage) -> None:
        place = message.location
        self.seen.append(f"console.{message.type}: {message.text} ({place['url']}:{place['lineNumber']})")

    def _add_exception(self, error: WebError) -> None:
        self.seen.append(f"exception: {error.error.stack or error.error}")

    def _add_request(self, request: Request) -> None:
        if request.failure != _LEFT_UNFINISHED:
            self.seen.append(f"failed request: {request.method} {request.url}: {request.failure}")

    def _add_crash(self, page: Page) -> None:
        self.seen.append(f"crash: {page.url}")

    def _add_violation(self, text: str) -> None:
        self.seen.append(f"policy: {text}")
