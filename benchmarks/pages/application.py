"""The API without its model checker: nothing is submitted, and the checker would load TensorFlow meanwhile."""

from service.app import create_app
from service.logs import configure_logging
from service.settings import Settings

settings = Settings()
configure_logging(settings.log_level)
app = create_app(settings)
