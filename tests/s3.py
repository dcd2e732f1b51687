"""A real server of S3's protocol, which can be stopped and started again with all that was stored."""

import urllib.request
import uuid
from typing import TYPE_CHECKING

from service.processes import free_port
from service.storage_address import Bucket

if TYPE_CHECKING:
    from moto.server import ThreadedMotoServer


class S3Server:
    def __init__(self) -> None:
        self.port = free_port(0)
        self.url = f"http://127.0.0.1:{self.port}"
        self._server: ThreadedMotoServer | None = None

    def start(self) -> None:
        if self._server is None:
            # Imported here: it takes seconds, and few of the tests that load this module start a server.
            from moto.server import ThreadedMotoServer

            self._server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
            self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def new_bucket(self) -> Bucket:
        name = f"fitqueue-{uuid.uuid4().hex[:12]}"
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/{name}", method="PUT")).close()
        return Bucket(name, "some/where")

    @property
    def variables(self) -> dict[str, str]:
        """What an operator sets to reach it."""
        return {
            "AWS_ACCESS_KEY_ID": "fitqueue-id",
            "AWS_SECRET_ACCESS_KEY": "fitqueue-secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
        }
