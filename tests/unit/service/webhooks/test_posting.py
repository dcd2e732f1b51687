"""Messages to receivers that are slow, lie, redirect, hang, or want no more."""

import datetime
import http.client
import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from fitqueue.webhooks import WebhookKind
from service.webhooks import addresses, posting
from service.webhooks.addresses import parse_networks
from service.webhooks.endpoint import parse_endpoint
from service.webhooks.message import Message
from service.webhooks.outcome import Outcome, Verdict
from service.webhooks.posting import post
from service.webhooks.sender import Sender
from service.webhooks.signing import new_secret
from tests.receivers import OK, Receiver

LOOPBACK = parse_networks(["127.0.0.0/8"])
PAYLOAD = {"type": "job.failed", "timestamp": "2026-01-02T03:04:05Z", "data": {"id": "job_1", "name": "数字 <1>"}}
BODY_OF_A_LIAR = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n{"


def _answered(answer: bytes | Callable[[Receiver], Callable[[socket.socket], None]], seconds: float = 30.0) -> Outcome:
    """Return what came of a message to a receiver that answers so."""
    with Receiver() as receiver:
        receiver.answer = answer(receiver) if callable(answer) else answer
        outcome = post(parse_endpoint(receiver.url), b"{}", {}, LOOPBACK, seconds)
        assert len(receiver.wait_for(1)) == 1
    return outcome


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (OK, Outcome(Verdict.DELIVERED, "200 OK")),
        (b"HTTP/1.1 204 \r\n\r\n", Outcome(Verdict.DELIVERED, "204 No Content")),
        (b"HTTP/1.1 299 Whatever the receiver says\r\n\r\n", Outcome(Verdict.DELIVERED, "299")),
        (b"HTTP/1.0 200 OK\r\n\r\n", Outcome(Verdict.DELIVERED, "200 OK")),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", Outcome(Verdict.RETRY, "103 Early Hints")),
        (b"HTTP/1.1 400 <script>\r\n\r\n", Outcome(Verdict.RETRY, "400 Bad Request")),
        (b"HTTP/1.1 410 Gone\r\n\r\n", Outcome(Verdict.GONE, "410 Gone")),
        (b"HTTP/1.1 503 Busy\r\n\r\n", Outcome(Verdict.RETRY, "503 Service Unavailable")),
        (BODY_OF_A_LIAR, Outcome(Verdict.DELIVERED, "200 OK")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Outcome(Verdict.DELIVERED, "200 OK")),
        (b"", Outcome(Verdict.RETRY, "no answer that is HTTP")),
        (b"SSH-2.0-OpenSSH\r\n", Outcome(Verdict.RETRY, "no answer that is HTTP")),
        (b"HTTP/1.1 abc OK\r\n\r\n", Outcome(Verdict.RETRY, "no answer that is HTTP")),
        (b"HTTP/1.1 200 " + b"x" * 100_000, Outcome(Verdict.RETRY, "no answer that is HTTP")),
        (b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1_000 + b"\r\n", Outcome(Verdict.RETRY, "no answer that is HTTP")),
    ],
)  # fmt: skip
def test_the_status_alone_decides_and_nothing_else_of_the_answer_is_kept(answer: bytes, outcome: Outcome) -> None:
    assert _answered(answer) == outcome


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with Receiver() as private:
        answer = f"HTTP/1.1 {status} Moved\r\nLocation: {private.url}\r\nContent-Length: 0\r\n\r\n".encode()
        outcome = _answered(answer)
        assert private.requests == []
    assert outcome.verdict is Verdict.RETRY
    assert outcome.status.endswith("; redirects are not followed")


@pytest.mark.parametrize("misbehave", [lambda receiver: receiver.hang, lambda receiver: receiver.drip])
def test_a_receiver_that_hangs_or_answers_byte_by_byte_is_left_in_time(misbehave: Any) -> None:
    began = time.monotonic()
    assert _answered(misbehave, seconds=0.4) == Outcome(Verdict.RETRY, "no answer within 0.4 s")
    assert 0.4 <= time.monotonic() - began < 20


def test_nobody_listens() -> None:
    with Receiver() as receiver:
        url = receiver.url
    assert post(parse_endpoint(url), b"{}", {}, LOOPBACK) == Outcome(Verdict.RETRY, "no connection")


