"""Real Ray clusters of several nodes on this machine, each node a process group of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.street.orch import until

BIN = Path(sys.executable).parent
START_S = 120.0


@dataclass(kw_only=True)
class Nodes:
    """A cluster; its first node is the head.

    Attributes:
        directory: Of Ray's files, the token and the nodes' output.
        port: Of the head; jobs: of its dashboard.
    """

    directory: Path
    port: int = field(default_factory=lambda: free_port())
    jobs: int = field(default_factory=lambda: free_port())
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Returns where drivers join."""
        return f"127.0.0.1:{self.port}"

    @property
    def access(self) -> dict[str, str]:
        """Returns the environment of who may use the cluster."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.directory / "token")}

    def start(self, name: str, *, cpus: int = 1, gpus: int = 0, before: Sequence[str] = ()) -> None:
        """Starts a node and waits until it has joined.

        Args:
            name: "head" or any other.
            cpus: What it offers; gpus: likewise, said, not counted.
            before: A command that `ray start` is run by.
        """
        command = [
            *before,
            str(BIN / "ray"),
            "start",
            "--block",
            "--disable-usage-stats",
            f"--num-cpus={cpus}",
            f"--num-gpus={gpus}",
            f"--dashboard-agent-listen-port={free_port()}",  # the fixed default may be taken
            f"--object-store-memory={96 * 1024**2}",
            f'--resources={{"node-{name}": 1}}',
        ]
        if name == "head":
            command += [
                "--head",
                f"--port={self.port}",
                f"--dashboard-port={self.jobs}",
                "--dashboard-host=127.0.0.1",
                f"--temp-dir={self.directory / 'ray'}",
            ]
        else:
            command += [f"--address={self.address}"]
        environment = {
            **os.environ,
            **self.access,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        environment.pop("PYTHONPATH", None)  # the code comes with what is submitted
        said = self.directory / f"{name}.log"
        with said.open("wb") as file:
            self.processes[name] = subprocess.Popen(
                command,
                env=environment,
                cwd=self.directory,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until(
            lambda: b"Ray runtime started" in said.read_bytes() or self.processes[name].poll() is not None,
            timeout_s=START_S,
            what=f"the start of node {name}",
        )
        assert self.processes[name].poll() is None, said.read_text()

    def kill(self, name: str) -> None:
        """Ends a node at once, with everything that runs on it."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """Ends all nodes."""
        for name in list(self.processes):
            self.kill(name)
        shutil.rmtree(self.directory, ignore_errors=True)


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


@contextmanager
def cluster(*, gpus: int = 0) -> Iterator[Nodes]:
    """Yields a cluster with a head and a token of its own."""
    # Ray's sockets want a short path.
    nodes = Nodes(directory=Path(tempfile.mkdtemp(prefix="orch-nodes-", dir="/tmp")))
    token = nodes.directory / "token"
    token.touch(0o600)
    token.write_text(secrets.token_hex(32))
    try:
        nodes.start("head", gpus=gpus)
        yield nodes
    finally:
        nodes.close()
