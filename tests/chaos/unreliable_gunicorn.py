"""gunicorn's settings for an API whose database fails now and then."""

from service.gunicorn_settings import *  # noqa: F403 -- gunicorn reads its settings from a module's names
from tests.unreliable import make_unreliable

make_unreliable()
