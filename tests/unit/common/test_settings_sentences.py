"""A wrong setting is one sentence that names the variable and the remedy, and never shows a secret."""

from __future__ import annotations

import pytest
from pydantic import Field, SecretStr

from backstop_common.database import sqlalchemy_url
from backstop_common.errors import ConfigurationError
from backstop_common.messaging.rabbit import amqp_address
from backstop_common.running import open_runtime
from backstop_common.settings import HttpUrlText, PortNumber, SharedSettings, load_settings

CANARY = "canary-4711"


class Example(SharedSettings):
    port: PortNumber = Field(default=9000, alias="EXAMPLE_PORT")
    store: str = Field(alias="EXAMPLE_STORE", description="set it to file:///directory")
    bare: str | None = Field(default=None, alias="EXAMPLE_BARE")
    address: HttpUrlText | None = Field(default=None, alias="EXAMPLE_ADDRESS")
    password: SecretStr | None = Field(default=None, alias="EXAMPLE_PASSWORD", min_length=32)


class WithoutWords(SharedSettings):
    store: str = Field(alias="EXAMPLE_STORE")


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EXAMPLE_STORE", "DATABASE_URL", "AMQP_URL", "BACKSTOP_HOST"):
        monkeypatch.delenv(name, raising=False)


def _sentence(kind: type[SharedSettings] = Example, **values: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(kind, **values)
    assert caught.value.__suppress_context__
    return str(caught.value)


def test_a_missing_setting_is_named_with_its_remedy() -> None:
    assert _sentence() == "EXAMPLE_STORE is not set; set it to file:///directory"


def test_a_missing_setting_without_a_description_points_to_the_list() -> None:
    assert _sentence(WithoutWords) == "EXAMPLE_STORE is not set; set it; .env.example tells its meaning"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HOST", "my-laptop"),
        ("PORT", "77"),
        ("LOG_LEVEL", "error"),
        ("DATABASE_POOL_SIZE", "3"),
        ("START_TIMEOUT_SECONDS", "77"),
        ("BARE", "77"),
    ],
)
def test_a_variable_that_nobody_documents_is_not_read(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    clean = load_settings(Example, EXAMPLE_STORE="file:///srv")
    monkeypatch.setenv(variable, value)
    assert load_settings(Example, EXAMPLE_STORE="file:///srv") == clean


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_STORE", "")
    assert _sentence().startswith("EXAMPLE_STORE is not set")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXAMPLE_PORT", "http"),
        ("EXAMPLE_PORT", "-1"),
        ("EXAMPLE_PORT", "65536"),
        ("EXAMPLE_ADDRESS", "cdn.example"),
        ("EXAMPLE_ADDRESS", "ftp://cdn.example"),
        ("EXAMPLE_ADDRESS", "https://"),
        ("BACKSTOP_LOG_LEVEL", "loud"),
        ("BACKSTOP_START_TIMEOUT_SECONDS", "0"),
        ("BACKSTOP_START_TIMEOUT_SECONDS", "nan"),
        ("BACKSTOP_DATABASE_POOL_SIZE", "1"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("EXAMPLE_STORE", "file:///srv")
    monkeypatch.setenv(name, value)
    sentence = _sentence()
    assert sentence.startswith(f"{name} is wrong: ")
    assert "\n" not in sentence


def test_a_wrong_secret_is_named_and_not_shown() -> None:
    sentence = _sentence(EXAMPLE_STORE="file:///srv", EXAMPLE_PASSWORD=CANARY)
    assert sentence.startswith("EXAMPLE_PASSWORD is wrong: ")
    assert CANARY not in sentence


def test_secrets_are_not_in_the_text_of_the_settings() -> None:
    url = f"postgresql://u:{CANARY}@h/d"
    settings = load_settings(Example, EXAMPLE_STORE="file:///srv", DATABASE_URL=url, AMQP_URL=f"amqp://u:{CANARY}@h/")
    assert CANARY not in f"{settings!r} {settings!s} {settings.model_dump()}"


def test_an_address_loses_its_trailing_slash() -> None:
    settings = load_settings(Example, EXAMPLE_STORE="x", EXAMPLE_ADDRESS="https://cdn.example/assets/")
    assert settings.address == "https://cdn.example/assets"


def test_settings_cannot_be_changed() -> None:
    settings = load_settings(Example, EXAMPLE_STORE="x")
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


def test_without_a_database_the_sentence_says_how_to_write_one() -> None:
    settings = load_settings(Example, EXAMPLE_STORE="x")
    with pytest.raises(ConfigurationError, match=r"^DATABASE_URL is not set; set it to postgresql://"):
        open_runtime(settings, name="tests")


BAD_DATABASE_URLS = [
    f"{CANARY}",
    f"u:{CANARY}@host/db",
    f"mysql://u:{CANARY}@host/db",
    f"postgresql+psycopg://u:{CANARY}@host/db",
    f"postgresql://u:{CANARY}@host",
    f"postgresql://u:{CANARY}@host/",
    f"postgresql://u:{CANARY}@host:port/db",
    f"postgresql://u:{CANARY}@host:99999/db",
    f"postgresql://u:{CANARY}@host/db?sslmode=sometimes",
    f"postgresql://u:{CANARY}@host/db?sslmodus=require",
    f"postgresql://u:{CANARY}@host/db?sslmode=require&sslmode=disable",
    f"postgresql://u:{CANARY}@h/backstop?host=a,b",
]


@pytest.mark.parametrize("url", BAD_DATABASE_URLS)
def test_a_wrong_database_url_is_one_sentence_without_the_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^DATABASE_URL ") as caught:
        sqlalchemy_url(url)
    assert CANARY not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_a_database_url_is_turned_to_the_driver(scheme: str) -> None:
    url = sqlalchemy_url(f"{scheme}://ada:p%40ss%2Fw%23rd@db.example:6432/backstop?sslmode=require")
    assert url.drivername == "postgresql+asyncpg"
    assert (url.username, url.password, url.host, url.port) == ("ada", "p@ss/w#rd", "db.example", 6432)
    assert (url.database, dict(url.query)) == ("backstop", {"ssl": "require"})


def test_what_libpq_understands_and_the_driver_does_not_is_left_out_of_the_database_url() -> None:
    url = "postgresql://u:p@h/d?sslmode=require&channel_binding=require&connect_timeout=10&application_name=x"
    assert dict(sqlalchemy_url(url).query) == {"ssl": "require"}


def test_an_unknown_parameter_of_the_database_url_is_named() -> None:
    with pytest.raises(ConfigurationError, match="sslmodus"):
        sqlalchemy_url("postgresql://u:p@h/d?sslmodus=require")


def test_a_socket_folder_stays_in_the_database_url() -> None:
    assert dict(sqlalchemy_url("postgresql://postgres@/backstop?host=/run/pg").query) == {"host": "/run/pg"}


BAD_AMQP_URLS = [
    "",
    f"{CANARY}",
    f"u:{CANARY}@host",
    f"http://u:{CANARY}@host/",
    f"amqp://u:{CANARY}@",
    f"amqp://u:{CANARY}@host:port/",
    f"amqp://u:{CANARY}@host:70000/",
    f"amqp://u:{CANARY}#x@host/",
    f"amqp://u:{CANARY}/x@host/",
    "amqp://[::1",
]


@pytest.mark.parametrize("url", BAD_AMQP_URLS)
def test_a_wrong_amqp_url_is_one_sentence_without_the_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^AMQP_URL ") as caught:
        amqp_address(url)
    assert CANARY not in str(caught.value)
    assert "write it as amqp://" in str(caught.value)


def test_an_amqp_address_gets_the_time_outs_unless_it_sets_its_own() -> None:
    assert dict(amqp_address("amqp://host/vhost").query) == {"heartbeat": "10", "reconnect_interval": "1"}
    assert amqp_address("amqps://host/?heartbeat=60").query["heartbeat"] == "60"


def test_a_wrong_amqp_url_stops_before_anything_is_connected() -> None:
    settings = load_settings(
        Example, EXAMPLE_STORE="x", DATABASE_URL="postgresql://u:p@h/d", AMQP_URL="http://rabbit.example"
    )
    with pytest.raises(ConfigurationError, match=r"^AMQP_URL "):
        open_runtime(settings, name="tests")
