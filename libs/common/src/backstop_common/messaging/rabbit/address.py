"""AMQP_URL, with the time-outs this system relies on."""

from __future__ import annotations

from yarl import URL

from backstop_common.errors import ConfigurationError

_REMEDY = "write it as amqp://USER:PASSWORD@HOST:5672/VHOST"


def amqp_address(amqp_url: str) -> URL:
    """The address with the time-outs this system relies on, unless it sets its own.

    Raises:
        ConfigurationError: it is not an AMQP URL.
    """
    try:
        url = URL(amqp_url)
    except ValueError as error:
        raise ConfigurationError(f"AMQP_URL is not a URL; {_REMEDY}") from error
    if url.scheme not in {"amqp", "amqps"} or not url.host:
        raise ConfigurationError(f"AMQP_URL has the scheme {url.scheme!r} and the host {url.host!r}; {_REMEDY}")
    defaults = {"heartbeat": "10", "reconnect_interval": "1", **url.query}
    return url.with_query(defaults)
