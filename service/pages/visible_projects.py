"""The projects that a page offers: those that its user sees."""

from service.api.context import Services, principal
from service.store import projects


def read_names(services: Services) -> list[str]:
    """Return the names of the projects that the user sees, in alphabetical order."""
    with services.database.read() as session:
        return [project.name for project in projects.list_all(session, principal().viewer)]
