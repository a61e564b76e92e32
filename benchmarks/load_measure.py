"""Figures beside their goals, and commands whose time and memory are measured in a process of their own."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LIMIT_S = 900.0  # a child that takes longer hangs


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number beside its goal.

    Attributes:
        name: What was measured.
        value: The number; None where it was not run here.
        unit: Of the number.
        goal: At most so much.
        note: How it was measured, or why not.
    """

    name: str
    value: float | None
    unit: str
    goal: float
    note: str = ""

    @property
    def verdict(self) -> str:
        """Returns "met", "MISSED" or "not run here"."""
        if self.value is None:
            return "not run here"
        return "met" if self.value <= self.goal else "MISSED"

    def line(self) -> str:
        """Returns the figure as a line of a table."""
        value = "–" if self.value is None else f"{self.value:.4g}"
        note = f"  ({self.note})" if self.note else ""
        return f"{self.name:<58} {value:>8} {self.unit:<6} goal {self.goal:>6g}  {self.verdict}{note}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything; the defaults are the goals' own.

    Attributes:
        plan: Cells of `orch plan`, a product of two factors.
        cells: Cells of the large study, likewise.
        seeds: Its seeds.
        undone: Its trainings that a resume finds unfinished.
        rows: Rows that each training reports.
        each: Trainings of one commit, and so of one part.
        runs: How often a command is measured; its median counts.
        studies: Studies beside it.
        submitters: Processes that submit at once, on SQLite.
        on_postgres: Likewise on Postgres, 0 for none.
        studies_each: Studies that each of them submits on SQLite.
        each_on_postgres: Likewise on Postgres: 32 processes start for minutes on two cores.
        running: Running trials of one driver, on SQLite.
        running_postgres: Likewise on Postgres, 0 for none.
        lease_s: How long a lease lasts in the watch.
        watch_s: How long leases are watched.
        readers: Processes that read in a loop, half of them tables.
        read_s: For so long.
        checkpoint_mb: Size of the checkpoint that is timed.
        repeats: How often, next to a plain write.
        saves: Checkpoints of one training while its disk is watched.
        saved_mb: Size of each.
        pairs: How often tables are compared with a bare query.
    """

    plan: tuple[int, int] = (1000, 100)
    cells: tuple[int, int] = (100, 20)
    seeds: int = 5
    undone: int = 1000
    rows: int = 100
    each: int = 5
    runs: int = 3
    studies: int = 99
    submitters: int = 8
    on_postgres: int = 32
    studies_each: int = 20
    each_on_postgres: int = 4
    running: int = 200
    running_postgres: int = 1000
    lease_s: float = 2.0
    watch_s: float = 15.0
    readers: int = 16
    read_s: float = 20.0
    checkpoint_mb: int = 1024
    repeats: int = 5
    saves: int = 12
    saved_mb: int = 16
    pairs: int = 9


SMALL = Sizes(
    plan=(4, 3),
    cells=(3, 2),
    seeds=2,
    undone=4,
    rows=5,
    each=2,
    runs=1,
    studies=2,
    submitters=2,
    on_postgres=0,
    studies_each=1,
    running=4,
    running_postgres=0,
    watch_s=1.0,
    readers=2,
    read_s=1.0,
    checkpoint_mb=1,
    repeats=1,
    saves=4,
    saved_mb=1,
    pairs=2,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a process came to.

    Attributes:
        wall_s: From its start to its end, the interpreter's start included.
        cpu_s: Of all its threads.
        peak_mb: The most memory it held.
        result: What its function returned.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    result: Any = None


@dataclass(slots=True)
class Child:
    """A function of ours that runs in a process of its own."""

    function: str
    arguments: Sequence[Any]
    output: Path | None = None
    _folder: Any = field(init=False)
    _process: subprocess.Popen[bytes] = field(init=False)
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        """Starts it."""
        self._folder = tempfile.TemporaryDirectory(prefix="orch-child-")
        answer, errors = (Path(self._folder.name, name) for name in ("answer", "errors"))
        command = [sys.executable, "-m", "benchmarks.load_child", str(answer), self.function]
        environment = {**os.environ, "POLARS_MAX_THREADS": os.environ.get("POLARS_MAX_THREADS", "2")}
        # An installation has its bytecode; what is measured is not the compiler.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._began = time.perf_counter()
        with errors.open("wb") as err, open(self.output or os.devnull, "wb") as out:
            self._process = subprocess.Popen(
                [*command, json.dumps(self.arguments)], stdout=out, stderr=err, cwd=ROOT, env=environment
            )

    def wait(self) -> Cost:
        """Returns what it came to.

        Raises:
            RuntimeError: It failed; with what it said.
        """
        try:
            code = self._process.wait(LIMIT_S)
            wall_s = time.perf_counter() - self._began
            if code != 0:
                said = Path(self._folder.name, "errors").read_text(errors="replace")
                raise RuntimeError(f"{self.function} ended with {code}: {said[-2000:]}")
            answer = json.loads(Path(self._folder.name, "answer").read_text())
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._folder.cleanup()
        return Cost(wall_s=wall_s, **answer)


def call(function: str, *arguments: Any) -> Cost:
    """Returns what "module:function" comes to in a process of its own."""
    return Child(function, arguments).wait()


def command(store: Path, *arguments: str) -> Cost:
    """Returns what one `orch` command comes to; its result is the exit code."""
    return call("benchmarks.load_child:orch", ["--store", str(store), "--no-color", *arguments])


def median(costs: Sequence[Cost]) -> Cost:
    """Returns the cost with the median wall clock."""
    return sorted(costs, key=lambda cost: cost.wall_s)[len(costs) // 2]


def seconds(name: str, cost: Cost, goal: float, note: str = "") -> Figure:
    """Returns the wall clock of a process as a figure."""
    told = f"{cost.cpu_s:.1f} s of CPU, {cost.peak_mb:.0f} MiB" + (f"; {note}" if note else "")
    return Figure(name=name, value=cost.wall_s, unit="s", goal=goal, note=told)


def told(figures: Iterable[Figure], *, as_json: bool) -> int:
    """Prints figures as they come, or all of them as JSON; returns 1 where a goal is missed."""
    found: list[Figure] = []
    facts = machine()
    if not as_json:
        print(", ".join(f"{name} {value}" for name, value in facts.items()), flush=True)
    for figure in figures:
        found.append(figure)
        if not as_json:
            print(figure.line(), flush=True)
    if as_json:
        listed = [{**asdict(figure), "verdict": figure.verdict} for figure in found]
        print(json.dumps({"machine": facts, "figures": listed}, indent=2))
    return 1 if any(figure.verdict == "MISSED" for figure in found) else 0


def machine() -> dict[str, Any]:
    """Returns facts that the figures depend on."""
    with open("/proc/meminfo") as file:
        memory_gb = int(file.readline().split()[1]) / 2**20
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_gb, 1),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "date": time.strftime("%Y-%m-%d"),
    }


@contextmanager
def postgres() -> Iterator[tuple[str, str]]:
    """Yields the address of a throw-away server's database with our tables, or "" and why there is none."""
    memory = "/dev/shm"
    folder = tempfile.mkdtemp(prefix="orchpg", dir=memory if os.access(memory, os.W_OK) else None)
    script = str(ROOT / "scripts" / "postgres.sh")
    try:
        done = subprocess.run([script, "start", folder], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            yield "", done.stderr.strip() or "Postgres did not start"
            return
        from orchestrator.registry import schema

        schema.upgrade(done.stdout.strip())
        yield done.stdout.strip(), ""
    finally:
        subprocess.run([script, "stop", folder], check=False)
