"""Studies on real Ray while something dies every few seconds: `make soak`, SOAK_S seconds long.

One study after the other, of sixty trials: a driver, a worker, a raylet or the cluster's head is killed, or
a worker stands still for some seconds; a driver that ended is resumed. Each finished study must hold every
invariant.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.execution import ray_reaper
from tests.recovery.invariants import Golden, assert_invariants, finished, golden
from tests.recovery.nursery import Fault, warm
from tests.street.orch import Orch

STUDY = """
api_version: 1
study: NAME
workload: tests.toy_workload:SPEC
config: {steps: 12, step_s: 0.5}
design: {type: factorial, factors: {x: {path: x, levels: LEVELS}}}
seeds: 4
evaluate: {scaled: {family: scale, vary: {by: {levels: [2, 3], otherwise: one}}}}
tables: {errors: {from: [test, scaled], rows: x, columns: by, metric: test_error}}
"""
KINDS = {"worker killed": 4, "worker stopped": 3, "driver killed": 2, "raylet killed": 1, "head killed": 1}
EVERY_S = (5.0, 20.0)
STOPPED_S = (2.0, 6.0)
WARM_S = 10.0  # a driver's first seconds with a worker, in which it loads what it needs
LIFE_S = 300.0
GROWTH = 0.05
LOG_BYTES = 2 * 2**20  # of one driver's whole output


def no_sleep() -> None:
    """Lets the toy's trainings take no time in this process: for the undisturbed run."""
    time.sleep = lambda seconds: None


@dataclass(slots=True, kw_only=True)
class Life:
    """What one driver took: (seconds since its first worker, bytes resident, threads, open files)."""

    samples: list[tuple[float, int, int, int]] = field(default_factory=list)

    def growth(self) -> float | None:
        """Returns by which part its memory grew from the first to the last third, None for a short life."""
        found = [rss for at, rss, _, _ in self.samples if at > WARM_S]
        third = len(found) // 3
        if third < 5:
            return None
        return statistics.median(found[-third:]) / statistics.median(found[:third]) - 1

    def most(self, which: int) -> tuple[int, int]:
        """Returns the least and the most of threads (2) or open files (3) after the first seconds."""
        found = [sample[which] for sample in self.samples if sample[0] > WARM_S]
        return (min(found), max(found)) if found else (0, 0)


