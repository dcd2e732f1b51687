import platform
import subprocess
import sys
from importlib import metadata

import pytest

from fitqueue import __version__
from workers.supervisor.versions import versions


def test_the_programs_of_a_worker_have_versions_although_none_is_imported() -> None:
    program = "import sys; from workers.supervisor.versions import versions; versions(); print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"tensorflow", "keras"} & set(imported.stdout.split())
    found = versions()
    assert (found["fitqueue"], found["python"]) == (__version__, platform.python_version())
    assert found.get("keras") == next((d.version for d in metadata.distributions() if d.name == "keras"), None)


def test_tensorflow_may_be_the_one_for_cpus_or_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"fitqueue": "1.0", "tensorflow-cpu": "2.21.0"}

    def version(package: str) -> str:
        if package not in installed:
            raise metadata.PackageNotFoundError(package)
        return installed[package]

    monkeypatch.setattr(metadata, "version", version)
    assert versions() == {"python": platform.python_version(), "fitqueue": "1.0", "tensorflow": "2.21.0"}
