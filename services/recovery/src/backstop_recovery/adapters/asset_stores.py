"""The bucket or folder of `ASSET_STORE_URL`.

`open_asset_store` raises `ConfigurationError` with one sentence for what cannot work; nothing is contacted yet. Cloud
credentials come from the environment in the ways each cloud documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, LocalStore, MemoryStore, ObjectStore, S3Store

from backstop_common.errors import ConfigurationError

if TYPE_CHECKING:
    from obstore.store import RetryConfig

_RETRIES: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=60)}
_KINDS = "s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///absolute/folder"


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """A store and what it can do. `label` names it in messages and carries no secret."""

    label: str
    store: ObjectStore
    keeps_content_type: bool
    forgets_probe: bool


def open_asset_store(url: str, endpoint: str | None, environ: Mapping[str, str]) -> OpenedStore:
    """The store of an address.

    Args:
        url: ASSET_STORE_URL.
        endpoint: ASSET_STORE_ENDPOINT, the http(s) address of an S3 or Azure look-alike; None for the cloud itself.
        environ: where AWS_ACCESS_KEY_ID and its kin come from.

    Raises:
        ConfigurationError: the address, the endpoint or the credentials cannot be right.
    """
    parts = _split(url)
    checked_endpoint = _checked_endpoint(endpoint, parts.scheme)
    store: ObjectStore
    try:
        match parts.scheme:
            case "file":
                return _open_folder(url, parts)
            case "memory":
                return OpenedStore(url, MemoryStore(), keeps_content_type=True, forgets_probe=True)
            case "s3":
                store = _open_s3(url, parts, checked_endpoint, environ)
            case "gs":
                store = GCSStore(parts.netloc, prefix=_prefix(parts), retry_config=_RETRIES)
            case _:
                store = _open_azure(parts, checked_endpoint)
    except (BaseError, ValueError, NotImplementedError) as error:
        reason = first_line(error)
        raise ConfigurationError(f"ASSET_STORE_URL {url} cannot be opened: {reason}; correct its settings") from error
    return OpenedStore(url, store, keeps_content_type=True, forgets_probe=False)


def first_line(error: BaseException) -> str:
    """What a store's exception says, without its debugging dump."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _split(url: str) -> SplitResult:
    if not url.strip():
        raise ConfigurationError(f"ASSET_STORE_URL is empty; set it to {_KINDS}")
    parts = urlsplit(url.strip())
    if parts.scheme not in {"s3", "gs", "az", "file", "memory"}:
        raise ConfigurationError(f"ASSET_STORE_URL {parts.scheme or url}: is no kind of store; set it to {_KINDS}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        where = f"{parts.scheme}://..."
        raise ConfigurationError(f"ASSET_STORE_URL {where} must hold no key or option; put keys into the environment")
    if parts.scheme in {"s3", "gs", "az"} and not parts.netloc:
        raise ConfigurationError(f"ASSET_STORE_URL {url} names no bucket; set it to {_KINDS}")
    return parts


def _prefix(parts: SplitResult) -> str | None:
    return parts.path.strip("/") or None


def _checked_endpoint(endpoint: str | None, scheme: str) -> str | None:
    if not endpoint or not endpoint.strip():
        return None
    parts = urlsplit(endpoint.strip())
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ConfigurationError(
            "ASSET_STORE_ENDPOINT is no address; write for example https://ID.r2.cloudflarestorage.com"
        )
    if scheme not in {"s3", "az"}:
        raise ConfigurationError(f"ASSET_STORE_ENDPOINT does not go with {scheme}://; unset it")
    return endpoint.strip().rstrip("/")


def _open_folder(url: str, parts: SplitResult) -> OpenedStore:
    folder = Path(unquote(parts.path))
    if parts.netloc or not folder.is_absolute():
        raise ConfigurationError(f"ASSET_STORE_URL {url} is no absolute folder; write file:///var/lib/backstop/assets")
    try:
        store = LocalStore(folder, mkdir=True, automatic_cleanup=True)
    except OSError as error:
        problem = f"ASSET_STORE_URL {url}: the folder cannot be created ({first_line(error)})"
        raise ConfigurationError(f"{problem}; create it and make it writable, or name another") from error
    return OpenedStore(url, store, keeps_content_type=False, forgets_probe=True)


def _open_s3(url: str, parts: SplitResult, endpoint: str | None, environ: Mapping[str, str]) -> S3Store:
    key, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    if bool(key) != bool(secret) or (endpoint and not key):
        missing = "AWS_SECRET_ACCESS_KEY" if key else "AWS_ACCESS_KEY_ID"
        raise ConfigurationError(f"ASSET_STORE_URL {url}: {missing} is not set; set it to the bucket's key")
    optional = {
        "access_key_id": key,
        "secret_access_key": secret,
        "session_token": environ.get("AWS_SESSION_TOKEN", ""),
        "endpoint": endpoint or "",
    }
    insecure = endpoint is not None and endpoint.startswith("http://")
    return S3Store(
        parts.netloc,
        prefix=_prefix(parts),
        config={name: value for name, value in optional.items() if value},  # type: ignore[arg-type]
        region=_region(endpoint, environ),
        # Over TLS the transport protects the body; hashing it once more for the signature costs more than sending it.
        unsigned_payload=not insecure,
        client_options={"allow_http": insecure, "connect_timeout": timedelta(seconds=10)},
        retry_config=_RETRIES,
    )


def _region(endpoint: str | None, environ: Mapping[str, str]) -> str:
    named = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    return named or ("auto" if endpoint and ".r2.cloudflarestorage.com" in endpoint else "us-east-1")


def _open_azure(parts: SplitResult, endpoint: str | None) -> AzureStore:
    insecure = endpoint is not None and endpoint.startswith("http://")
    options = {"endpoint": endpoint} if endpoint else {}
    return AzureStore(
        parts.netloc,
        prefix=_prefix(parts),
        config=options,  # type: ignore[arg-type]
        client_options={"allow_http": insecure},
        retry_config=_RETRIES,
    )
