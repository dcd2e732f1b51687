"""`docs/architecture.md` names every folder of the code, and nothing that does not exist."""

import re
import tomllib
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

CONTRACTS: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
IGNORED_IMPORTS: Final = [expression for contract in CONTRACTS for expression in contract.get("ignore_imports", [])]
"""Imports inside of functions, of what is loaded when it is needed."""


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
    graph = grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)
    for expression in IGNORED_IMPORTS:
        for edge in graph.find_matching_direct_imports(expression):
            graph.remove_import(importer=edge["importer"], imported=edge["imported"])
    return graph


@pytest.mark.parametrize(("folder", "module"), FORBIDDEN_IMPORTS, ids=[f"{f}-{m}" for f, m in FORBIDDEN_IMPORTS])
def test_the_code_imports_nothing_that_the_table_forbids(imports: grimp.ImportGraph, folder: str, module: str) -> None:
    if module in imports.modules:
        assert imports.find_shortest_chains(folder, module, as_packages=True) == set()
