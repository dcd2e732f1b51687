"""How a page is made of a template: its words, the addresses of its assets, and the headers that protect it."""

from typing import Any, Final

from flask import Response, render_template, url_for

from service.api import languages
from service.api.addresses import address_of
from service.pages import assets, words
from service.pages.parameters import url_with

# Everything from this service alone. Styles may be inline, because Plotly places its legend and its buttons by `style`
# attributes; a style cannot send anything anywhere, because pictures and fonts come from this service, too.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def render(template: str, status: int = 200, **context: Any) -> Response:
    """Return a page in the language of the request."""
    html = render_template(
        template,
        t=words.translate,
        asset=_asset_url,
        url_with=url_with,
        language=languages.preferred(),
        script_words=words.for_scripts(languages.preferred()),
        api=address_of(""),
        **context,
    )
    response = Response(html, status, mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    return languages.declare(response)


def _asset_url(name: str) -> str:
    return url_for("assets.asset", version=assets.version_of(name), name=name)
