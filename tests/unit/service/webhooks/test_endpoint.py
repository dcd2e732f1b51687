"""Addresses of receivers, taken apart."""

import pytest

from fitqueue.webhooks import WebhookKind
from service.webhooks.endpoint import Endpoint, InvalidEndpoint, parse_endpoint
from service.webhooks.receiver import InvalidReceiver, shown_url, validate_receiver


@pytest.mark.parametrize(
    ("url", "endpoint", "header"),
    [
        ("https://ci.example.org/hook?a=b", Endpoint("https", "ci.example.org", 443, "/hook?a=b"), "ci.example.org"),
        ("http://CI.example.org", Endpoint("http", "ci.example.org", 80, "/"), "ci.example.org"),
        ("https://x.example:8443/", Endpoint("https", "x.example", 8443, "/"), "x.example:8443"),
        ("http://[2606:4700::1]:8080/a", Endpoint("http", "2606:4700::1", 8080, "/a"), "[2606:4700::1]:8080"),
        ("https://x.example:80/", Endpoint("https", "x.example", 80, "/"), "x.example:80"),
    ],
)
def test_an_address_is_taken_apart(url: str, endpoint: Endpoint, header: str) -> None:
    assert parse_endpoint(url) == endpoint
    assert endpoint.host_header == header


@pytest.mark.parametrize(
    "url",
    [
        "", "ci.example.org", "ftp://example.org", "file:///etc/passwd", "javascript:alert(1)", "gopher://example.org",
        "https://", "https:///path", "https://user@example.org/", "https://user:secret@example.org/",
        "https://example.org@127.0.0.1/", "https://example.org#x", "https://example.org:0/", "https://example.org:25/",
        "https://example.org:6553600/", "https://example.org:x/", "https://example.org/a b", "https://exa\nmple.org/",
        "https://example.org/\r\nHost: x", "https://example.org\\@127.0.0.1/", "https://bücher.example/", "https://[::1/",
        "https://[fe80::1%eth0]/", "https://-x.example/", "https://" + "a" * 2_000, "https://exam%70le.org/",
        "https://example.org./",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_receiver_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidEndpoint) as raised:
        parse_endpoint(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://localhost/", "http://[::ffff:10.0.0.1]/",
     "http://169.254.169.254/latest/meta-data", "http://0/", "http://[::]/"],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused_when_the_webhook_is_created(url: str) -> None:
    with pytest.raises(InvalidReceiver, match="FITQUEUE_WEBHOOK_NETWORKS") as raised:
        validate_receiver(WebhookKind.WEBHOOK, url, (), sends_mail=True)
    assert raised.value.code == "forbidden_address"


@pytest.mark.parametrize(
    "url",
    ["mailto:", "mailto:ada", "ada@example.org", "mailto:a@example.org,b@example.org", "mailto:a@b?subject=x",
     "mailto:a@b\r\nBcc: c@d", "mailto:Ada <a@b.org>"],
)  # fmt: skip
def test_what_is_not_one_address_of_mail_is_refused(url: str) -> None:
    with pytest.raises(InvalidReceiver, match=r"^This is not one address of mail\.$"):
        validate_receiver(WebhookKind.MAIL, url, (), sends_mail=True)


def test_mail_needs_a_mail_server() -> None:
    validate_receiver(WebhookKind.MAIL, "mailto:ada@example.org", (), sends_mail=True)
    with pytest.raises(InvalidReceiver, match="FITQUEUE_SMTP_URL"):
        validate_receiver(WebhookKind.MAIL, "mailto:ada@example.org", (), sends_mail=False)


def test_what_may_be_a_secret_in_an_address_is_not_shown() -> None:
    assert shown_url(WebhookKind.SLACK, "https://hooks.slack.com/services/T0/B0/secret") == "https://hooks.slack.com/…"
    assert shown_url(WebhookKind.WEBHOOK, "https://x.example/hook?key=secret") == "https://x.example/hook?…"
    assert shown_url(WebhookKind.WEBHOOK, "https://x.example/hook") == "https://x.example/hook"
    assert shown_url(WebhookKind.MAIL, "mailto:ada@example.org") == "mailto:ada@example.org"
