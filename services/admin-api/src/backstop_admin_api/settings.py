"""What the admin-api can be told. The three secrets have no default: nothing here is open by accident."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from backstop_common.settings import HttpUrlText, PortNumber, SharedSettings

_REMEDY = "make one with `openssl rand -hex 32`"
_LEAST_BYTES = 32


def _long_enough(value: SecretStr) -> SecretStr:
    length = len(value.get_secret_value().encode())
    if length < _LEAST_BYTES:
        raise ValueError(f"it has {length} bytes and needs at least {_LEAST_BYTES}; {_REMEDY}")
    return value


Secret = Annotated[SecretStr, AfterValidator(_long_enough)]


class IntakeSettings(SharedSettings):
    """What taking tasks in needs: all that `backstop import` reads."""

    providers_file: Path | None = Field(default=None, alias="PROVIDERS_FILE")


class AdminApiSettings(IntakeSettings):
    """Read once, in `main`."""

    port: PortNumber = Field(default=8080, alias="BACKSTOP_PORT")
    cron_secret: Secret = Field(alias="CRON_SECRET", description=_REMEDY)
    admin_token: Secret = Field(alias="ADMIN_TOKEN", description=_REMEDY)
    session_secret: Secret = Field(alias="SESSION_SECRET", description=_REMEDY)
    webhook_secret: Secret | None = Field(default=None, alias="BACKSTOP_WEBHOOK_SECRET", description=_REMEDY)
    session_seconds: int = Field(default=12 * 3600, alias="BACKSTOP_SESSION_SECONDS", ge=60, le=30 * 86_400)
    brand_name: str = Field(default="Backstop", alias="BRAND_NAME", min_length=1, max_length=60)
    assets_public_base_url: HttpUrlText | None = Field(default=None, alias="ASSETS_PUBLIC_BASE_URL")
