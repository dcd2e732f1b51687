"""The application of `quick_settings.py`."""

import os

from service.app import create_app
from service.checker import Checker
from service.logs import configure_logging
from service.settings import Settings

settings = Settings()
configure_logging(settings.log_level)
checker = None
if os.environ["TEST_CHECKS"] == "1":
    checker = Checker()
    checker.start()
app = create_app(settings, checker)
