"""`orch ui`: the server, its token, and how it ends."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final, final

import uvicorn

from dashboards.application import application
from dashboards.desk import Desk
from dashboards.glance import look
from dashboards.guard import SHORTEST, Access, Guard, hosts_of
from dashboards.view import Links
from orchestrator.errors import OrchError, TargetError, UsageError
from orchestrator.settings import Settings

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
PORT: Final = 8484
SWITCH_S: Final = 0.001  # a page takes its turn soon when large studies are read aside
WARM_S: Final = 4.0  # how long the first look may keep the address from being told


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the page is served.

    Attributes:
        host: Address to listen at; port: 0 for any free one.
        names: Further names that requests may bear as their host, as a proxy's.
        allow_remote: Whether an address beyond loopback is meant.
        token_file: Holds the token, and is made where it is missing; None for a new token each time.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    names: Sequence[str] = ()
    allow_remote: bool = False
    token_file: Path | None = None


class Server(uvicorn.Server):
    """A server that Ctrl-C and SIGTERM end, so that what stands beside it ends too.

    uvicorn's own would send the signal to this process again.
    """

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ends what is being answered soon, the second time at once."""
        self.force_exit = self.should_exit
        self.should_exit = True


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page that listens already, and has yet to answer.

    Attributes:
        address: Where, without the token.
        token: What opens it.
    """

    address: str
    token: str = field(repr=False)
    server: uvicorn.Server
    desk: Desk
    listener: socket.socket

    def run(self) -> None:
        """Answers until it is interrupted or stopped."""
        sys.setswitchinterval(SWITCH_S)
        try:
            self.server.run(sockets=[self.listener])
        finally:
            self.desk.close()
            self.listener.close()

    def stop(self) -> None:
        """Lets `run` end, from another thread."""
        self.server.should_exit = True


def prepare(settings: Settings, place: Place, links: Links) -> Page:
    """Returns the page, listening.

    Args:
        settings: Of the store.
        place: Where.
        links: Where MLflow and Ray show the same.

    Raises:
        UsageError: An address beyond loopback that was not allowed, or a token file that others may read.
        TargetError: The port is taken.
    """
    if not is_loopback(place.host) and not place.allow_remote:
        raise UsageError(
            f"--host {place.host} is reached from other machines, and the token travels unencrypted there; "
            "leave --host out and forward the port (ssh -L 8484:localhost:8484 HOST), or, behind a proxy "
            "with TLS, add --allow-remote"
        )
    token = token_of(place.token_file)
    listener = listening(place.host, place.port)
    port = int(listener.getsockname()[1])
    access = Access(token=token, hosts=hosts_of(own_names(place), port), cookie=f"orch-{port}")
    desk = Desk(settings)
    with suppress(OrchError, OSError):  # the first page tells it
        look(desk, WARM_S)
    running: list[uvicorn.Server] = []
    inner = application(desk, access, links, lambda: any(each.should_exit for each in running))
    config = uvicorn.Config(
        Guard(inner, access),
        access_log=False,  # it would hold the token of the first visit
        log_level="warning",
        proxy_headers=False,  # they are anybody's to send
        server_header=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=30,
        lifespan="off",
    )
    running.append(Server(config))
    shown = place.host if is_loopback(place.host) else socket.gethostname()
    shown = f"[{shown}]" if ":" in shown else shown
    return Page(
        address=f"http://{shown}:{port}/", token=token, server=running[0], desk=desk, listener=listener
    )


def is_loopback(host: str) -> bool:
    """Returns whether an address is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def own_names(place: Place) -> list[str]:
    """Returns the names that requests may bear as their host."""
    if is_loopback(place.host):
        return [*LOOPBACK, place.host, *place.names]
    wild = place.host in ("0.0.0.0", "::")
    own = [socket.gethostname(), socket.getfqdn()] if wild else [place.host]
    return [*LOOPBACK, *own, *place.names]


def listening(host: str, port: int) -> socket.socket:
    """Returns a listening socket.

    Raises:
        TargetError: The address is taken, or is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(128)
    except OSError as error:
        found.close()
        raise TargetError(
            f"nothing can listen at {host} port {port}: {error.strerror or error}; --port 0 takes any that "
            "is free"
        ) from None
    return found


def token_of(file: Path | None) -> str:
    """Returns the token of a file, or a new one; the file is made where it is missing.

    Raises:
        UsageError: Others may read the file, or it holds no token.
    """
    if file is None:
        return secrets.token_urlsafe(32)
    try:
        made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    except OSError as error:
        raise UsageError(f"--token-file {file}: {error.strerror}; name a file in a folder of yours") from None
    else:
        with os.fdopen(made, "w") as handle:
            handle.write(secrets.token_urlsafe(32) + "\n")
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--token-file {file} cannot be read: {error}") from None
    if mode & 0o077:
        raise UsageError(f"--token-file {file}: others may read it (mode {mode:04o}); chmod 600 {file}")
    if len(text) < SHORTEST or not text.isascii() or any(char.isspace() for char in text):
        raise UsageError(
            f"--token-file {file} holds no token: one line of at least {SHORTEST} characters; remove it, "
            "and a new one is made"
        )
    return text
