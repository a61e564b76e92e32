"""Large studies and many of them: recording, planning, asking, printing, resuming, compacting."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.load_measure import Figure, Sizes, call, command, median, seconds
from benchmarks.load_stores import study_file


def planning(sizes: Sizes) -> Iterator[Figure]:
    """Yields what `orch plan` of a very large study comes to."""
    with tempfile.TemporaryDirectory(prefix="orch-load-") as name:
        folder = Path(name)
        file = study_file(folder, "planned", *sizes.plan, seeds=1)
        cost = median([command(folder / "store", "plan", str(file)) for _ in range(sizes.runs)])
    cells = sizes.plan[0] * sizes.plan[1]
    yield seconds(f"orch plan of {cells:,} cells", cost, 10.0)
    yield Figure(name="  its memory", value=cost.peak_mb, unit="MiB", goal=1024)


def large(sizes: Sizes) -> Iterator[Figure]:
    """Yields what a large study costs, from its submission to its compacted parts."""
    with tempfile.TemporaryDirectory(prefix="orch-load-") as name:
        yield from _large(sizes, Path(name))


def _large(sizes: Sizes, folder: Path) -> Iterator[Figure]:
    trials = sizes.cells[0] * sizes.cells[1] * sizes.seeds
    file = study_file(folder, "big", *sizes.cells, sizes.seeds)
    fresh = [str(folder / f"fresh{number}") for number in range(sizes.runs - 1)]
    store = folder / "store"
    costs = [call("benchmarks.load_stores:record", place, [str(file)]) for place in (*fresh, str(store))]
    cost = median(costs)
    yield seconds(f"orch submit that records {trials:,} trials", cost, 10.0, "up to its first claim")
    yield Figure(name="  its memory", value=cost.peak_mb, unit="MiB", goal=500)

    call("benchmarks.load_stores:finish", str(store), ["big"], sizes.rows, sizes.undone, sizes.each)
    cost = median([call("benchmarks.load_stores:resume", str(store), "big") for _ in range(sizes.runs)])
    said = f"{trials - sizes.undone:,} of them done; up to its first claim"
    yield seconds(f"orch resume of {trials:,} trials", cost, 5.0, said)
    call("benchmarks.load_stores:finish", str(store), ["big"], sizes.rows, 0, sizes.each)

    others = [
        str(study_file(folder, f"other{n}", 20, 1, sizes.seeds, first=10_000 + n))
        for n in range(sizes.studies)
    ]
    call("benchmarks.load_stores:record", str(store), others)
    done = [f"other{n}" for n in range(0, sizes.studies, 2)]
    call("benchmarks.load_stores:finish", str(store), done, 10, 0, 100)
    beside = f"{trials * sizes.rows:,} rows, {sizes.studies + 1} studies"
    for arguments, goal, told in (
        (("status", "big"), 1.0, beside),
        (("status",), 1.0, "all studies"),
        (("list",), 1.0, "all studies; no goal of its own, status's is taken"),
        (("table", "big", "-f", "csv"), 3.0, f"{trials // sizes.each:,} parts"),
    ):
        cost = median([command(store, *arguments) for _ in range(sizes.runs)])
        yield seconds("orch " + " ".join(arguments), cost, goal, told)
    began = time.perf_counter()
    command(store, "compact")
    spent_s = time.perf_counter() - began
    command(store, "gc", "--delete", "--grace", "0")
    files = len(list((store / "results").iterdir()))
    told = f"orch compact took {spent_s:.1f} s"
    yield Figure(name=f"files of {trials:,} trials when compacted", value=files, unit="", goal=200, note=told)
    cost = median([command(store, "table", "big", "-f", "csv") for _ in range(sizes.runs)])
    yield seconds("orch table big, compacted", cost, 3.0)
