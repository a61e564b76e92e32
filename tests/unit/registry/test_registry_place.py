"""Addresses, file systems, clocks, full disks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestrator.errors import HeldError, TargetError
from orchestrator.model.run import Owner
from orchestrator.registry.engine import Database
from orchestrator.registry.location import filesystem, parse, require_local, shown
from orchestrator.registry.moment import Moments
from orchestrator.registry.registry import open_registry
from orchestrator.registry.tables import LEASES
from tests.contracts.storage_fixtures import MovableClock, owner


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@127.0.0.1:1/db",
        "postgresql+psycopg://me:hunter2@127.0.0.1:1/db",
        "postgresql://me@127.0.0.1:1/db?password=hunter2",
        "postgres://me:hunter2@127.0.0.1:1/db",
    ],
)
def test_no_message_holds_the_password(url: str) -> None:
    began = time.monotonic()
    with pytest.raises(TargetError, match=r"me@127\.0\.0\.1") as caught:
        open_registry(url)
    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r} {shown(parse(url))}"
    assert caught.value.__suppress_context__
    assert time.monotonic() - began < 20, "a wrong address is not worth waiting for"


@pytest.mark.parametrize(
    "url", ["mysql://u:hunter2@h/d", "sqlite://", "sqlite:///:memory:", "not an address://x y:hunter2"]
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(TargetError) as caught:
        open_registry(url)
    assert "hunter2" not in str(caught.value)


def test_file_system_is_that_of_the_deepest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    deep = tmp_path / "a b"
    deep.mkdir()
    escaped = str(deep).replace(" ", r"\040")
    mounts.write_text(
        "22 1 254:0 / / rw - ext4 /dev/root rw\n"
        f"23 22 0:5 / {tmp_path} rw,noatime shared:1 - xfs /dev/b rw\n"
        f"24 23 0:6 / {escaped} rw master:1 - nfs4 server:/x rw\n"
    )
    assert filesystem(Path("/etc"), mounts=mounts) == "ext4"
    assert filesystem(tmp_path / "new" / "file", mounts=mounts) == "xfs"
    assert filesystem(deep / "registry.db", mounts=mounts) == "nfs4"
    assert filesystem(deep, mounts=tmp_path / "none") == ""
    assert filesystem(Path("/proc/self"))  # "proc", whatever else the system has


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "lustre", "cifs", "smb3", "fuse.sshfs", "fuse"])
def test_network_file_systems_are_refused(kind: str) -> None:
    with pytest.raises(TargetError, match=rf"{kind}.*Postgres"):
        require_local(Path("/data/registry.db"), kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "overlay", "tmpfs", "fuseblk", "fuse.fuse-overlayfs", ""])
def test_local_file_systems_are_taken(kind: str) -> None:
    require_local(Path("/data/registry.db"), kind)


def test_the_database_clock_agrees_with_ours(tmp_path: Path) -> None:
    database = Database(parse(str(tmp_path / "x.db")))
    moments = Moments(is_sqlite=True)
    before = time.time()
    now = database.read(lambda connection: connection.scalar(sa.select(moments.now())))
    assert before - 0.01 <= now <= time.time() + 0.01
    clock = MovableClock()
    moved = Moments(is_sqlite=True, clock=clock)
    assert database.read(lambda c: c.execute(sa.select(moved.now(), moved.lease_now())).one()) == (1e6, 1e6)
    database.close()


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="not run here: no clock since boot")
def test_leases_on_sqlite_do_not_follow_the_wall_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = open_registry(str(tmp_path / "r.db"))
    registry.acquire("s", owner("first"), 60)
    expires_at = registry._database.read(lambda c: c.scalar(sa.select(LEASES.c.expires_at)))
    assert 55 < expires_at - time.clock_gettime(time.CLOCK_BOOTTIME) <= 60
    # After a restart of the machine nobody lives who held a lease before.
    monkeypatch.setattr("orchestrator.registry.moment._boot", lambda: "another boot")
    again = open_registry(str(tmp_path / "r.db"))
    assert again.driver("s") is None
    again.acquire("s", owner("second"), 60)
    again.close()
    registry.close()


def test_a_driver_whose_process_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    registry = open_registry(str(tmp_path / "r.db"))
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    here = os.uname().nodename
    lease = registry.acquire("s", Owner(driver="first", host=here, pid=process.pid), 3600)
    with pytest.raises(HeldError):
        registry.acquire("s", owner("second"), 60)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, but nobody has looked yet
    assert registry.driver("s") is None
    assert registry.acquire("s", owner("second"), 60).epoch == lease.epoch + 1
    process.communicate()
    # Elsewhere nobody can tell: its lease has to expire.
    registry.acquire("other", Owner(driver="x", host="elsewhere", pid=process.pid), 3600)
    with pytest.raises(HeldError):
        registry.acquire("other", owner("second"), 60)
    registry.close()


def test_a_full_disk_is_told_as_such_and_changes_nothing(tmp_path: Path) -> None:
    from tests.contracts.storage_fixtures import plan_of, submission, training

    registry = open_registry(str(tmp_path / "r.db"))
    registry.record(submission("s"), plan_of("s", training(0)))
    engine = registry._database.engine

    @sa.event.listens_for(engine, "begin")
    def limit(connection: sa.Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")

    with pytest.raises(OSError, match="cannot be written") as caught:
        registry.record(submission("s"), plan_of("s", *(training(n) for n in range(3000))))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / "r.db")
    sa.event.remove(engine, "begin", limit)
    assert len(registry.statuses()) == 1
    assert len(registry.submissions("s")) == 1
    registry.close()
