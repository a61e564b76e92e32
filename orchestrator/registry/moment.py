"""The clocks of the registry: when something happened, and whether a lease still holds.

A lease must neither be lost nor kept when somebody sets the clock. On Postgres the server's clock is
the one clock of all hosts. A SQLite file is used on one host only, so that leases there run on the
host's clock since boot, which nobody can set, together with the identity of that boot.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import sqlalchemy as sa

from orchestrator.ports import Clock


class Moments:
    """What time it is, as SQL expressions.

    Attributes:
        boot: Identity of the clock that leases run on; a lease of another one has expired.
    """

    def __init__(self, *, is_sqlite: bool, clock: Clock | None = None) -> None:
        """Takes the database's clock, or `clock.time()` in its place for everything."""
        self._clock = clock
        self._is_sqlite = is_sqlite
        self._boot_clock = is_sqlite and clock is None and hasattr(time, "CLOCK_BOOTTIME")
        self.boot = _boot() if self._boot_clock else ""

    def now(self) -> sa.ColumnElement[float]:
        """Returns seconds since the epoch."""
        if self._clock is not None:
            return sa.literal(self._clock.time(), sa.Double())
        if self._is_sqlite:
            return sa.literal_column("(julianday('now') - 2440587.5) * 86400.0", sa.Double())
        return sa.literal_column(
            "CAST(extract(epoch FROM clock_timestamp()) AS double precision)", sa.Double()
        )

    def lease_now(self) -> sa.ColumnElement[float]:
        """Returns seconds on the clock that leases run on."""
        if self._boot_clock:
            return sa.literal(time.clock_gettime(time.CLOCK_BOOTTIME), sa.Double())
        return self.now()

    def ended(self, *, boot: str, host: str, pid: int) -> bool:
        """Returns whether a driver certainly runs no more: its process was on this boot, and is gone."""
        if not self._boot_clock or boot != self.boot or host != os.uname().nodename:
            return False
        try:
            os.kill(pid, 0)
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except ProcessLookupError:
            return True
        except OSError:  # somebody else's process: it exists
            return False
        return stat.rpartition(")")[2].split()[0] in ("Z", "X")  # dead, but its parent has not looked


def _boot() -> str:
    """Returns this boot and this space of process ids: pids of another container mean nothing here."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return "unknown"
