"""Scripts, styles and pictures of the pages."""

import gzip
import re
import subprocess
import sys

from flask.testing import FlaskClient

from service.pages import assets


def _addresses(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="(/assets/[^"]+)"', page)


def test_a_page_loads_nothing_from_elsewhere_and_what_it_names_is_there(stranger: FlaskClient) -> None:
    page = stranger.get("/login").text
    found = _addresses(page)
    assert len(found) == 2
    for address in found:
        answer = stranger.get(address)
        assert answer.status_code == 200, "without a login: the page of the login needs them"
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_plotly_is_served_compressed_under_a_hash_of_its_own(stranger: FlaskClient) -> None:
    address = f"/assets/{assets.version_of(assets.PLOTLY)}/{assets.PLOTLY}"
    answer = stranger.get(address, headers={"Accept-Encoding": "gzip"})
    assert (answer.headers["Content-Encoding"], answer.mimetype) == ("gzip", "text/javascript")
    assert len(answer.data) < 2_000_000
    plain = stranger.get(address)
    assert gzip.decompress(answer.data) == plain.data
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert assets.version_of(assets.PLOTLY) != assets.version_of("dom.js")


def test_other_files_and_versions_are_not_served(stranger: FlaskClient) -> None:
    version = assets.version_of("dom.js")
    for address in (f"/assets/{version}/..%2fjobs.py", "/assets/0/dom.js", f"/assets/{version}/none.js", "/assets/"):
        assert stranger.get(address).status_code in {401, 404}


def test_the_python_side_of_plotly_is_not_imported() -> None:
    program = "import sys; from service.pages import assets; assets.version_of(assets.PLOTLY); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert "service.pages.assets" in loaded
    assert "plotly" not in loaded
