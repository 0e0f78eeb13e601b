"""A RabbitMQ for the tests: the one named by TEST_AMQP_URL, or a node of our own.

`start()` answers when an AMQP client can shake hands with it. Our own node keeps everything in a new folder under
/tmp, has its own epmd in the foreground, and listens on loopback only, on free ports, so that any number run beside
each other and beside a system's. Both processes are children of ours and are the only ones ever signalled.

Tests are kept apart by virtual hosts, made through the management API in about 30 ms. For a given server, its
address is TEST_AMQP_MANAGEMENT_URL, by default port 15672 of the same host with the same user.

All methods block; call them through `asyncio.to_thread` where a loop must go on turning. Stopping, killing and
starting again need our own node and raise `NotOurServerError` on one that was given.
"""

import atexit
import base64
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from tests.support.postgres import NotOurServerError

_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_START_SECONDS = 90.0


class RabbitNotInstalledError(RuntimeError):
    """There is neither TEST_AMQP_URL nor a RabbitMQ on this machine."""


class RabbitDidNotStartError(RuntimeError):
    """The node ended or did not answer in time; the message carries the end of what it printed."""


def start() -> "RabbitServer":
    """Return a running server: the one of TEST_AMQP_URL, or a new node."""
    given = os.environ.get("TEST_AMQP_URL")
    if given:
        return RabbitServer(
            url=given, management_url=os.environ.get("TEST_AMQP_MANAGEMENT_URL") or _management_of(given)
        )
    if not _SERVER.exists():
        raise RabbitNotInstalledError(
            "RabbitMQ is not installed: run 'apt-get update && apt-get install -y --no-install-recommends "
            "rabbitmq-server', or name a server in TEST_AMQP_URL"
        )
    folder = Path(tempfile.mkdtemp(prefix=f"backstop-rabbit-{os.getuid()}-{os.getpid()}-", dir="/tmp"))
    node = _Node.create(folder)
    server = RabbitServer(
        url=f"amqp://guest:guest@127.0.0.1:{node.amqp_port}/",
        management_url=f"http://guest:guest@127.0.0.1:{node.management_port}",
        node=node,
    )
    atexit.register(server.close)
    node.start()
    return server


