import pytest
from pydantic import ValidationError

from service.settings import Settings


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().pools == ("default",)
    monkeypatch.setenv("FITQUEUE_POOLS", "default, large,")
    monkeypatch.setenv("FITQUEUE_SLOTS", "2")
    assert (Settings().pools, Settings().slots) == (("default", "large"), 2)
    monkeypatch.setenv("FITQUEUE_SLOTS", "many")
    with pytest.raises(ValidationError, match="slots"):
        Settings()


def test_proxies_are_addresses_and_networks_and_none_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().trusted_proxies == ()
    monkeypatch.setenv("FITQUEUE_TRUSTED_PROXIES", "127.0.0.1, ::1,172.18.0.0/16,")
    assert Settings().trusted_proxies == ("127.0.0.1", "::1", "172.18.0.0/16")
    for invalid in ("localhost", "*", "10.0.0.1/8"):
        monkeypatch.setenv("FITQUEUE_TRUSTED_PROXIES", invalid)
        with pytest.raises(ValidationError, match="trusted_proxies"):
            Settings()


def test_origins_of_other_pages_are_named_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().cors_origins == ()
    monkeypatch.setenv("FITQUEUE_CORS_ORIGINS", "https://App.example.org, http://localhost:5173")
    assert Settings().cors_origins == ("https://app.example.org", "http://localhost:5173")
    for invalid in ("*", "null", "app.example.org", "https://app.example.org/", "https://*.example.org", "file://a"):
        monkeypatch.setenv("FITQUEUE_CORS_ORIGINS", invalid)
        with pytest.raises(ValidationError, match="cors_origins"):
            Settings()


def test_every_setting_has_a_description() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_a_mail_server_needs_a_sender_and_a_wrong_one_is_not_repeated() -> None:
    with pytest.raises(ValidationError, match="FITQUEUE_MAIL_FROM"):
        Settings(smtp_url="smtp://mail.example.org")
    with pytest.raises(ValidationError, match="not the address of an SMTP server") as raised:
        Settings(smtp_url="http://ada:secret@mail.example.org", mail_from="fitqueue@example.org")
    assert "secret" not in str(raised.value)
    assert Settings(smtp_url="smtp://mail.example.org", mail_from="fitqueue@example.org").mail_from


def test_networks_of_webhooks_are_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQUEUE_WEBHOOK_NETWORKS", "10.1.0.0/16, fd00::/64")
    assert Settings().webhook_networks == ("10.1.0.0/16", "fd00::/64")
    monkeypatch.setenv("FITQUEUE_WEBHOOK_NETWORKS", "the lab")
    with pytest.raises(ValidationError, match="webhook_networks"):
        Settings()
