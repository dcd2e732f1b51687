"""Cannot download its data."""

import os

from says import begin

from workers.shared.protocol import Ended


def main(pipes):
    begin(pipes, Ended(reason="invalid_data", message="Keras could not load its data set 'mnist'.", may_pass=True))
    os._exit(0)
