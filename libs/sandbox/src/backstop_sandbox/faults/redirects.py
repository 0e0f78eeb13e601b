"""Where a hostile redirect points. The sandbox's own addresses lead to `/elsewhere`, which remembers every visit."""

from urllib.parse import urlsplit

from backstop_sandbox.faults.words import Fault

OTHER_NAME = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}


def location_of(fault: Fault, origin: str, path: str) -> str | None:
    """The Location header, or None when the fault is no redirect.

    Args:
        origin: the sandbox's address as the caller used it.
        path: what the caller asked for.
    """
    parts = urlsplit(origin)
    host, port = parts.hostname or "", parts.port or 80
    elsewhere = f"/elsewhere{path}"
    locations = {
        Fault.REDIRECT_LOOPBACK: f"http://0.0.0.0:{port}{elsewhere}",
        Fault.REDIRECT_METADATA: "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
        Fault.REDIRECT_PRIVATE: f"http://10.0.0.1:{port}{elsewhere}",
        Fault.REDIRECT_MAPPED: f"http://[::ffff:127.0.0.1]:{port}{elsewhere}",
        Fault.REDIRECT_FILE: "file:///etc/passwd",
        Fault.REDIRECT_USERINFO: f"http://admin:admin@{host}:{port}{elsewhere}",
        Fault.REDIRECT_LOOP: f"{origin}{path}",
        Fault.REDIRECT_ELSEWHERE: f"http://{OTHER_NAME.get(host, host)}:{port}{elsewhere}",
    }
    return locations.get(fault)
