"""Owners and projects on the pages, one's own account, and the pages for admins."""

import re
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

import fitqueue
from fitqueue.roles import Role
from service.store import projects, tokens, users
from tests.browser.accessibility import assert_accessible
from tests.browser.conftest import Look, OpenPage
from tests.browser.login import log_in
from tests.browser.problems import Problems
from tests.browser.serving import PreparedAPI
from tests.small_job import small_job

PATHS = {
    "account": "/account",
    "admin-users": "/admin/users?saved=user-{root}",
    "admin-projects": "/admin/projects?saved=project-{vision}",
    "admin-audit": "/admin/audit",
    "admin-webhooks": "/admin/webhooks",
    "owned-jobs": "/",
    "owned-queue": "/queue",
    "owned-datasets": "/datasets",
}


@dataclass(frozen=True)
class Lab:
    """An API with users, projects and jobs."""

    api: PreparedAPI
    tokens: dict[str, str]
    """The tokens of the users, by name."""
    job: str
    """A job of ada."""
    ids: dict[str, str]
    """The ids of a user and of a project."""

    def log_in(self, page: Page, user: str, path: str) -> None:
        log_in(page, self.api.url, self.tokens[user], path)


@pytest.fixture(scope="module")
def lab(api: PreparedAPI) -> Lab:
    secrets = {}
    with api.database.write() as session:
        vision = projects.create(session, "vision", is_open=False)
        people = {"root": Role.ADMIN, "ada": Role.MEMBER, "bob": Role.MEMBER, "vera": Role.VIEWER}
        for name, role in people.items():
            user = users.create(session, name, role)
            secrets[name] = tokens.issue(session, f"{name}’s <laptop>", user.id).secret
            projects.add_member(session, vision, user)
        ids = {"root": users.get(session, "root").id, "vision": vision.id}
    with fitqueue.Client(api.url, secrets["ada"]) as client:
        job = client.submit({**small_job(2), "name": "hers", "project": "vision"})
        client.submit({**small_job(2), "name": "hers, too"})
    with fitqueue.Client(api.url, secrets["bob"]) as client:
        client.submit({**small_job(2), "name": "his"})
    return Lab(api, secrets, job.id, ids)


def _nothing_sticks_out(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize("name", PATHS)
def test_a_page_in_each_appearance(page_in_each_appearance: Page, lab: Lab, look: Look, name: str) -> None:
    page = page_in_each_appearance
    lab.log_in(page, "root", PATHS[name].format(**lab.ids))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert _nothing_sticks_out(page)
    assert_accessible(page)
    look(page, name)


def test_buttons_are_there_for_those_who_may_use_them(open_page: OpenPage, lab: Lab, look: Look) -> None:
    for user, sees in (("ada", True), ("bob", False), ("vera", False), ("root", True)):
        page = open_page()
        lab.log_in(page, user, f"/jobs/{lab.job}")
        # The script asks for news and replaces the head: the buttons must still be the right ones.
        with page.expect_response(re.compile("/news")):
            page.reload()
        expect(page.get_by_role("button", name="Cancel")).to_have_count(int(sees))
        expect(page.get_by_text("It belongs to ada")).to_have_count(int(user == "bob"))
        if user == "bob":
            look(page, "job-of-another")
        page.goto(f"{lab.api.url}/")
        page.get_by_role("checkbox", name="Choose hers", exact=True).check()
        expect(page.locator("#choice").get_by_role("button", name="Cancel")).to_be_visible(visible=sees)
        expect(page.get_by_role("link", name="New job")).to_have_count(int(user != "vera"))
        expect(page.get_by_role("link", name="Administration")).to_have_count(int(user == "root"))


def test_a_list_shows_what_is_mine_and_what_is_of_a_project(page: Page, lab: Lab) -> None:
    lab.log_in(page, "ada", "/")
    rows = page.locator("table.jobs tbody tr")
    expect(rows).to_have_count(3)
    page.get_by_role("link", name="Mine").click()
    expect(rows).to_have_count(2)
    page.get_by_label("Project").select_option("vision")
    page.get_by_role("button", name="Filter").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("ada vision")
    page.get_by_role("link", name="Everybody’s").click()
    expect(page.get_by_label("Owner")).to_have_value("")


def test_a_token_is_created_copied_and_revoked(open_page: OpenPage, lab: Lab, look: Look) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    lab.log_in(page, "ada", "/account")
    page.get_by_label("Name").fill("notebook")
    page.get_by_label("Scope").select_option("read")
    page.get_by_label("Days until it expires").fill("30")
    page.get_by_role("button", name="Create a token").click()
    shown = page.locator("#new-token")
    expect(shown).to_contain_text("fq_")
    assert_accessible(page)
    look(page, "new-token")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == shown.text_content()
    page.get_by_role("link", name="Account").click()
    expect(page.locator("#new-token")).to_have_count(0)
    row = page.get_by_role("row", name=re.compile("notebook"))
    expect(row.locator("time").nth(1)).to_have_attribute("title", re.compile(r"\d{4}"))
    page.get_by_role("button", name="Revoke the token notebook").click()
    expect(page.locator("summary", has_text="1 revoked or expired")).to_be_visible()


def test_a_fault_is_said_beside_its_field(page: Page, lab: Lab, look: Look, problems: Problems) -> None:
    problems.allow("422")
    lab.log_in(page, "root", "/admin")
    form = page.get_by_role("region", name="New user")
    form.get_by_label("Name").fill("Ada Lovelace")
    form.get_by_role("button", name="Add").click()
    field = page.get_by_role("region", name="New user").get_by_label("Name")
    expect(field).to_have_value("Ada Lovelace")
    expect(field).to_have_accessible_description(re.compile("1 to 64 lower-case letters"))
    assert_accessible(page)
    look(page, "admin-fault")


def test_an_admin_manages_users_and_projects_without_a_script(open_page: OpenPage, lab: Lab) -> None:
    page = open_page(java_script_enabled=False)
    lab.log_in(page, "root", "/admin")
    form = page.get_by_role("region", name="New user")
    form.get_by_label("Name").fill("grace")
    form.get_by_label("Role").select_option("viewer")
    form.get_by_role("button", name="Add").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    entry = page.locator("details.entry", has_text="grace")
    entry.locator("summary").click()
    entry.get_by_label("Share").fill("2")
    entry.get_by_role("button", name="Save", exact=True).click()
    expect(entry.locator("summary")).to_contain_text("share 2")
    entry.get_by_role("button", name="Disable").click()
    expect(entry.locator("summary")).to_contain_text("disabled")
    page.get_by_role("link", name="Projects").click()
    form = page.get_by_role("region", name="New project")
    form.get_by_label("Name").fill("audio")
    form.get_by_label("Seen by").select_option("members only")
    form.get_by_role("button", name="Add").click()
    entry = page.locator("details.entry", has_text="audio")
    entry.locator("summary").click()
    entry.get_by_label("User").select_option("bob")
    entry.get_by_role("button", name="Add").click()
    expect(entry.get_by_role("listitem")).to_contain_text("bob")
    entry.get_by_role("button", name="Remove bob").click()
    expect(entry.get_by_role("listitem")).to_have_count(0)
    expect(entry.locator("summary")).to_contain_text("members: 0")


def test_others_are_told_that_administration_is_not_theirs(page: Page, lab: Lab, problems: Problems) -> None:
    problems.allow("403")
    lab.log_in(page, "vera", "/admin/users")
    expect(page.get_by_role("heading", level=1)).to_have_text("Not allowed")
    expect(page.get_by_text("vera is a viewer; this needs the role admin.")).to_be_visible()
    assert_accessible(page)
