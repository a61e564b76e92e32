"""What tables take: a million rows by four keys beside a bare polars query, and all tables of a large study.

    python -m benchmarks.tables [--json] [--small]

Our way and the bare query run in turns in one process, which of them first alternates; the median of the
ratios counts. Both are given what the registry knows, we as it answers, the query as the labels of each
trial in a frame; what that answer takes is a figure of its own. The query reads the same compacted part,
and does not compare its digest. Results are made up (benchmarks/load_stores.py).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.load_measure import SMALL, Figure, Sizes, call, command, median, seconds, told
from benchmarks.load_stores import opened, study_file

if TYPE_CHECKING:
    import polars as pl

    from orchestrator.app.session import Session
    from orchestrator.model.result import Snapshot
    from orchestrator.model.study import Study

KEYS = ("evaluation", "metric", "@x", "@y")
TIMES = 2.0  # of the bare query
TABLES_S = 3.0
WRITTEN = 500  # trainings of one part, before they are compacted


def figures(sizes: Sizes) -> Iterator[Figure]:
    """Yields both figures, and what they are made of."""
    trials = sizes.cells[0] * sizes.cells[1] * sizes.seeds
    with tempfile.TemporaryDirectory(prefix="orch-tables-") as name:
        folder = Path(name)
        store = folder / "store"
        file = study_file(folder, "big", *sizes.cells, sizes.seeds)
        call("benchmarks.load_stores:record", str(store), [str(file)])
        call("benchmarks.load_stores:finish", str(store), ["big"], sizes.rows, 0, WRITTEN)
        command(store, "compact")
        yield from _compared(store, f"{trials * sizes.rows:,} rows by four keys", sizes.pairs)
        cost = median([command(store, "table", "big", "-f", "csv") for _ in range(sizes.runs)])
        yield seconds(f"orch table of {trials:,} trials, compacted", cost, TABLES_S, "a whole process")


def _compared(store: Path, what: str, pairs: int) -> Iterator[Figure]:
    from orchestrator.app.results import build_tables, study_of

    ratios, bare_s, asked_s, tables_s = [], [], [], []
    with opened(store) as session:
        study = study_of(session, "big")
        known = session.registry.snapshot("big")
        labels = _labels(known)
        files = [Path(store, part.path) for part in known.parts]

        def ours() -> pl.DataFrame:
            return _ours(session, study, known)

        def bare() -> pl.DataFrame:
            return _bare(files, labels)

        assert _sorted(ours()).equals(_sorted(bare())), "the two do not come to the same"
        for number in range(pairs):
            order = (ours, bare) if number % 2 else (bare, ours)
            spent = {each: _timed(each) for each in order}
            ratios.append(spent[ours] / spent[bare])
            bare_s.append(spent[bare])
            asked_s.append(_timed(lambda: session.registry.snapshot("big")))
            tables_s.append(_timed(lambda: build_tables(session, study)))
    said = f"pairs {', '.join(f'{each:.2f}' for each in ratios)}; the query takes "
    said += f"{statistics.median(bare_s):.2f} s, the registry {statistics.median(asked_s):.2f} s"
    name = f"{what}, times of a query"
    yield Figure(name=name, value=statistics.median(ratios), unit="", goal=TIMES, note=said)
    name = "  all tables of the study, in process"
    yield Figure(name=name, value=statistics.median(tables_s), unit="s", goal=TABLES_S)


def _ours(session: Session, study: Study, known: Snapshot) -> pl.DataFrame:
    """Returns mean and number by four keys, from the frame that tables are made from."""
    from orchestrator.app.stores import stores_of
    from orchestrator.store.frame import frame
    from orchestrator.study.dimensions import dimensions

    # Who has looked once knows the parts' digests: each look is to be the first one.
    rows = stores_of(session.settings).results.scan(known.parts)
    long = frame(rows, known.results, known.assignments, known.statuses, dimensions(study))
    return _grouped(long.observed.lazy())


def _bare(files: list[Path], labels: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    return _grouped(pl.scan_parquet(files).join(labels.lazy(), on="trial"))


def _grouped(rows: pl.LazyFrame) -> pl.DataFrame:
    import polars as pl

    return rows.group_by(KEYS).agg(pl.col("value").mean(), pl.len()).collect()


def _labels(known: Snapshot) -> pl.DataFrame:
    import polars as pl

    asked = known.assignments
    return pl.DataFrame(
        {
            "trial": [each.trial for each in asked],
            "@x": [each.labels["x"] for each in asked],
            "@y": [each.labels["y"] for each in asked],
        }
    )


def _sorted(frame: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    # Sums of another order differ in the last digits.
    return frame.sort(KEYS).with_columns(pl.col("value").round(9))


def _timed(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def main() -> int:
    """Prints the figures; the exit code is 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--small", action="store_true", help="tiny sizes: whether it runs at all")
    arguments = parser.parse_args()
    return told(figures(SMALL if arguments.small else Sizes()), as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
