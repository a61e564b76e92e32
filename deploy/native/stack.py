"""Starts the whole stack on this machine without containers, uses it, and takes it down again.

python -m deploy.native.stack up DIR       Postgres, an S3 store, MLflow, a Ray head and a worker, on loopback
python -m deploy.native.stack smoke DIR    submits studies/smoke.yaml to it by Ray Jobs; prints its tables
python -m deploy.native.stack down DIR     ends everything and deletes DIR
python -m deploy.native.stack try DIR      all three

It is for looking at the parts together and for tests: Postgres does not wait for the disk, and the objects of
the S3 store are in memory. Exit code 3: Postgres cannot be had here.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from deploy.native import services
from deploy.native.processes import Server, StackError
from deploy.native.services import BUCKET, HOST, ROOT, Place, Ports

STATE = "stack.json"
LONGEST = 28  # Ray's sockets are far below, and a socket's path has room for 107 bytes
TARGET = """# Settings for `orch ... --target stack`, run from this directory after `. ./env.sh`.
[targets.stack]
jobs_address = "http://{host}:{jobs}"
registry_url = "{registry}"
store = "s3://{bucket}/store"
mlflow_uri = "http://{host}:{mlflow}"
"""


def up(directory: Path) -> Place:
    """Starts every server; ends those that did start when one does not.

    Args:
        directory: Does not exist yet; a short path.

    Raises:
        StackError: Says which server did not start, and why.
    """
    if len(str(directory)) > LONGEST:
        raise StackError(f"the path {directory} is too long for Ray's sockets: {LONGEST} characters at most")
    if directory.exists():
        raise StackError(f"{directory} exists: name a directory that does not, or take that stack down first")
    (directory / "secrets").mkdir(parents=True)
    (directory / "secrets").chmod(0o700)
    directory.chmod(0o711)  # as root, Postgres is another user and must get through
    place = Place(directory=directory, ports=services.free_ports())
    started: list[Server] = []
    _remember(place, started)
    try:
        _say("Postgres")
        services.start_postgres(place)
        steps: dict[str, Callable[[], Server]] = {
            "the S3 store": lambda: services.start_s3(place),
            "MLflow": lambda: services.start_mlflow(place),
            "Ray's head": lambda: services.start_ray(place, "ray-head", cpus=0),
            "a Ray worker": lambda: services.start_ray(place, "ray-worker", cpus=2),
        }
        for name, start in steps.items():
            _say(name)
            started.append(start())
            _remember(place, started)
        _write_settings(place)
        _orch(place, "db", "upgrade")
    except BaseException:
        down(directory)
        raise
    ports = place.ports
    print(f"up: Ray http://{HOST}:{ports.jobs}, MLflow http://{HOST}:{ports.mlflow}")
    print(f"MLflow's user is admin, its password in {place.secret_file('mlflow_admin')}")
    print(f"cd {directory}; . ./env.sh; orch submit STUDY.yaml --no-wait --target stack")
    return place


def smoke(directory: Path) -> str:
    """Runs the smoke study in the cluster and returns its tables as text.

    Raises:
        StackError: The stack is not there, or the study did not end well.
    """
    place, _ = _remembered(directory)
    _orch(place, "submit", str(ROOT / "studies" / "smoke.yaml"), "--no-wait")
    _orch(place, "watch", "smoke")
    log = _orch(place, "logs", "smoke", "--driver")
    status = json.loads(_orch(place, "status", "smoke", "--json"))["studies"][0]
    if status["status"] != "done":
        raise StackError(f"the smoke study is {status['status']!r}, not done; its driver said:\n{log}")
    return "\n".join(_orch(place, "table", "smoke", name) for name in ("errors", "curves"))


def down(directory: Path) -> None:
    """Ends every server, the last started first, and deletes the directory.

    Raises:
        StackError: There is no stack in it.
    """
    place, servers = _remembered(directory)
    for server in reversed(servers):
        server.end()
    services.stop_postgres(place)
    shutil.rmtree(directory, ignore_errors=True)


def main(arguments: list[str] | None = None) -> int:
    """Runs one verb; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.native.stack",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=("up", "smoke", "down", "try"))
    parser.add_argument("directory", type=lambda text: Path(text).absolute())
    given = parser.parse_args(arguments)
    try:
        if given.verb in ("up", "try"):
            up(given.directory)
        try:
            if given.verb in ("smoke", "try"):
                print(smoke(given.directory))
        finally:
            if given.verb in ("down", "try"):
                down(given.directory)
                _say("down")
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3 if str(error).startswith("Postgres") else 1
    return 0


def _write_settings(place: Place) -> None:
    text = TARGET.format(
        host=HOST,
        bucket=BUCKET,
        jobs=place.ports.jobs,
        mlflow=place.ports.mlflow,
        registry=place.database("orch"),
    )
    (place.directory / "orch.toml").write_text(text, encoding="utf-8")
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in place.access().items()]
    environment = place.directory / "env.sh"
    environment.touch(mode=0o600)
    environment.write_text("".join(lines), encoding="utf-8")


def _orch(place: Place, *arguments: str) -> str:
    """Returns what a command of orch prints, on the stack's target."""
    environment = {**place.environment(), "PYTHONPATH": str(ROOT), "ORCH_TARGET": "stack"}
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli.main", *arguments],
        cwd=place.directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StackError(f"orch {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def _remember(place: Place, servers: list[Server]) -> None:
    state = {"ports": asdict(place.ports), "servers": [asdict(server) for server in servers]}
    new = place.directory / f".tmp-{os.getpid()}"
    new.write_text(json.dumps(state, indent=1), encoding="utf-8")
    new.rename(place.directory / STATE)


def _remembered(directory: Path) -> tuple[Place, list[Server]]:
    try:
        state = json.loads((directory / STATE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StackError(f"there is no stack in {directory}: `up` makes one") from None
    servers = [Server(**each) for each in state["servers"]]
    return Place(directory=directory, ports=Ports(**state["ports"])), servers


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
