"""The client, installed from its wheel into an environment of its own: without a server, and without TensorFlow."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.stack import Stack

ROOT = Path(__file__).parents[2]
NOT_NEEDED = {"tensorflow", "tensorflow_cpu", "keras", "h5py", "flask", "sqlalchemy", "celery", "redis"}

pytestmark = pytest.mark.timeout(1200)


def run(*command: str | Path, **environment: str) -> str:
    """Return what a command prints. It sees nothing of this environment."""
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), **environment}
    done = subprocess.run([*map(str, command)], env=variables, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def interpreter(version: str) -> Path:
    """Return a Python of this version; skip the test where there is none, except in CI."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    for path in [*installed, *(Path(folder) / f"python{version}" for folder in ("/usr/bin", "/usr/local/bin"))]:
        if path.exists():
            return path
    assert "CI" not in os.environ, f"Python {version} is not installed"
    pytest.skip(f"Python {version} is not installed")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module", params=["3.11", "3.12", "3.13"])
def environment(wheel: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Yield an environment with the wheel and what it asks for, at the pinned versions."""
    folder = tmp_path_factory.mktemp("client") / "venv"
    run(interpreter(request.param), "-m", "venv", folder)
    pins = folder / "pins.txt"
    pins.write_text("\n".join(re.findall(r"^\S+==[^\\\n]*", (ROOT / "requirements/service.txt").read_text(), re.M)))
    run(folder / "bin/python", "-m", "pip", "install", "--quiet", "--constraint", pins, wheel)
    return folder


def test_it_brings_no_server_and_no_tensorflow(environment: Path) -> None:
    names = {path.name.lower() for path in environment.glob("lib/python*/site-packages/*")}
    assert NOT_NEEDED & names == set()
    assert {"fitqueue", "httpx"} <= names


def test_it_talks_to_a_service(environment: Path, stack: Stack) -> None:
    job = ROOT / "examples" / "digits_cnn.json"
    run(
        environment / "bin/fitqueue", "submit", job, "--dry-run", FITQUEUE_URL=stack.url, FITQUEUE_TOKEN=stack.token
    )  # fmt: skip
    program = "import fitqueue; print(len(list(fitqueue.Client().datasets())))"
    said = run(environment / "bin/python", "-c", program, FITQUEUE_URL=stack.url, FITQUEUE_TOKEN=stack.token)
    assert int(said) > 0


def test_it_manages_users_and_tokens_by_the_api(environment: Path, stack: Stack) -> None:
    service = {"FITQUEUE_URL": stack.url, "FITQUEUE_TOKEN": stack.token}
    assert "admin" in run(environment / "bin/fitqueue", "user", "list", **service)
    token = run(environment / "bin/fitqueue", "token", "create", "phone", "--scope", "read", **service).strip()
    assert "phone" in run(environment / "bin/fitqueue", "me", **{**service, "FITQUEUE_TOKEN": token})


def test_fit_md_gives_its_sizes(wheel: Path, environment: Path) -> None:
    text = (ROOT / "docs" / "fit.md").read_text()
    wheel_size, environment_size = re.search(r"The wheel has ([\d.]+) MB; .* grows by (\d+) MB", text).groups()  # type: ignore[union-attr]
    site = next(environment.glob("lib/python*/site-packages"))
    grown = sum(
        file.stat().st_size
        for entry in site.iterdir()
        if not entry.name.startswith(("pip", "setuptools"))
        for file in [entry, *entry.rglob("*")]
        if file.is_file()
    )
    assert float(wheel_size) * 1e6 == pytest.approx(wheel.stat().st_size, rel=0.3)
    assert float(environment_size) * 1e6 == pytest.approx(grown, rel=0.3)
