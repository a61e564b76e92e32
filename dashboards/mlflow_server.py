"""MLflow's own page on the mirror, for as long as ours is served: on this machine, behind a password."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from dashboards import tethered
from orchestrator.app.elsewhere import plain_address
from orchestrator.errors import TargetError, UsageError

USER: Final = "orch"

# Without it MLflow would let everybody on this machine read and write: it asks for no password by itself.
_CONFIG: Final = """\
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{database}
admin_username = {user}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A page of MLflow.

    Attributes:
        address: Where; it takes some seconds to answer there.
        user: Who to be there, "" for an address that is another's to guard; password: likewise.
    """

    address: str
    user: str = ""
    password: str = field(default="", repr=False)


@contextmanager
def mlflow_page(uri: str | None) -> Iterator[Served]:
    """Yields the page of MLflow on a tracking URI: the server's own, or one that is served meanwhile.

    Args:
        uri: The mirror's tracking URI, None when there is none.

    Raises:
        UsageError: There is no mirror.
        TargetError: The server cannot be started.
    """
    if uri is None:
        raise UsageError(
            "--mlflow: this store has no mirror in MLflow; set mlflow_uri to a tracking server's address, or "
            "leave --mlflow out"
        )
    if uri.startswith(("http://", "https://")):
        yield Served(address=plain_address(uri))
        return
    with tempfile.TemporaryDirectory(prefix="orch-mlflow-") as name:
        folder = Path(name)
        password = secrets.token_urlsafe(18)
        config = folder / "auth.ini"
        config.write_text(_CONFIG.format(database=folder / "auth.db", user=USER), encoding="utf-8")
        port = _free_port()
        environment = {
            **os.environ,
            "MLFLOW_AUTH_CONFIG_PATH": str(config),
            "MLFLOW_AUTH_ADMIN_USERNAME": USER,
            "MLFLOW_AUTH_ADMIN_PASSWORD": password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # Not among the arguments, which everybody on the machine may read: it may hold a password.
            "MLFLOW_BACKEND_STORE_URI": uri,
        }
        command = [sys.executable, "-I", tethered.__file__, sys.executable, "-m", "mlflow", "server"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--app-name", "basic-auth"]
        command += ["--allowed-hosts", f"localhost:{port},127.0.0.1:{port}", "--no-serve-artifacts"]
        log = folder / "log"
        with log.open("wb") as output:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=folder,
                    start_new_session=True,
                )
            except OSError as error:
                raise TargetError(f"MLflow's server cannot be started: {error}") from None
        try:
            yield Served(address=f"http://127.0.0.1:{port}", user=USER, password=password)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a server, by the end of what it was tied to."""
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
