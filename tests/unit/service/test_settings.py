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
