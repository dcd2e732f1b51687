"""The description of the API: OpenAPI for programs, and a page for people that needs no other server."""

import json
from importlib import resources
from typing import Final

from flask import Blueprint, Response, current_app, url_for
from flask_openapi3.openapi import OpenAPI

from service.api import PREFIX
from service.api.addresses import root
from service.api.description import describe

blueprint = Blueprint("docs", __name__)

_DESCRIPTION: Final = "fitqueue-description"

# Without the features that send requests to other servers, which `_POLICY` would refuse.
_CONFIGURATION: Final = json.dumps(
    {
        "withDefaultFonts": False,
        "telemetry": False,
        "hideClientButton": True,
        "showDeveloperTools": "never",
        "agent": {"disabled": True},
    }
)


def _page() -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>FitQueue API</title>
<link rel="icon" href="data:,">
</head>
<body>
<p style="margin: 0; padding: 0.5rem 1rem; font: 15px system-ui, sans-serif"><a href="{root()}/">← FitQueue</a></p>
<script id="api-reference" data-url="{url_for(".openapi")}" data-configuration='{_CONFIGURATION}'></script>
<script src="{url_for(".script")}"></script>
</body>
</html>
"""


# Only the page's own script and styles, and requests to this service.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@blueprint.get("/docs")
def page() -> Response:
    return Response(_page(), mimetype="text/html", headers={"Content-Security-Policy": _POLICY})


@blueprint.get("/docs/scalar.js")
def script() -> Response:
    file = resources.files("flask_openapi3_scalar") / "templates/scalar/js/scalar.standalone.js"
    response = Response(file.read_bytes(), mimetype="text/javascript")
    response.headers["Cache-Control"] = "private, max-age=86400"
    return response


@blueprint.get(f"{PREFIX}/openapi.json")
def openapi() -> Response:
    app = current_app
    assert isinstance(app, OpenAPI)
    if _DESCRIPTION not in app.extensions:
        app.extensions[_DESCRIPTION] = describe(app)
    description = {**app.extensions[_DESCRIPTION], "servers": [{"url": root() or "/"}]}
    return Response(app.json.dumps(description), mimetype="application/json")
