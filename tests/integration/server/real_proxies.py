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


def documented_certificate() -> tuple[str, str]:
    """Return what the manual has for a private network: the command for nginx, and Caddy's configuration."""
    page = section(section(text_of("operating.md"), "Behind a proxy"), "A certificate of your own", 3)
    [command] = re.findall(r"^```sh\n(openssl .*?)^```$", page, re.MULTILINE | re.DOTALL)
    [configuration] = re.findall(r"^```caddy\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return str(command), str(configuration)


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
    configuration = replaced(documented(program, prefix), **changes)
    if program == "caddy":
        configuration = configuration.replace(" {\n", f" {{\n\ttls {certificate.file} {certificate.key}\n", 1)
    with _running(program, configuration, api_port, certificate, folder, "localhost") as port:
        yield Proxy(f"https://localhost:{port}{prefix}", prefix, folder / "proxy.log")


@contextmanager
def private_proxy(program: str, api_port: int, folder: Path, host: str) -> Iterator[tuple[str, Path]]:
    """Run a proxy with a certificate as the manual says; return its address, and the certificate to trust."""
    command, configuration = documented_certificate()
    certificate = Certificate(folder / "certificate.pem", folder / "key.pem")
    trusted = folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    if program == "nginx":
        configuration, trusted = documented("nginx", ""), certificate.file
        command = replaced(command, **_paths(certificate, NAME), **{f"/CN={NAME}": f"/CN={host}"})
        subprocess.run(["sh", "-c", command.replace(NAME, host)], check=True, capture_output=True)
    with _running(program, configuration, api_port, certificate, folder, host) as port:
        yield f"https://{host}:{port}", trusted


@contextmanager
def _running(
    program: str, configuration: str, api_port: int, certificate: Certificate, folder: Path, host: str
) -> Iterator[int]:
    """Run a proxy on an address of this machine, and return its port."""
    path, address = find_program(program), socket.gethostbyname(host)
    assert path is not None, f"{program} is not installed"
    port, log = free_port(0, address), folder / "proxy.log"
    configuration = replaced(configuration, **{"127.0.0.1:8765": f"127.0.0.1:{api_port}"})
    if program == "nginx":
        command = _write_nginx(configuration, host, address, port, certificate, folder)
    else:
        command = _write_caddy(configuration, host, address, port, folder)
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with log.open("wb") as file:
        process = subprocess.Popen([path, *command], env=environment, stdout=file, stderr=file)
    try:
        until(lambda: _listens(process, address, port, log), 60, f"{program} listens")
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(300)


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


def _paths(certificate: Certificate, host: str) -> dict[str, str]:
    """Return the paths that the manual names, with those of a test."""
    return {
        f"/etc/ssl/certs/{host}.pem": str(certificate.file),
        f"/etc/ssl/private/{host}.key": str(certificate.key),
    }


def _write_nginx(
    configuration: str, host: str, address: str, port: int, certificate: Certificate, folder: Path
) -> list[str]:
    changes = {**_paths(certificate, NAME), "listen 443 ": f"listen {address}:{port} ", NAME: host}
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{replaced(configuration, **changes)}}}\n"
    )
    return ["-p", str(folder), "-c", str(file), "-e", "stderr"]


def _write_caddy(configuration: str, host: str, address: str, port: int, folder: Path) -> list[str]:
    site = f"https://{host}:{port} {{\n\tbind {address}"
    file = folder / "Caddyfile"
    file.write_text(
        "{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n"
        f"{replaced(configuration, **{f'{NAME} {{': site})}"
    )
    return ["run", "--config", str(file), "--adapter", "caddyfile"]


def _listens(process: "subprocess.Popen[bytes]", address: str, port: int, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        with socket.create_connection((address, port), 5):
            return True
    except OSError:
        return False
