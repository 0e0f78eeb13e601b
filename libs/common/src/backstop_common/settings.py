"""Settings blocks that every service has, and the way all settings are read.

A service has one frozen settings object, built in its `main` and passed down. Every default runs. A wrong or missing
value stops the start with one sentence that names the setting and the remedy; secrets never appear in it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from backstop_common.errors import ConfigurationError

S = TypeVar("S", bound=BaseSettings)


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")) or len(value.split("://", 1)[1]) == 0:
        raise ValueError("write it as https://HOST or https://HOST/PATH")
    return value.rstrip("/")


HttpUrlText = Annotated[str, AfterValidator(_http_url)]
"""An http(s) address without a trailing slash."""


class SharedSettings(BaseSettings):
    """What every service reads. Each field's alias is the name of its environment variable."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    database_url: SecretStr | None = Field(default=None, alias="DATABASE_URL")
    amqp_url: SecretStr | None = Field(default=None, alias="AMQP_URL")
    app_base_url: HttpUrlText = Field(default="http://127.0.0.1:8080", alias="APP_BASE_URL")
    host: str = Field(default="127.0.0.1", alias="BACKSTOP_HOST", min_length=1)
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", alias="BACKSTOP_LOG_LEVEL")
    log_format: Literal["auto", "json", "console"] = Field(default="auto", alias="BACKSTOP_LOG_FORMAT")
    start_timeout_seconds: float = Field(default=15, alias="BACKSTOP_START_TIMEOUT_SECONDS", gt=0, le=600)
    database_pool_size: int = Field(default=10, alias="BACKSTOP_DATABASE_POOL_SIZE", ge=2, le=100)


PortNumber = Annotated[int, Field(ge=0, le=65535)]


def load_settings(kind: type[S], **overrides: Any) -> S:
    """Read a settings object from the environment; `overrides` (by environment name) win.

    Raises:
        ConfigurationError: a value is missing or wrong; the sentence names the first one.
    """
    try:
        return kind(**overrides)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        name = str(problem["loc"][0]) if problem["loc"] else "the settings"
        if problem["type"] == "missing":
            raise ConfigurationError(f"{name} is not set; {_meaning(kind, name)}") from None
        message = problem["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{name} is wrong: {message[0].lower()}{message[1:]}") from None


def _meaning(kind: type[BaseSettings], name: str) -> str:
    for field in kind.model_fields.values():
        if field.alias == name and field.description:
            return field.description
    return "set it; .env.example tells its meaning"