@dataclass(frozen=True)
class RabbitServer:
    """One broker; `url` names its default virtual host."""

    url: str
    management_url: str
    node: "_Node | None" = None

    def url_of(self, vhost: str) -> str:
        """The address of the virtual host `vhost` on this broker."""
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{quote(vhost, safe='')}"))

    def create_vhost(self, name: str) -> str:
        """Make the virtual host `name`, open to the user of `url`, and return its URL."""
        user = unquote(urlsplit(self.url).username or "guest")
        self.management("PUT", f"/api/vhosts/{quote(name, safe='')}")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.management("PUT", f"/api/permissions/{quote(name, safe='')}/{quote(user, safe='')}", everything)
        return self.url_of(name)

    def delete_vhost(self, name: str) -> None:
        """Remove the virtual host `name` with its queues, closing its connections."""
        self.management("DELETE", f"/api/vhosts/{quote(name, safe='')}")

    def management(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the management API and return its JSON (None without any); RuntimeError unless it answers 2xx."""
        address = urlsplit(self.management_url)
        secret = f"{unquote(address.username or 'guest')}:{unquote(address.password or 'guest')}"
        headers = {
            "Authorization": "Basic " + base64.b64encode(secret.encode()).decode(),
            "Content-Type": "application/json",
        }
        connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port or 15672, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
        except OSError as error:
            raise RuntimeError(
                f"RabbitMQ's management API does not answer at {address.hostname}:{address.port} ({error}): "
                "name it in TEST_AMQP_MANAGEMENT_URL"
            ) from error
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"{method} {path} answered {answer.status}: {content.decode(errors='replace')[:500]}")
        return json.loads(content) if content else None

    def close_connections(self, vhost: str = "/") -> None:
        """Close all clients' connections to one virtual host, as an administrator would."""
        self._ours().control("close_all_connections", "--vhost", vhost, "closed by a test")

    def write_definitions(self) -> None:
        """Have what was declared on disk: RabbitMQ confirms a message when it is there, but not a new queue."""
        self._ours().control("eval", "mnesia:sync_log().")

    def set_memory_limit(self, fraction: float) -> None:
        """Set the share of memory above which publishers are blocked: 0 raises the alarm, 0.4 is normal."""
        self._ours().control("set_vm_memory_high_watermark", str(fraction))

    def stop(self) -> None:
        """End the node in its proper way, keeping its data."""
        self._ours().end(signal.SIGTERM)

    def kill(self) -> None:
        """End the node with SIGKILL, keeping what was on disk at that moment.

        Seen on RabbitMQ 3.10: a quorum queue declared less than about a second before came back without a leader
        and answered nobody. Let a queue settle (a round of messages, some seconds) before the kill.
        """
        self._ours().end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the node: connections stay open and nothing answers, like a black hole in the network."""
        self._ours().send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused node go on."""
        self._ours().send(signal.SIGCONT)

    def start(self) -> None:
        """Start after `stop` or `kill`, with the same data at the same address; returns when clients can connect."""
        self._ours().start()

    def close(self) -> None:
        """End the node for good and remove its data; a server that was given is left alone. May be called twice."""
        if self.node is not None:
            self.node.remove()
            atexit.unregister(self.close)

    def _ours(self) -> "_Node":
        if self.node is None:
            raise NotOurServerError("TEST_AMQP_URL is set: unset it, and the tests start a node they may stop")
        return self.node


@dataclass
class _Node:
    """A node in a folder of ours, run as two children: the Erlang machine and its epmd."""

    folder: Path
    amqp_port: int
    management_port: int
    distribution_port: int
    epmd_port: int
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    def create(cls, folder: Path) -> "_Node":
        amqp, management, distribution, epmd = _free_ports(4)
        node = cls(folder, amqp, management, distribution, epmd)
        (folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (folder / "rabbitmq-env.conf").write_text("")
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{node.amqp_port}\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {node.management_port}\n"
            "disk_free_limit.absolute = 1MB\nlog.console = false\n"
        )
        return node

    def start(self) -> None:
        if self.running:
            return
        epmd = ["epmd", "-port", str(self.epmd_port), "-address", "127.0.0.1"]
        loopback = "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"
        self.running = [
            self._spawn(epmd),
            self._spawn([str(_SERVER)], RUNNING_UNDER_SYSTEMD="true", RABBITMQ_SERVER_START_ARGS=loopback),
        ]
        self._await_handshake()

    def send(self, number: signal.Signals) -> None:
        for process in self.running[1:]:
            process.send_signal(number)

    def end(self, number: signal.Signals) -> None:
        """Send `number` to the node, wait until it is gone, then end its epmd."""
        for process, its_signal in zip(reversed(self.running), (number, signal.SIGKILL), strict=False):
            process.send_signal(its_signal)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running = []

    def remove(self) -> None:
        self.end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def control(self, *arguments: str) -> None:
        """Run rabbitmqctl against this node (about a second each time)."""
        command = [str(_SERVER.with_name("rabbitmqctl")), *arguments]
        subprocess.run(command, env=self._environment(), check=True, capture_output=True, timeout=60)

    def _spawn(self, command: list[str], **more: str) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C in the terminal is for pytest, which then ends the node itself.
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                command,
                env=self._environment() | more,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        """Every place and port the start script would otherwise take from the system's node."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.epmd_port),
            "RABBITMQ_NODENAME": f"backstop{self.amqp_port}@localhost",
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(self.folder / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
        }

    def _await_handshake(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            ended = next((process for process in self.running if process.poll() is not None), None)
            if ended is not None:
                raise RabbitDidNotStartError(f"{ended.args!r} ended with {ended.returncode}: {self._last_words()}")
            if _shakes_hands(self.amqp_port) and _listens(self.management_port):
                return
            time.sleep(0.05)
        raise RabbitDidNotStartError(f"no AMQP handshake within {_START_SECONDS:.0f} s: {self._last_words()}")

    def _last_words(self) -> str:
        return (self.folder / "output").read_text(errors="replace")[-2000:]


def _shakes_hands(port: int) -> bool:
    """Whether an AMQP 0-9-1 client that says hello is answered with a method frame (`connection.start`)."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def _free_ports(count: int) -> list[int]:
    """`count` different ports nobody listens on; held together until all are known, then free for us to use."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _management_of(url: str) -> str:
    address = urlsplit(url)
    user = f"{address.username}:{address.password}@" if address.username else ""
    return f"http://{user}{address.hostname}:15672"
