"""Many processes at once: submitters, drivers that hold leases, readers beside writers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.load_measure import Child, Figure, Sizes, call, postgres
from benchmarks.load_stores import commit, opened, settings_of, study_file

EACH = 3  # trainings of one commit of a writer: readers see all of them or none
SERVER = "server without fsync, in memory"


# --- submitters -------------------------------------------------------------------------------------------


def submitters(sizes: Sizes) -> Iterator[Figure]:
    """Yields the errors of many processes that submit studies at once, SQLite first."""
    with tempfile.TemporaryDirectory(prefix="orch-load-") as folder:
        yield _submitted("SQLite", folder, None, sizes.submitters, sizes.studies_each)
    if not sizes.on_postgres:
        return
    name = f"errors of {sizes.on_postgres} processes on Postgres"
    with tempfile.TemporaryDirectory(prefix="orch-load-") as folder, postgres() as (url, why):
        if url:
            yield _submitted("Postgres", folder, url, sizes.on_postgres, sizes.each_on_postgres)
        else:
            yield Figure(name=name, value=None, unit="", goal=0, note=why)


def _submitted(where: str, folder: str, url: str | None, processes: int, studies: int) -> Figure:
    began = time.perf_counter()
    children = [
        Child("benchmarks.load_writers:submitter", (folder, url, number, studies))
        for number in range(processes)
    ]
    errors = [error for child in children for error in child.wait().result]
    spent_s = time.perf_counter() - began
    with opened(folder, url) as session:
        for submission in session.registry.studies():
            trials = session.registry.trials(submission.study)
            for key, status in session.registry.statuses(list(trials)).items():
                if status.state != "succeeded" or status.attempts != 1:
                    errors.append(f"{key}: {status.state} after {status.attempts} attempts")
        if (count := len(session.registry.studies())) != processes * studies:
            errors.append(f"{count} studies are recorded")
    said = f"{processes * studies} submissions in {spent_s:.0f} s" + "".join(f"; {e}" for e in errors[:3])
    name = f"errors of {processes} processes x {studies} studies, {where}"
    return Figure(name=name, value=len(errors), unit="", goal=0, note=said)


def submitter(store: str, url: str | None, number: int, studies: int) -> list[str]:
    """Submits studies whose trials another submitter may be running too; returns what went wrong."""
    from orchestrator.app.planning import Request
    from orchestrator.app.run import Running
    from orchestrator.app.submit import submit
    from orchestrator.app.view import Silent

    errors: list[str] = []
    settings = settings_of(store, url)
    for study in range(studies):
        # Studies of one round share their trials between two processes.
        first = 2 * (study * 1000 + number // 2)
        file = study_file(Path(store), f"s{number}-{study}", 2, 2, 2, first=first)
        try:
            finish = submit(Request(file=file, patches={}), Running(), settings, Silent())
        except Exception as error:  # every kind counts
            errors.append(f"{type(error).__name__}: {error}")
            continue
        shown = sum(entry.n for row in finish.tables[0].entries for entry in row)
        if finish.exit_code or shown != 8:
            errors.append(f"exit code {finish.exit_code}, {shown} values of 8")
    return errors


# --- leases -----------------------------------------------------------------------------------------------


def leases(sizes: Sizes) -> Iterator[Figure]:
    """Yields how often a live driver with many running trials was taken for dead."""
    with tempfile.TemporaryDirectory(prefix="orch-load-") as folder:
        yield from _watched("SQLite", folder, None, sizes.running, sizes)
    if not sizes.running_postgres:
        return
    with tempfile.TemporaryDirectory(prefix="orch-load-") as folder, postgres() as (url, why):
        if url:
            yield from _watched("Postgres", folder, url, sizes.running_postgres, sizes)
        else:
            name = f"false deaths, {sizes.running_postgres} trials running, Postgres"
            yield Figure(name=name, value=None, unit="", goal=0, note=why)


def _watched(where: str, folder: str, url: str | None, running: int, sizes: Sizes) -> Iterator[Figure]:
    from orchestrator.app.session import new_owner
    from orchestrator.errors import HeldError

    files = [
        str(study_file(Path(folder), "held", running, 1, 1)),
        str(study_file(Path(folder), "busy", 1000, 4, 1, first=5)),
    ]
    call("benchmarks.load_stores:record", folder, files, url)
    holder = Child("benchmarks.load_writers:holder", (folder, url, sizes.lease_s, sizes.watch_s))
    busy = Child("benchmarks.load_writers:writer", (folder, url, "busy", sizes.watch_s))
    looks = dead = 0
    with opened(folder, url) as session:
        registry = session.registry
        deadline = time.monotonic() + 60
        while registry.driver("held") is None and time.monotonic() < deadline:
            time.sleep(0.05)
        until = time.monotonic() + 0.8 * sizes.watch_s
        while time.monotonic() < until:
            looks += 1
            try:
                registry.release(registry.acquire("held", new_owner(), sizes.lease_s))
                dead += 1
            except HeldError:
                pass
            time.sleep(0.05)
    held, commits = holder.wait().result, busy.wait().result
    told = (
        f"{looks} others asked for the study; lease of {sizes.lease_s:g} s, renewed {held['renewed']} "
        f"times, the slowest {1000 * held['slowest_s']:.0f} ms, beside {commits} commits of another driver"
        + (f"; {SERVER}" if url else "")
    )
    lost = dead + (running - held["kept"]) + held["lost"]
    yield Figure(
        name=f"false deaths, {running:,} trials running, {where}", value=lost, unit="", goal=0, note=told
    )
    yield Figure(name="  statements of one renewal", value=held["statements"], unit="", goal=1)


def holder(store: str, url: str | None, lease_s: float, run_s: float) -> dict[str, Any]:
    """Claims all trials of the study "held" and renews its lease; returns what became of them."""
    import sqlalchemy as sa

    from orchestrator.app.session import new_owner
    from orchestrator.errors import LeaseLostError

    sent: list[str] = []
    counted: set[int] = set()
    slowest_s, lost, renewed = 0.0, 0, 0

    def count(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        sent.append(statement)

    with opened(store, url) as session:
        registry = session.registry
        lease = registry.acquire("held", new_owner(), lease_s)
        keys = list(registry.trials("held"))
        epochs = {claim.trial.key: claim.epoch for claim in registry.claim(lease, keys)}
        sa.event.listen(sa.Engine, "before_cursor_execute", count)
        until = time.monotonic() + run_s
        while time.monotonic() < until:
            sent.clear()
            began = time.monotonic()
            try:
                registry.renew(lease)
            except LeaseLostError:
                lost += 1
                break
            slowest_s = max(slowest_s, time.monotonic() - began)
            counted.add(sum(not text.startswith("BEGIN") for text in sent))
            renewed += 1
            time.sleep(lease_s / 4)
        sa.event.remove(sa.Engine, "before_cursor_execute", count)
        statuses = registry.statuses(keys)
        kept = sum(
            statuses[key].driver == lease.owner.driver and statuses[key].epoch == epoch
            for key, epoch in epochs.items()
        )
        registry.release(lease)
    return {
        "kept": kept,
        "lost": lost,
        "renewed": renewed,
        "slowest_s": slowest_s,
        "statements": max(counted),
    }


def writer(store: str, url: str | None, study: str, run_s: float, stop: str = "stop") -> int:
    """Claims and commits trials of a study, three at once, as fast as it can; returns its commits.

    Args:
        store: The store.
        url: Of a registry elsewhere.
        study: Whose trials.
        run_s: For so long at most.
        stop: It ends when the store has a file of this name.
    """
    from orchestrator.app.session import driving

    commits = 0
    with opened(store, url) as session, driving(session, study) as lease:
        waiting = list(session.registry.trials(study))
        results = session.stores.results
        until = time.monotonic() + run_s
        while waiting and time.monotonic() < until and not Path(store, stop).exists():
            claims = session.registry.claim(lease, waiting[:EACH])
            commit(session, results, lease, claims, 5)
            waiting = waiting[EACH:]
            commits += 1
            if commits % 20 == 0:
                session.registry.renew(lease)
    return commits
