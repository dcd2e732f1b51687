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


def test_every_setting_has_a_description() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
