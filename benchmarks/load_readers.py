"""Readers in a loop beside drivers that commit and a compaction: what they see is whole, and never less."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.load_measure import Child, Figure, Sizes, call
from benchmarks.load_stores import opened, study_file
from benchmarks.load_writers import EACH

WRITERS = ("left", "right")
ROWS = 5  # of a training
READS = 5  # of each reader at least, however slow the machine
LONGEST_S = 300.0  # what is written meanwhile ends with the readers, or now


def readers(sizes: Sizes) -> Iterator[Figure]:
    """Yields the errors of readers beside two writers and a compaction."""
    with tempfile.TemporaryDirectory(prefix="orch-load-") as folder:
        files = [
            str(study_file(Path(folder), study, 300, 10, 1, first=100 * number))
            for number, study in enumerate(WRITERS)
        ]
        call("benchmarks.load_stores:record", folder, files)
        writing = [
            Child("benchmarks.load_writers:writer", (folder, None, study, LONGEST_S)) for study in WRITERS
        ]
        compacting = Child("benchmarks.load_readers:compactor", (folder,))
        kinds = ("table_reader", "arrow_reader")
        reading = [
            Child(f"benchmarks.load_readers:{kinds[n % 2]}", (folder, WRITERS[n // 2 % 2], sizes.read_s))
            for n in range(sizes.readers)
        ]
        seen = [child.wait().result for child in reading]
        Path(folder, "stop").touch()
        commits = sum(child.wait().result for child in writing)
        compactions = compacting.wait().result
    errors = [error for each in seen for error in each["errors"]]
    looks = sum(each["looks"] for each in seen)
    told = f"{looks} reads, {commits} commits, {compactions} compactions" + "".join(
        f"; {error}" for error in errors[:3]
    )
    name = f"errors of {sizes.readers} readers beside {len(WRITERS)} writers"
    yield Figure(name=name, value=len(errors), unit="", goal=0, note=told)
    falls = sum(each["falls"] for each in seen)
    yield Figure(name="  times that a count fell, or was of half a commit", value=falls, unit="", goal=0)


def table_reader(store: str, study: str, run_s: float) -> dict[str, Any]:
    """Builds a study's table again and again; returns what was wrong with the number of its values."""
    from orchestrator.app.results import build_tables, study_of

    def count() -> int:
        with opened(store) as session:
            (table,) = build_tables(session, study_of(session, study))
        return sum(entry.n for row in table.entries for entry in row)

    return _looped(count, EACH, run_s)


def arrow_reader(store: str, study: str, run_s: float) -> dict[str, Any]:
    """Reads the listed parts with pyarrow alone; returns what was wrong with the number of rows."""
    import pyarrow.parquet as pq

    def count() -> int:
        with opened(store) as session:
            keys = list(session.registry.trials(study))
            parts = session.registry.parts(keys)
        tables = [pq.read_table(Path(store, part.path), columns=["trial"]) for part in parts]
        own = set(keys)
        return sum(key in own for table in tables for key in table.column("trial").to_pylist())

    return _looped(count, EACH * ROWS, run_s)


def _looped(count: Any, whole: int, run_s: float) -> dict[str, Any]:
    errors: list[str] = []
    looks = falls = last = 0
    until = 0.0
    while looks < READS or time.monotonic() < until:
        looks += 1
        if looks == 2:  # the first one pays for imports
            until = time.monotonic() + run_s
        try:
            found = count()
        except Exception as error:  # every kind counts
            errors.append(f"{type(error).__name__}: {error}")
            continue
        falls += found < last or found % whole != 0
        last = found
    return {"looks": looks, "falls": falls, "errors": errors}


def compactor(store: str) -> int:
    """Compacts again and again until the store has a file "stop"; returns how often."""
    from orchestrator.app.upkeep import compact

    done = 0
    until = time.monotonic() + LONGEST_S
    while time.monotonic() < until and not Path(store, "stop").exists():
        with opened(store) as session:
            compact(session, session.stores.results)
        done += 1
        time.sleep(0.2)
    return done
