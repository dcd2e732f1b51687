"""The settings of gunicorn for an API whose database calls sometimes fail."""

from service.gunicorn_settings import *  # noqa: F403 -- gunicorn reads its settings from the names in a module
from tests.unreliable import make_unreliable

make_unreliable()
