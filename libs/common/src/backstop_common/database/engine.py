"""An engine for a `postgresql://` URL: asyncpg underneath, short connect time-outs, connections checked before use."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from backstop_common.errors import ConfigurationError

_REMEDY = "write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE"
_LEFT_OUT = {"application_name", "connect_timeout", "channel_binding", "gssencmode"}
_UNDERSTOOD = {"host", "ssl", "passfile", "target_session_attrs"}
_LAST_PORT = 65535
_SSLMODES = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}


def sqlalchemy_url(database_url: str) -> URL:
    """The URL as SQLAlchemy wants it for asyncpg; libpq's `sslmode` becomes asyncpg's `ssl`.

    Raises:
        ConfigurationError: it is not a PostgreSQL URL.
    """
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError(f"DATABASE_URL is not a URL; {_REMEDY}") from error
    if url.drivername not in {"postgresql", "postgres", "postgresql+asyncpg"}:
        raise ConfigurationError(f"DATABASE_URL names the system {url.drivername!r}, not PostgreSQL; {_REMEDY}")
    if not url.database:
        raise ConfigurationError(f"DATABASE_URL names no database; {_REMEDY}")
    if url.port is not None and not 0 < url.port <= _LAST_PORT:
        raise ConfigurationError(f"DATABASE_URL has the port {url.port}; {_REMEDY}")
    connectable = url.set(drivername="postgresql+asyncpg", query=_query(url))
    try:
        connectable.get_dialect()().create_connect_args(connectable)
    except ArgumentError as error:
        raise ConfigurationError(
            "DATABASE_URL names several hosts in a way that cannot be read;"
            " give each its port: postgresql://USER:PASSWORD@/DATABASE?host=A:5432&host=B:5432"
        ) from error
    return connectable


def _query(url: URL) -> dict[str, str | tuple[str, ...]]:
    """libpq's parameters as asyncpg has them; those we set ourselves, and those it has no need for, are left out."""
    query = {name: value for name, value in url.query.items() if name not in _LEFT_OUT}
    if query.pop("sslrootcert", "system") != "system":
        raise ConfigurationError(
            "DATABASE_URL has sslrootcert=FILE; set PGSSLROOTCERT to the file instead and leave it out of the address"
        )
    sslmode = query.pop("sslmode", None)
    if sslmode is not None:
        if sslmode not in _SSLMODES:
            raise ConfigurationError(f"DATABASE_URL has sslmode={sslmode}; use one of {', '.join(sorted(_SSLMODES))}")
        query["ssl"] = sslmode
    for name in query:
        if name not in _UNDERSTOOD:
            raise ConfigurationError(
                f"DATABASE_URL has the parameter {name!r}, which is not understood;"
                f" leave it out, or use one of {', '.join(sorted({'sslmode', *_UNDERSTOOD}))}"
            )
    return query


def create_engine(database_url: str, *, application_name: str, pool_size: int = 10) -> AsyncEngine:
    """An engine whose connections die early when the server is away and are replaced without a restart."""
    return create_async_engine(
        sqlalchemy_url(database_url),
        pool_size=pool_size,
        max_overflow=5,
        pool_timeout=10,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "timeout": 5,
            "command_timeout": 30,
            "server_settings": {
                "application_name": application_name,
                "timezone": "UTC",
                "idle_in_transaction_session_timeout": "60000",
            },
        },
    )