class Soak:
    """One run."""

    def __init__(self, directory: Path, seconds: float, seed: int) -> None:
        self.orch = Orch(
            directory=directory, executor="ray", environment={"ORCH_CHECKPOINT_INTERVAL_S": "0.4"}
        )
        self.directory = directory
        self.choice = random.Random(seed)
        self.deadline = time.monotonic() + seconds
        self.struck: Counter[str] = Counter()
        self.ended: Counter[int] = Counter()
        self.lives: list[Life] = []
        self.pids: list[int] = []
        self.studies = 0
        self.slowest_s = 0.0  # from the death of a cluster to its driver's end
        self.lock = threading.Lock()

    def run(self) -> None:
        """Runs study after study to the deadline."""
        while time.monotonic() < self.deadline:
            self._study(self.studies)
            self.studies += 1
        until(lambda: not self._left(), what="the end of every process", limit_s=60)

    def _study(self, number: int) -> None:
        name = f"soak{number}"
        levels = [number * 10 + level for level in range(5)]
        text = STUDY.replace("NAME", name).replace("LEVELS", str(levels))
        expected = self._golden(name, text)
        file = self.orch.study(text, f"{name}.yaml")
        before: dict[str, Any] = {}
        code = -1
        while code != 0:
            recorded = number > 0 or (self.directory / "store" / "registry.db").exists()
            known = recorded and self.orch("status", name, code=None).code == 0
            code = self._drive("resume" if known else "submit", name if known else str(file))
            before = finished(self.orch, name) | before
        inline = Orch(directory=self.directory, environment=self.orch.environment)
        assert_invariants(inline, name, expected, before=before)

    def _golden(self, name: str, text: str) -> Golden:
        with tempfile.TemporaryDirectory(prefix="orch-") as folder:
            orch = Orch(directory=Path(folder))
            fault = Fault(setup="tests.recovery.soak:no_sleep")
            done = warm()(orch, "submit", orch.study(text), fault=fault)
            assert done.code == 0, done
            return golden(orch, name)

    def _drive(self, *arguments: str) -> int:
        """Returns the exit code of one driver, which may not have its own way."""
        log = self.directory / f"driver-{len(self.pids)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                self.orch.command(*arguments),
                cwd=self.directory,
                env=self.orch.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pids.append(process.pid)
        life, began = Life(), time.monotonic()
        next_s = began + 6 + self.choice.uniform(*EVERY_S)
        first = cluster_died = None
        try:
            while process.poll() is None:
                now = time.monotonic()
                assert now - began < LIFE_S, f"a driver did not end: {log.read_text()[-2000:]}"
                # While it has workers: the tables that it builds at the end load a whole library.
                if _victims(process.pid, "worker") and (usage := _usage(process.pid)) is not None:
                    first = now if first is None else first
                    life.samples.append((now - first, *usage))
                if now >= next_s and now < self.deadline:
                    kind = self._strike(process.pid)
                    if kind in ("raylet killed", "head killed"):
                        cluster_died = now
                    next_s = now + self.choice.uniform(*EVERY_S)
                time.sleep(0.5)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if cluster_died is not None and process.returncode == 5:
            self.slowest_s = max(self.slowest_s, time.monotonic() - cluster_died)
        self.lives.append(life)
        self.ended[process.returncode] += 1
        say(f"{arguments[0]} ended with {process.returncode} after {time.monotonic() - began:.0f} s")
        text = log.read_text(errors="replace")
        assert process.returncode in (0, 5, -signal.SIGKILL), f"exit {process.returncode}: {text[-3000:]}"
        assert "Traceback" not in text, text[-3000:]
        assert log.stat().st_size < LOG_BYTES, f"{log} has {log.stat().st_size} bytes"
        return process.returncode

    def _strike(self, driver: int) -> str:
        kind = self.choice.choices(list(KINDS), list(KINDS.values()))[0]
        victims = [driver] if kind == "driver killed" else _victims(driver, kind.split()[0])
        if not victims:
            return ""
        victim = self.choice.choice(victims)
        title = _title(victim)
        with contextlib.suppress(ProcessLookupError):
            if kind == "worker stopped":
                os.kill(victim, signal.SIGSTOP)
                timer = threading.Timer(self.choice.uniform(*STOPPED_S), _wake, [victim])
                timer.daemon = True
                timer.start()
            else:
                os.kill(victim, signal.SIGKILL)
            self.struck[kind] += 1
            say(f"{kind}: {victim} {title}")
            return kind
        return ""

    def _left(self) -> list[Path]:
        return [path for pid in self.pids for path in Path("/tmp").glob(f"orch-ray-{pid}-*")]

    def flat(self) -> list[str]:
        """Returns what of the drivers' use of the machine was not flat."""
        found = []
        for life in self.lives:
            growth = life.growth()
            if growth is not None and growth > GROWTH:
                found.append(f"a driver's memory grew by {growth:.1%}")
        return found

    def summary(self) -> str:
        """Returns what happened, for people."""
        grown = [growth for life in self.lives if (growth := life.growth()) is not None]
        threads = [life.most(2) for life in self.lives if life.most(2)[1]]
        files = [life.most(3) for life in self.lives if life.most(3)[1]]
        store = sum(path.stat().st_size for path in (self.directory / "store" / "logs").rglob("*.log*"))
        lines = [
            f"{self.studies} studies of 60 trials",
            "struck: " + ", ".join(f"{kind} {self.struck[kind]}" for kind in KINDS),
            f"drivers: {len(self.lives)}, resumes {len(self.lives) - self.studies}; ended "
            + ", ".join(f"{count} with {code}" for code, count in sorted(self.ended.items())),
            f"slowest end after the cluster's death: {self.slowest_s:.0f} s",
            f"memory of {len(grown)} drivers that lived long enough: grew by "
            + (f"{min(grown):.1%} to {max(grown):.1%}" if grown else "-"),
            f"threads (least, most of each): {threads}",
            f"open files: {files}",
            f"logs: {store} bytes of trials",
        ]
        return "\n".join(lines)


def _usage(pid: int) -> tuple[int, int, int] | None:
    """Returns a process's resident bytes, threads and open files, None when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        values = dict(line.split(":\t", 1) for line in lines)
        return (
            int(values["VmRSS"].split()[0]) * 1024,
            int(values["Threads"]),
            len(os.listdir(f"/proc/{pid}/fd")),
        )
    except (OSError, KeyError):
        return None


def _victims(driver: int, kind: str) -> list[int]:
    """Returns the driver's workers, its raylet or the head of its cluster."""
    folders = [str(path) for path in Path("/tmp").glob(f"orch-ray-{driver}-*")]
    if not folders:
        return []
    found = []
    for pid in ray_reaper.belonging(folders[0], {driver}):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            program = words[0].rpartition(b"/")[2]
            is_worker = words[0].startswith(b"ray::orch ")  # a lane
            if (
                (kind == "worker" and is_worker)
                or (kind == "raylet" and program == b"raylet")
                or (kind == "head" and program == b"gcs_server")
            ):
                found.append(pid)
    return found


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")[-60:]
    except OSError:
        return "gone"


def say(text: str) -> None:
    """Prints a line with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _wake(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def until(true: Callable[[], bool], *, what: str, limit_s: float) -> None:
    """Polls until something holds."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, f"{what} did not come in {limit_s:g} s"
        time.sleep(0.1)


def main() -> int:
    """Runs the soak and prints what happened; returns 1 for a violation."""
    seconds = float(os.environ.get("SOAK_S", "600"))
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(10**6))
    print(f"SOAK_S={seconds:g} SOAK_SEED={seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="orch-soak-") as name:
        soak = Soak(Path(name), seconds, seed)
        violations = []
        try:
            soak.run()
        except AssertionError as error:
            violations.append(str(error))
        violations += soak.flat()
        print(soak.summary())
        for each in violations:
            print(f"VIOLATION: {each}")
    print(f"{len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
