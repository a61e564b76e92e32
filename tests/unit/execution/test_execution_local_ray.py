"""A local cluster lives and dies with its driver, and is nobody else's."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
DRIVER = Path(__file__).with_name("local_ray_driver.py")


class Driver:
    """The driver's process, its lines, and every process it has started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "stdout"
        self.errors = folder / "stderr"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        # Ray in the suite's own process may have left its mark; a user's shell has none.
        environment.update(PYTHONPATH=str(ROOT), HOME=str(folder))
        with self.output.open("w") as out, self.errors.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, str(DRIVER), str(folder)],
                stdout=out,
                stderr=err,
                cwd=ROOT,
                env=environment,
                start_new_session=True,
            )

    def lines(self, kind: str) -> list[dict[str, Any]]:
        complete = self.output.read_text().rpartition("\n")[0]
        # Everything on stdout is ours: a line of Ray's would not be JSON.
        return [line for line in map(json.loads, complete.splitlines()) if line["kind"] == kind]

    def wait_for_start(self) -> list[dict[str, Any]]:
        def both() -> bool:
            assert self.process.poll() is None, self.errors.read_text()
            return len(self.lines("started")) == 2

        wait_until(both, 120)
        return self.lines("started")

    def offspring(self) -> set[int]:
        """Returns the processes below the driver, those that Ray has detached from it too."""
        parents = {pid: parent_of(pid) for pid in processes()}
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found - {self.process.pid}


def processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def parent_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def wait_until(true: Callable[[], bool], limit_s: float) -> None:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < limit_s, f"not within {limit_s} s"
        time.sleep(0.02)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    driver = Driver(tmp_path)
    try:
        yield driver
    finally:
        for pid in {*driver.offspring(), driver.process.pid}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        driver.process.wait()


@pytest.mark.slow
def test_ctrl_c_saves_and_leaves_nothing(driver: Driver) -> None:
    started = driver.wait_for_start()
    for line in started:
        assert line["address"] == "127.0.0.1"
        assert line["mode"] == "0o600"
        assert line["folder_mode"] == "0o700"
    family = driver.offspring()
    assert {line["pid"] for line in started} <= family
    # As a terminal does: to the driver and all that is in its process group.
    os.killpg(driver.process.pid, signal.SIGINT)
    driver.process.wait(60)
    assert driver.process.returncode == 0, driver.errors.read_text()
    assert [line["cause"] for line in driver.lines("failed")] == ["interrupted"] * 2
    (over,) = driver.lines("over")
    assert over["handler_kept"]
    wait_until(lambda: not any(map(alive, family)), 15)
    assert not Path(started[0]["folder"]).exists()
    assert not (driver.folder / ".ray").exists()  # no token in the user's home


@pytest.mark.slow
def test_workers_do_not_outlive_a_killed_driver(driver: Driver) -> None:
    started = driver.wait_for_start()
    family = driver.offspring()
    assert len(family) > 4
    driver.process.kill()
    driver.process.wait()
    wait_until(lambda: not any(map(alive, family)), 15)
    wait_until(lambda: not Path(started[0]["folder"]).exists(), 15)


DASHBOARD = """
import os, urllib.request
from orchestrator.execution.ray_cluster import connected, local_dashboard
assert local_dashboard(os.getpid()) is None
with connected(cpus=1, dashboard=True):
    address, token = local_dashboard(os.getpid())
    assert address.startswith("http://127.0.0.1:"), address
    assert token.stat().st_mode & 0o077 == 0
    assert urllib.request.urlopen(address, timeout=60).status == 200
    assert local_dashboard(1) is None
assert local_dashboard(os.getpid()) is None
"""


@pytest.mark.slow
def test_its_dashboard_is_found_while_it_lives(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    environment.update(PYTHONPATH=str(ROOT), HOME=str(tmp_path))
    subprocess.run([sys.executable, "-c", DASHBOARD], cwd=ROOT, env=environment, check=True, timeout=180)
