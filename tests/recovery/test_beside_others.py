"""A study goes on while the database is locked, the clock jumps, and readers look at everything."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from unittest import mock

import pyarrow.parquet as pq
import pytest

from orchestrator.app import fsck
from orchestrator.app.inspect import statuses
from orchestrator.app.results import build_tables, study_of
from orchestrator.app.session import SystemClock, open_session
from orchestrator.settings import load_settings
from orchestrator.store.checkpoints import DirectoryCheckpoints
from orchestrator.store.results import ParquetResults
from tests.recovery.invariants import assert_invariants, golden, reports
from tests.recovery.small_study import OFTEN, STUDY, at, undisturbed
from tests.street.orch import Orch, until

LOCKED_S = 3.0


@pytest.mark.slow
def test_a_lock_that_outlasts_the_lease_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    environment = {**OFTEN, "ORCH_LEASE_S": "2"}
    orch = Orch(directory=tmp_path / "a", environment=environment)
    slow = STUDY.replace("steps: 2", "steps: 4, step_s: 0.1")
    file = orch.study(slow)
    registry = tmp_path / "a" / "store" / "registry.db"
    with orch.start("submit", file) as driver:
        until(lambda: registry.exists() and orch("status", "demo", code=None).code == 0, what="a plan")
        until(lambda: any((tmp_path / "a").glob("store/results/*.parquet")), what="a result")
        with closing(sqlite3.connect(registry, isolation_level=None, timeout=30)) as foreign:
            foreign.execute("BEGIN IMMEDIATE")
            released = time.monotonic() + LOCKED_S
            until(lambda: time.monotonic() > released, what="the end of the lock")
            assert driver.poll() is None, "it did not wait"
            foreign.execute("COMMIT")
        out, _ = driver.communicate(timeout=60)
    assert driver.returncode == 0, out
    expected = at(tmp_path / "b")
    expected("submit", expected.study(slow))
    assert_invariants(orch, "demo", golden(expected, "demo"), before={})
    for report in reports(orch, golden(expected, "demo").trials).values():
        assert [each["outcome"] for each in report["attempts"]] == ["succeeded"], (
            "somebody was taken for dead"
        )


@pytest.mark.slow
@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, jump_s: float) -> None:
    orch = at(tmp_path)
    real, calls = time.time, itertools.count()

    def jumping(*arguments: object) -> float:
        return real() + (jump_s if next(calls) % 2 else 0.0)

    with mock.patch.object(time, "time", jumping), mock.patch.object(SystemClock, "time", jumping):
        orch("submit", "study.yaml", "--cells", "x=1")
        orch("submit", "study.yaml")
    assert next(calls) > 4, "nothing looked at the clock"
    assert_invariants(orch, "demo", undisturbed().golden, before={})
    for report in reports(orch, undisturbed().golden.trials).values():
        assert all(each["ended_at"] >= each["started_at"] for each in report["attempts"])


@pytest.mark.slow
def test_readers_beside_writers_see_whole_states_only(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path, environment=OFTEN)
    texts = {
        name: STUDY.replace("study: demo", f"study: {name}")
        .replace("steps: 2", "steps: 3, step_s: 0.05")
        .replace("levels: [1, 2]", f"levels: {[10 * number + each for each in range(4)]}")
        for number, name in enumerate(("first", "second"))
    }
    problems: list[str] = []
    looks = [0] * 4
    over = threading.Event()

    def read(which: int) -> None:
        most = 0
        while not over.is_set():
            try:
                with open_session(load_settings()) as session:
                    store = ParquetResults(session.stores.layout.root)
                    parts = session.registry.parts()
                    rows = sum(
                        pq.read_metadata(session.stores.layout.root / part.path).num_rows for part in parts
                    )
                    assert rows == sum(part.rows for part in parts), "a part has other rows than listed"
                    done = sum(
                        count
                        for status in statuses(session)
                        for counts in (status.trainings, status.evaluations)
                        for state, count in counts.items()
                        if state.has_result
                    )
                    assert done >= most, f"the results became fewer: {done} after {most}"
                    most = done
                    for submission in session.registry.studies():
                        build_tables(session, study_of(session, submission.study))
                    if which == 0:
                        found = fsck.examine(session, store, DirectoryCheckpoints(session.stores.layout.root))
                        bad = [each for each in found.damage if each.kind != "checkpoint"]
                        assert not bad, f"damage: {bad}"
                looks[which] += 1
            except Exception as error:
                problems.append(f"{type(error).__name__}: {error}")
                return

    with contextlib.ExitStack() as stack:
        orch("db", "upgrade")
        stack.enter_context(mock.patch.dict(os.environ, orch.env, clear=True))
        stack.enter_context(contextlib.chdir(tmp_path))
        readers = [threading.Thread(target=read, args=(which,)) for which in range(4)]
        writers = [
            stack.enter_context(orch.start("submit", orch.study(text, f"{name}.yaml")))
            for name, text in texts.items()
        ]
        for reader in readers:
            reader.start()
        try:
            for writer in writers:
                out, _ = writer.communicate(timeout=120)
                assert writer.returncode == 0, out
        finally:
            over.set()
            for reader in readers:
                reader.join(60)
    assert problems == []
    assert all(looks), f"a reader saw nothing: {looks}"
    for name, text in texts.items():
        other = at(tmp_path / name)
        other("submit", other.study(text))
        assert_invariants(orch, name, golden(other, name), before={})
