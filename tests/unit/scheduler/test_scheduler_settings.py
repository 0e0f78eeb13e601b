"""A wrong schedule stops the start with one sentence that names the setting and the remedy."""

from __future__ import annotations

import pytest

from backstop_common.errors import ConfigurationError
from backstop_common.settings import load_settings
from backstop_scheduler.settings import SchedulerSettings


def test_every_default_runs() -> None:
    settings = load_settings(SchedulerSettings)
    assert (settings.port, settings.schedule, settings.timezone) == (9101, "*/10 * * * *", "UTC")


@pytest.mark.parametrize(
    ("setting", "value", "remedy"),
    [
        ("BACKSTOP_SCHEDULE", "every minute", "write five fields"),
        ("BACKSTOP_SCHEDULE_TIMEZONE", "Berlin", "write it as UTC or Europe/Berlin"),
        ("BACKSTOP_CATCH_UP_SECONDS", "5", "greater than or equal to 10"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, remedy: str
) -> None:
    monkeypatch.setenv(setting, value)
    with pytest.raises(ConfigurationError, match=remedy) as caught:
        load_settings(SchedulerSettings)
    assert str(caught.value).startswith(setting)
