"""`docs/architecture.md` names every folder of the code, and nothing that does not exist."""

import re
from typing import Final

import grimp
import pytest

from tests.unit.docs.pages import ROOT, section, table_rows, text_of

PACKAGES: Final = ("fitqueue", "service", "workers", "migrations")
PAGE: Final = text_of("architecture.md")
FORBIDDEN_IMPORTS: Final = [
    (folder.strip("`").replace("/", "."), module)
    for folder, modules in table_rows(section(PAGE, "What each folder may not import", level=3))
    for module in re.findall(r"`([\w.]+)`", modules)
]


def code_folders() -> list[str]:
    """Return the folders that hold Python modules."""
    paths = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    return sorted(str(path.relative_to(ROOT)) for path in paths)


def test_the_table_has_every_folder() -> None:
    rows = table_rows(section(PAGE, "The folders").partition("\n### ")[0])
    assert sorted(folder.strip("`") for folder, _ in rows) == code_folders()


def test_every_path_and_module_exists() -> None:
    names = re.findall(r"`([\w./]+)`", PAGE) + re.findall(r"\b(?:service|workers)/\w+", PAGE)
    ours = {name for name in names if re.split(r"[./]", name)[0] in PACKAGES}
    paths = {name: ROOT / (name if "/" in name else name.replace(".", "/")) for name in ours}
    assert [name for name, path in paths.items() if not (path.exists() or path.with_suffix(".py").exists())] == []


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)


@pytest.mark.parametrize(("folder", "module"), FORBIDDEN_IMPORTS, ids=[f"{f}-{m}" for f, m in FORBIDDEN_IMPORTS])
def test_the_code_imports_nothing_that_the_table_forbids(imports: grimp.ImportGraph, folder: str, module: str) -> None:
    if module in imports.modules:
        assert imports.find_shortest_chains(folder, module, as_packages=True) == set()
