"""The servers of the stack: Postgres, an S3 store, MLflow, Ray's head and a worker; all on loopback."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from deploy.native.processes import Server, StackError, start

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
HOST = "127.0.0.1"
# `ray start` puts the machine's outer address in place of 127.0.0.1 and then listens to everybody. A setting
# (in Place.access) keeps it on loopback, but also refuses a second node, which this lets join.
_RAY = """
import ray._private.ray_constants, ray._private.services
ray._private.ray_constants.ENABLE_RAY_CLUSTER = True
ray._private.services.get_node_ip_address = lambda address=None: "127.0.0.1"
from ray.scripts.scripts import main
main()
"""
BUCKET = "orch"

# moto is what the tests use, too: it keeps objects in memory, and they are gone with it.
_S3 = """
import sys, threading
from moto.server import ThreadedMotoServer
ThreadedMotoServer(ip_address=sys.argv[1], port=int(sys.argv[2]), verbose=False).start()
threading.Event().wait()
"""
_AUTH = """[mlflow]
default_permission = NO_PERMISSIONS
database_uri = {database}
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the servers listen on loopback; Postgres has a socket in the stack's directory."""

    s3: int
    mlflow: int
    ray: int
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A stack's directory: everything it writes is in it, secrets in files that only their owner reads."""

    directory: Path
    ports: Ports

    @property
    def postgres(self) -> Path:
        """Returns the directory of the database server."""
        return self.directory / "pg"

    def database(self, name: str) -> str:
        """Returns the address of a database; it needs no password, its socket is in a closed directory."""
        return f"postgresql+psycopg://orch@/{name}?host={self.postgres}"

    def secret(self, name: str) -> str:
        """Returns a secret of the stack, made at the first call."""
        path = self.secret_file(name)
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(32), encoding="ascii")
        return path.read_text(encoding="ascii")

    def secret_file(self, name: str) -> Path:
        """Returns where a secret is kept."""
        return self.directory / "secrets" / name

    def access(self) -> dict[str, str]:
        """Returns the environment of everything that uses the stack: drivers, workers, people."""
        self.secret("ray_token")
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.secret_file("ray_token")),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "AWS_ENDPOINT_URL": f"http://{HOST}:{self.ports.s3}",
            "AWS_ACCESS_KEY_ID": "orch",
            "AWS_SECRET_ACCESS_KEY": self.secret("s3_key"),
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "MLFLOW_TRACKING_USERNAME": "admin",
            "MLFLOW_TRACKING_PASSWORD": self.secret("mlflow_admin"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }

    def environment(self) -> dict[str, str]:
        """Returns the environment of the servers."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ORCH_", "RAY_"))}
        kept.pop("PYTHONPATH", None)  # code comes with what is submitted
        return {**kept, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}", **self.access()}


def free_ports() -> Ports:
    """Returns ports that nobody listens on."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(4)]
    numbers = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return Ports(s3=numbers[0], mlflow=numbers[1], ray=numbers[2], jobs=numbers[3])


def start_postgres(place: Place) -> None:
    """Starts the database server with the databases of the registry and of MLflow.

    Raises:
        StackError: It cannot be had here.
    """
    done = _postgres(place, "start")
    if done.returncode:
        raise StackError(f"Postgres: {done.stderr.strip()}")
    import psycopg

    with psycopg.connect(f"postgresql://orch@/postgres?host={place.postgres}", autocommit=True) as connection:
        for name in ("orch", "mlflow"):
            connection.execute(f"CREATE DATABASE {name}")


def stop_postgres(place: Place) -> None:
    """Ends the database server; its data go with it."""
    _postgres(place, "stop")


def start_s3(place: Place) -> Server:
    """Starts the object store and makes its bucket."""
    address = f"http://{HOST}:{place.ports.s3}"
    server = start(
        "s3",
        [sys.executable, "-c", _S3, HOST, str(place.ports.s3)],
        environment=place.environment(),
        directory=place.directory,
        ready=lambda: _answers(address),
    )
    request = urllib.request.Request(f"{address}/{BUCKET}", method="PUT")
    urllib.request.urlopen(request, timeout=30).close()
    return server


def start_mlflow(place: Place) -> Server:
    """Starts MLflow's server: runs in Postgres, files in the bucket, a password for everyone."""
    settings = place.directory / "mlflow-auth.ini"
    settings.write_text(_AUTH.format(database=place.database("mlflow")), encoding="utf-8")
    address = f"http://{HOST}:{place.ports.mlflow}"
    environment = {
        **place.environment(),
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_AUTH_ADMIN_PASSWORD": place.secret("mlflow_admin"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": place.secret("mlflow_session"),
        "MLFLOW_S3_ENDPOINT_URL": f"http://{HOST}:{place.ports.s3}",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"]
    command += ["--host", HOST, "--port", str(place.ports.mlflow)]
    command += ["--backend-store-uri", place.database("mlflow")]
    command += ["--artifacts-destination", f"s3://{BUCKET}/mlflow"]
    return start(
        "mlflow",
        command,
        environment=environment,
        directory=place.directory,
        ready=lambda: _answers(f"{address}/health"),
    )


def start_ray(place: Place, name: str, *, cpus: int) -> Server:
    """Starts a node of the Ray cluster.

    Args:
        place: The stack.
        name: "ray-head", or any other for a worker.
        cpus: What it offers.
    """
    command = [sys.executable, "-c", _RAY, "start", "--block", "--disable-usage-stats", f"--num-cpus={cpus}"]
    command += ["--num-gpus=0", f"--node-ip-address={HOST}", f"--object-store-memory={96 * 1024**2}"]
    command += [f"--dashboard-agent-listen-port={_free_port()}"]
    # Nodes that share a directory delete each other's unpacked code.
    command += [f"--temp-dir={place.directory / name}"]
    if name == "ray-head":
        command += ["--head", f"--port={place.ports.ray}", f"--dashboard-host={HOST}"]
        command += [f"--dashboard-port={place.ports.jobs}"]
    else:
        command += [f"--address={HOST}:{place.ports.ray}"]
    log = place.directory / f"{name}.log"
    return start(
        name,
        command,
        environment=place.environment(),
        directory=place.directory,
        ready=lambda: b"Ray runtime started" in log.read_bytes(),
    )


def _postgres(place: Place, verb: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "scripts" / "postgres.sh"), verb, str(place.postgres)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as found:
        port: int = found.getsockname()[1]
    return port


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except urllib.error.HTTPError:
        return True  # it asks for a password, say
    except OSError:
        return False
    return True
