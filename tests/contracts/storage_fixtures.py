"""Places for registries, and small plans to put into them, shared by the suites of registry and store."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from orchestrator.model.plan import Assignment, Plan, Trial, TrialKey
from orchestrator.model.result import PartRef
from orchestrator.model.run import CheckpointRef, Owner, Submission
from orchestrator.registry import schema
from orchestrator.registry.registry import SqlRegistry, open_registry

ROOT = Path(__file__).parents[2]


@dataclass
class MovableClock:
    """A clock that only tests move."""

    seconds: float = 1_000_000.0

    def time(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Place:
    """A registry that is opened any number of times."""

    url: str
    opened: list[SqlRegistry] = field(default_factory=list)

    def open(self, clock: MovableClock | None = None) -> SqlRegistry:
        registry = open_registry(self.url, clock=clock)
        self.opened.append(registry)
        return registry


class Server:
    """A throw-away Postgres server, started by the first test that wants a database."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._numbers = itertools.count()
        self._address = ""

    def database(self) -> str:
        """Returns the address of a new database with our schema."""
        if self._folder is None:
            self._start()
        return self._create(f"t{next(self._numbers)}", " TEMPLATE ready")

    def drop(self, url: str) -> None:
        name = url.split("?")[0].rpartition("/")[2]
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def empty(self) -> str:
        """Returns the address of a new database without tables."""
        if self._folder is None:
            self._start()
        return self._create(f"e{next(self._numbers)}", "")

    def _create(self, name: str, based: str) -> str:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"{based}')
        return self._url(name)

    def _start(self) -> None:
        # In memory where there is such a place: the tests make many databases.
        memory = Path("/dev/shm")
        self._folder = Path(
            tempfile.mkdtemp(prefix="orchpg", dir=memory if os.access(memory, os.W_OK) else None)
        )
        command = [str(ROOT / "scripts" / "postgres.sh"), "start", str(self._folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            self.stop()
            pytest.skip(f"not run here: {done.stderr.strip() or 'Postgres did not start'}")
        self._address = done.stdout.strip()
        schema.upgrade(self._create("ready", ""))

    def _url(self, name: str) -> str:
        return self._address.replace("/postgres?", f"/{name}?")

    def stop(self) -> None:
        if self._folder is not None:
            subprocess.run([str(ROOT / "scripts" / "postgres.sh"), "stop", str(self._folder)], check=False)
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "postgres":
        found = Place(request.getfixturevalue("postgres").database())
    else:
        found = Place(f"sqlite:///{tmp_path / 'store' / 'registry.db'}")
    yield found
    for registry in found.opened:
        registry.close()
    if request.param == "postgres":
        request.getfixturevalue("postgres").drop(found.url)


@pytest.fixture
def registry(place: Place) -> SqlRegistry:
    return place.open()


def key(name: object) -> TrialKey:
    return TrialKey(hashlib.md5(str(name).encode()).hexdigest())


def owner(name: str) -> Owner:
    return Owner(driver=name, host="some-host", pid=os.getpid())


def training(name: object, **changes: object) -> Trial:
    values: dict[str, object] = {
        "key": key(name),
        "stage": "train",
        "workload": "toy",
        "config": {"network": {"name": "plain", "widths": [16, 32]}, "lr": 0.1, "note": "µ – ∞ \u2028"},
        "seed": 2**40,
        "label": f"depth={name} seed 0",
    }
    return Trial(**{**values, **changes})  # type: ignore[arg-type]


def evaluation(name: object, *parents: object, **changes: object) -> Trial:
    values: dict[str, object] = {
        "key": key(name),
        "stage": "evaluate",
        "workload": "toy",
        "family": "lesion",
        "parameters": {"module": 3, "deep": {"er": [1, None, True]}},
        "parents": tuple(key(parent) for parent in parents),
    }
    return Trial(**{**values, **changes})  # type: ignore[arg-type]


def plan_of(study: str, *trials: Trial) -> Plan:
    return Plan(
        study=study,
        cells=(),
        dimensions=(),
        trials={trial.key: trial for trial in trials},
        assignments=[
            Assignment(
                study=study,
                cell=trial.label,
                evaluation="test" if trial.stage == "train" else trial.family,
                labels={"z": trial.key[:4], "a": "W/", "–": "n"},
                draw=trial.draw,
                seed=trial.seed,
                trial=trial.key,
            )
            for trial in trials
        ],
    )


def submission(study: str) -> Submission:
    return Submission(
        id="",
        study=study,
        document={"study": study, "design": {"factors": {"b": [1, 2], "a": [2.5]}}},
        file="studies/x.yaml",
        patches={"epochs": 3},
        seeds=(0, 5),
        cells=("depth=26",),
        code="abc",
        commit="def",
        dirty=True,
        created_at=12.5,
        arguments={"slots": 2, "executor": "inline"},
    )


def part(name: str, rows: int = 1) -> PartRef:
    return PartRef(path=f"results/{name}.parquet", sha256=name * 4, rows=rows, size_bytes=3 * 2**31)


def checkpoint(trial: object, serial: int) -> CheckpointRef:
    return CheckpointRef(
        trial=key(trial),
        path=f"checkpoints/{key(trial)}/{serial}",
        digest=f"d{serial}",
        serial=serial,
        step=10 * serial,
        size_bytes=5 * 2**31,
    )
