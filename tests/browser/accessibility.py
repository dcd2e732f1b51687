"""What axe finds: faults that keep people with a keyboard, a screen reader or weak eyes from using a page."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def assert_accessible(page: Page, *left_out: str) -> None:
    """Assert that axe finds no fault, apart from elements that these CSS selectors find and others have written."""
    context = {"exclude": [[selector] for selector in left_out]} if left_out else None
    faults = Axe().run(page, context=context).response["violations"]
    assert not faults, "\n\n".join(map(_describe, faults))


def _describe(fault: dict[str, Any]) -> str:
    lines = [f"{fault['id']} ({fault['impact']}): {fault['help']}. {fault['helpUrl']}"]
    for node in fault["nodes"]:
        lines.append(f"  {' '.join(map(str, node['target']))}: {' '.join(node['html'].split())[:200]}")
        lines += [f"    {check['message']}" for kind in ("any", "all", "none") for check in node[kind]]
    return "\n".join(lines)
