"""nginx and Caddy, run with the configurations of `docs/operating.md`."""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from service.processes import free_port
from tests.unit.docs.pages import section, text_of
from tests.waiting import until

NAME = "gpu.example.org"
"""The host in the documented configurations."""

PACKAGES = {"nginx": "nginx-light", "caddy": "caddy"}


@dataclass
class Proxy:
    """A running proxy."""

    url: str
    prefix: str
    log: Path


@dataclass
class Certificate:
    """A self-signed certificate for `localhost`, with its key in a file of its own."""

    file: Path
    key: Path


def documented(program: str, prefix: str) -> str:
    """Return the configuration that the manual has for this prefix."""
    page = section(section(text_of("operating.md"), "Behind a proxy"), {"nginx": "nginx", "caddy": "Caddy"}[program], 3)
    blocks = re.findall(rf"^```{program}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    [block] = [block for block in blocks if ("/fitqueue" in block) is bool(prefix)]
    return str(block)


def find_program(program: str) -> str | None:
    """Return the path of a program, None if it is not installed."""
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")


def missing_packages() -> list[str]:
    """Return the packages of Debian without which the proxies cannot run."""
    return [package for program, package in PACKAGES.items() if find_program(program) is None]


def replaced(text: str, **changes: str) -> str:
    """Replace each text that must occur."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextmanager
def running_proxy(
    program: str, prefix: str, api_port: int, certificate: Certificate, folder: Path, **changes: str
) -> Iterator[Proxy]:
    """Run a proxy with the documented configuration, other than its ports, its certificate and these texts."""
    path, port = find_program(program), free_port(0)
    assert path is not None, f"{program} is not installed"
    write = {"nginx": _write_nginx, "caddy": _write_caddy}[program]
    configuration = replaced(documented(program, prefix), **changes)
    assert "127.0.0.1:8765" in configuration
    command = write(configuration.replace("127.0.0.1:8765", f"127.0.0.1:{api_port}"), port, certificate, folder)
    log = folder / "proxy.log"
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with log.open("wb") as file:
        process = subprocess.Popen([path, *command], env=environment, stdout=file, stderr=file)
    try:
        until(lambda: _listens(process, port, log), 60, f"{program} listens")
        yield Proxy(f"https://localhost:{port}{prefix}", prefix, log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def make_certificate(folder: Path) -> Certificate:
    """Make a certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    made.file.write_bytes(certificate.public_bytes(Encoding.PEM))
    made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made


def _write_nginx(configuration: str, port: int, certificate: Certificate, folder: Path) -> list[str]:
    changes = {
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        NAME: "localhost",
        "/etc/ssl/certs/localhost.pem": str(certificate.file),
        "/etc/ssl/private/localhost.key": str(certificate.key),
    }
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{replaced(configuration, **changes)}}}\n"
    )
    return ["-p", str(folder), "-c", str(file), "-e", "stderr"]


def _write_caddy(configuration: str, port: int, certificate: Certificate, folder: Path) -> list[str]:
    site = f"https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {certificate.file} {certificate.key}"
    file = folder / "Caddyfile"
    file.write_text(
        f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{replaced(configuration, **{f'{NAME} {{': site})}"
    )
    return ["run", "--config", str(file), "--adapter", "caddyfile"]


def _listens(process: "subprocess.Popen[bytes]", port: int, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        with socket.create_connection(("127.0.0.1", port), 5):
            return True
    except OSError:
        return False
