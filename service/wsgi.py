"""The application that gunicorn serves; see `service/gunicorn_settings.py`."""

from service.app import create_app
from service.checker import Checker
from service.logs import configure_logging
from service.settings import Settings

settings = Settings()
configure_logging(settings.log_level)
checker = Checker()
checker.start()
app = create_app(settings, checker)
