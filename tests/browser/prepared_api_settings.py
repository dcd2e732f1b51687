"""The settings of gunicorn for an API without a model checker, which would load TensorFlow."""

from service.gunicorn_settings import *  # noqa: F403 -- gunicorn reads its settings from the names in a module

wsgi_app = "tests.browser.prepared_api:app"
