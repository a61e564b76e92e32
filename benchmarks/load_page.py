"""The web page on a large study: how long each page takes on the server, and how heavy it is."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.load_measure import ROOT, Figure, Sizes, call
from benchmarks.load_stores import opened, study_file

GOAL_MS = 300.0
GOAL_KB = 300.0
SCRAPE_MS = 1000.0  # no page: a scraper waits ten seconds
ROUNDS = 5
BETWEEN_S = 0.3


@contextmanager
def served(store: Path) -> Iterator[tuple[str, str]]:
    """Yields address and token of `orch ui` on a store."""
    environment = {**os.environ, "ORCH_STORE": str(store), "ORCH_WORKLOAD_MODULES": "benchmarks"}
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator.cli.main", "ui", "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=ROOT,
        text=True,
    )
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield told["url"].rstrip("/"), told["token"]
    finally:
        process.terminate()
        process.wait(30)


def pages(store: Path, study: str) -> list[str]:
    """Returns the address of every kind of page of a study."""
    with opened(store) as session:
        key = session.registry.find("")[0]
    at = f"/studies/{study}"
    return [
        *("/", at, f"{at}?q=9&page=2", f"{at}/tables", f"{at}/tables/main", f"{at}/tables/main?page=2"),
        *(f"{at}/tables/main/entry?r=1&c=1", f"{at}/tables/main/as/latex", f"{at}/plots", f"{at}/claims"),
        *(
            f"{at}/trials",
            f"{at}/trials?state=pending&page=3",
            f"{at}/design",
            f"{at}/cancel",
            f"{at}/resume",
        ),
        *(f"/trials/{key}", f"/trials/{key}/log", f"/compare?one={study}:x=1,y=1&other={study}:x=2,y=1"),
        "/static/style.css",
    ]


def asked(address: str, token: str, path: str) -> tuple[float, int]:
    """Returns the milliseconds until a page is there whole, and its bytes."""
    request = urllib.request.Request(address + path, headers={"authorization": f"Bearer {token}"})
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        if error.code != 503:  # "being built; ask again" is an answer
            raise
        body = error.read()
    return 1000 * (time.perf_counter() - began), len(body)


def page(sizes: Sizes) -> Iterator[Figure]:
    """Yields how long the slowest page takes, at rest and while results come in, and the heaviest one."""
    with tempfile.TemporaryDirectory(prefix="orch-load-") as name:
        folder = Path(name)
        store = folder / "store"
        file = study_file(folder, "big", *sizes.cells, sizes.seeds)
        call("benchmarks.load_stores:record", str(store), [str(file)])
        call("benchmarks.load_stores:finish", str(store), ["big"], sizes.rows, sizes.undone, sizes.each)
        trials = sizes.cells[0] * sizes.cells[1] * sizes.seeds
        paths = pages(store, "big")
        with served(store) as (address, token):
            first = _slowest(address, token, paths, rounds=1)
            yield _figure(f"slowest page of {trials:,} trials, asked first", first)
            time.sleep(5 * BETWEEN_S)
            yield _figure("  at rest", _slowest(address, token, paths, rounds=ROUNDS))
            left = sizes.undone
            times: dict[str, list[float]] = {path: [] for path in paths}
            for _ in range(ROUNDS):
                left = max(0, left - max(1, sizes.undone // (2 * ROUNDS)))
                call("benchmarks.load_stores:finish", str(store), ["big"], sizes.rows, left, 10 * sizes.each)
                for path in paths:
                    times[path].append(asked(address, token, path)[0])
            yield _figure("  while results come in", times)
            heaviest = max((asked(address, token, path)[1], path) for path in paths)
            metrics = _slowest(address, token, ["/metrics"], rounds=ROUNDS)
            yield _figure("  its metrics", metrics, goal=SCRAPE_MS)
        yield Figure(
            name="  the heaviest page", value=heaviest[0] / 1000, unit="kB", goal=GOAL_KB, note=heaviest[1]
        )


def _slowest(address: str, token: str, paths: Sequence[str], *, rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {path: [] for path in paths}
    for _ in range(rounds):
        for path in paths:
            found[path].append(asked(address, token, path)[0])
    return found


def _figure(name: str, times: dict[str, list[float]], goal: float = GOAL_MS) -> Figure:
    """Returns the page whose median is the largest, and the largest single time beside it."""
    medians = {path: statistics.median(found) for path, found in times.items()}
    slowest = max(medians, key=lambda path: medians[path])
    worst = max(max(found) for found in times.values())
    half = statistics.median(medians.values())
    note = f"{slowest}; median of all {half:.0f} ms; the longest single wait {worst:.0f} ms"
    return Figure(name=name, value=medians[slowest], unit="ms", goal=goal, note=note)
