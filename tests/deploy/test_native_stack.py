"""The whole stack without containers: up, a study by Ray Jobs, its table, down."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from deploy.native.processes import StackError, start
from deploy.native.services import HOST, Place, Ports
from deploy.native.stack import down, main, smoke, up
from tests.street.orch import ROOT, Orch, until

# 127.0.0.1, the same as IPv6 writes it, and ::1
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


@pytest.fixture
def directory() -> Iterator[Path]:
    parent = Path(tempfile.mkdtemp(prefix="orch-st-", dir="/tmp"))  # Ray's sockets want a short path
    parent.chmod(0o711)  # Postgres is another user when the tests run as root
    yield parent / "s"
    if (parent / "s").exists():
        down(parent / "s")
    shutil.rmtree(parent)


def members(directory: Path) -> dict[int, str]:
    """Returns pid -> command line of the processes that run in a stack's directory, or name it."""
    found = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if str(directory) in command or str(directory) in os.readlink(process / "cwd"):
                    found[int(process.name)] = command
    return found


def listening(pids: Iterable[int]) -> set[str]:
    """Returns the local addresses, as the kernel writes them, on which processes listen."""
    own = set()
    for pid in pids:
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                own.add(os.readlink(handle))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
                found.add(fields[1].partition(":")[0])
    return found


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_a_study_runs_on_the_whole_stack(directory: Path, tmp_path: Path) -> None:
    try:
        place = up(directory)
    except StackError as error:
        if str(error).startswith("Postgres"):
            pytest.skip(f"not run here: {error}")
        raise
    assert listening(members(directory)) <= LOOPBACK
    for address in (
        f"http://{HOST}:{place.ports.jobs}/api/jobs/",
        f"http://{HOST}:{place.ports.mlflow}/api/2.0/mlflow/experiments/search?max_results=1",
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address, timeout=30)
        assert refused.value.code == 401, address
    for file in (directory / "secrets").iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
        secret = file.read_text()
        assert not [command for command in members(directory).values() if secret in command]

    found = smoke(directory)
    alone = Orch(directory=tmp_path)
    alone("submit", ROOT / "studies" / "smoke.yaml")
    expected = "\n".join(alone("table", "smoke", name).out for name in ("errors", "curves"))
    assert found == expected
    assert "component" in found
    assert found == smoke(directory), "asked again, nothing is trained, and the tables are the same"

    down(directory)
    assert not directory.exists()
    until(lambda: not members(directory), timeout_s=30, what="the end of every server")


def test_what_cannot_be_is_said_and_nothing_is_left(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["down", str(directory)]) == 1
    assert "`up` makes one" in capsys.readouterr().err
    directory.mkdir()
    assert main(["up", str(directory)]) == 1
    assert "exists" in capsys.readouterr().err
    directory.rmdir()
    assert main(["up", str(directory / ("x" * 40))]) == 1
    assert "too long" in capsys.readouterr().err
    assert not directory.exists()


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    command = ["bash", "-c", "echo port taken; exit 3"]
    with pytest.raises(StackError, match="port taken"):
        start("web", command, environment=os.environ, directory=tmp_path, ready=lambda: False)


def test_a_server_is_ended_with_its_children(tmp_path: Path) -> None:
    command = ["bash", "-c", "trap '' TERM; sleep 600 & echo $! >child; wait"]
    server = start(
        "s", command, environment=os.environ, directory=tmp_path, ready=(tmp_path / "child").exists
    )
    until(lambda: (tmp_path / "child").read_text().strip(), what="the child's number")
    child = int((tmp_path / "child").read_text())
    assert server.alive()
    assert runs(child)
    server.end(grace_s=0.5)
    assert not server.alive()
    until(lambda: not runs(child), what="the child's end")
    server.end()  # again: nothing happens


def test_secrets_are_made_once_and_for_their_owner(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    place = Place(directory=tmp_path, ports=Ports(s3=1, mlflow=2, ray=3, jobs=4))
    token = place.secret("ray_token")
    assert (len(token), place.secret("ray_token")) == (64, token)
    assert place.secret_file("ray_token").stat().st_mode & 0o777 == 0o600
    assert token not in str(place.access())  # only the path of its file is