def test_a_private_address_gets_no_connection() -> None:
    with Receiver() as receiver:
        refused = post(parse_endpoint(receiver.url), b"{}", {}, parse_networks(["10.0.0.0/8"]))
        by_name = post(parse_endpoint(receiver.url.replace("127.0.0.1", "localhost")), b"{}", {})
    assert refused == by_name == Outcome(Verdict.RETRY, "refused: the host has no public address")
    assert receiver.requests == []


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that were resolved. The first time, a name has the loopback address; from then on a private one."""
    names: list[str] = []
    original = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: Any, **options: Any) -> Any:
        if not host.endswith(".example.org"):
            return original(host, *arguments, **options)
        names.append(host)
        address = "127.0.0.1" if len(names) == 1 else "10.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", getaddrinfo)
    return names


def test_a_name_is_resolved_once_and_the_connection_goes_to_the_address_that_was_checked(resolved: list[str]) -> None:
    with Receiver() as receiver:
        endpoint = parse_endpoint(f"http://hooks.example.org:{receiver.port}/hook?a=1")
        assert post(endpoint, b'{"a":1}', {"webhook-id": "msg_1"}, LOOPBACK).verdict is Verdict.DELIVERED
        [request] = receiver.wait_for(1)
    assert resolved == ["hooks.example.org"]
    assert request.line == "POST /hook?a=1 HTTP/1.1"
    assert request.body == b'{"a":1}'
    assert request.headers["host"] == f"hooks.example.org:{receiver.port}"
    assert request.headers["webhook-id"] == "msg_1"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of `hooks.example.org` with its key, which nobody has signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example.org")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example.org")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "certificate.pem"
    path.write_bytes(signed.public_bytes(pem) + plain)
    return path


def _server_context(certificate: Path, names: list[str | None]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _, name, __: names.append(name)
    return context


def test_an_encrypted_connection_is_to_the_name_at_the_checked_address(
    resolved: list[str], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "_tls_context", lambda: ssl.create_default_context(cafile=str(certificate)))
    names: list[str | None] = []
    with Receiver(context=_server_context(certificate, names)) as receiver:
        endpoint = parse_endpoint(f"https://hooks.example.org:{receiver.port}/")
        assert post(endpoint, b"{}", {}, LOOPBACK, 30) == Outcome(Verdict.DELIVERED, "200 OK")
    assert (names, resolved) == (["hooks.example.org"], ["hooks.example.org"])


def test_a_certificate_that_nobody_has_signed_or_of_another_name_is_refused(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invalid = Outcome(Verdict.RETRY, "no encrypted connection: its certificate is not valid")
    with Receiver(context=_server_context(certificate, [])) as receiver:
        endpoint = parse_endpoint(f"https://127.0.0.1:{receiver.port}/")
        assert post(endpoint, b"{}", {}, LOOPBACK, 30) == invalid, "signed by nobody"
        monkeypatch.setattr(posting, "_tls_context", lambda: ssl.create_default_context(cafile=str(certificate)))
        assert post(endpoint, b"{}", {}, LOOPBACK, 30) == invalid, "of another name"
    assert receiver.requests == []


def test_a_receiver_that_hangs_in_the_handshake_is_left_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = parse_endpoint(f"https://127.0.0.1:{silent.getsockname()[1]}/")
        assert post(endpoint, b"{}", {}, LOOPBACK, 0.3) == Outcome(Verdict.RETRY, "no answer within 0.3 s")


def test_the_official_library_verifies_what_is_sent() -> None:
    secret = new_secret()
    message = Message("msg_1", WebhookKind.WEBHOOK, "", secret, PAYLOAD)
    with Receiver() as receiver:
        message = Message("msg_1", WebhookKind.WEBHOOK, receiver.url, secret, PAYLOAD)
        assert Sender(LOOPBACK).send(message).verdict is Verdict.DELIVERED
        [request] = receiver.wait_for(1)
    headers = dict(request.headers)
    assert Webhook(secret).verify(request.body, headers) == PAYLOAD
    assert headers["user-agent"].startswith("FitQueue/")
    for wrong in ({"webhook-id": "msg_2"}, {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(request.body, headers | wrong)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(request.body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(request.body, headers)


def test_slack_gets_a_text_in_which_names_are_no_markup() -> None:
    data = {**PAYLOAD["data"], "message": "A & B", "url": "https://q.example.org/jobs/job_1"}  # type: ignore[dict-item]
    with Receiver() as receiver:
        message = Message("msg_1", WebhookKind.SLACK, receiver.url, None, {**PAYLOAD, "data": data})
        assert Sender(LOOPBACK).send(message).verdict is Verdict.DELIVERED
        [request] = receiver.wait_for(1)
    text = "*<https://q.example.org/jobs/job_1|数字 &lt;1&gt;> failed*\nA &amp; B"
    assert json.loads(request.body) == {"text": text}
    assert "webhook-signature" not in request.headers


def test_neither_the_secret_nor_the_address_is_in_what_is_printed_of_a_message() -> None:
    message = Message("msg_1", WebhookKind.SLACK, "https://hooks.slack.com/secret", "whsec_secret", PAYLOAD)
    assert "secret" not in repr(message)


def test_the_limits_of_the_http_library_hold() -> None:
    """How much of an answer can be read at all: a line, and a hundred of them."""
    assert (http.client._MAXLINE, http.client._MAXHEADERS) == (65_536, 100)  # type: ignore[attr-defined]
    assert ipaddress.ip_address("127.0.0.1") in LOOPBACK[0]
