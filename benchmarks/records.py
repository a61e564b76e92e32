"""Numbers after the training: the mirror beside MLflow's own calls, a million rows beside other ways."""

from __future__ import annotations

import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.load_measure import Sizes, call, command
from benchmarks.load_stores import opened, study_file
from benchmarks.rows import Row, paired

if TYPE_CHECKING:
    import polars as pl

METRICS, STEPS = 50, 20
WRITTEN = 500  # trainings of one part, before they are compacted
KEYS = ("evaluation", "metric", "@x", "@y")


def mirror(small: bool) -> Iterator[Row]:
    """Yields a trial's points in MLflow, in a process of its own."""
    for row in call("benchmarks.records:mirror_rows", small).result:
        yield Row(**row)


def mirror_rows(small: bool) -> list[dict[str, Any]]:
    """Returns the rows of `mirror` as plain values."""
    from mlflow.tracking import MlflowClient

    from orchestrator.model.mirror import MirrorMetric, MirrorRun
    from orchestrator.tracking.mlflow import MlflowTracker

    metrics, repeats = (4, 1) if small else (METRICS, 5)
    values = [(f"m{name}", 1 / (1 + step), step) for name in range(metrics) for step in range(STEPS)]
    with tempfile.TemporaryDirectory(prefix="orch-mirror-") as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        tracker = MlflowTracker(uri, direct=True)
        client = MlflowClient(uri)
        experiment = client.create_experiment("plain")

        def ours() -> None:
            key = uuid.uuid4().hex
            points = [
                MirrorMetric(name=name, value=value, step=step, timestamp_ms=1000 * step)
                for name, value, step in values
            ]
            run = MirrorRun(study="s", key=key, kind="training", name=key, metrics=points, end_ms=1)
            tracker.apply(run)

        def plain() -> None:
            run = client.create_run(experiment)
            for name, value, step in values:
                client.log_metric(run.info.run_id, name, value, step=step)
            client.set_terminated(run.info.run_id)

        found = paired(ours, plain, repeats=repeats)
        tracker.close()
    row = found.row(
        f"a trial in MLflow: {metrics} metrics x {STEPS} steps",
        "log_metric calls",
        30,
        "SQLite; the mirror is a thread of its own, the driver's loop never waits for it",
    )
    return [asdict(row)]


def million(small: bool) -> Iterator[Row]:
    """Yields mean and standard deviation by four keys over a million rows, in a process of its own."""
    sizes = Sizes(cells=(3, 2), seeds=2, rows=5) if small else Sizes()
    with tempfile.TemporaryDirectory(prefix="orch-million-") as name:
        folder = Path(name)
        store = folder / "store"
        file = study_file(folder, "big", *sizes.cells, sizes.seeds)
        call("benchmarks.load_stores:record", str(store), [str(file)])
        call("benchmarks.load_stores:finish", str(store), ["big"], sizes.rows, 0, WRITTEN)
        command(store, "compact")
        for row in call("benchmarks.records:million_rows", str(folder), small).result:
            yield Row(**row)


def million_rows(folder: str, small: bool) -> list[dict[str, Any]]:
    """Returns the rows of `million` as plain values."""
    import pandas as pd
    import polars as pl

    from orchestrator.app.results import study_of
    from orchestrator.app.stores import stores_of
    from orchestrator.store.frame import frame
    from orchestrator.study.dimensions import dimensions

    files, uri = Path(folder, "files"), f"sqlite:///{folder}/mlflow.db"
    with opened(Path(folder, "store")) as session:
        study = study_of(session, "big")
        known = session.registry.snapshot("big")

        def long() -> pl.LazyFrame:
            rows = stores_of(session.settings).results.scan(known.parts)
            made = frame(rows, known.results, known.assignments, known.statuses, dimensions(study))
            return made.observed.lazy()

        def ours() -> pl.DataFrame:
            value = pl.col("value")
            return long().group_by(KEYS).agg(value.mean(), value.std().alias("std")).collect()

        whole = long().select(*KEYS, "seed", "trial", "step", "value").collect()
        _a_file_a_trial(whole, files)
        _as_runs(whole, uri)

        def by_files() -> Any:
            found = pd.concat([pd.read_parquet(each) for each in sorted(files.iterdir())])
            return found.groupby(list(KEYS))["value"].agg(["mean", "std"])

        def by_search() -> Any:
            return _searched(uri)

        groups = len(ours())
        assert len(by_files()) == groups, "pandas comes to other groups"
        assert len(by_search()) == groups, "search_runs comes to other groups"
        repeats = 1 if small else 3
        said = f"mean and standard deviation of {len(whole):,} rows by 4 keys, {groups:,} groups"
        searched = paired(ours, by_search, repeats=repeats, warm=0)
        read = paired(ours, by_files, repeats=repeats, warm=0)
    name = f"{len(whole):,} rows to mean ± std"
    return [
        asdict(searched.row(name, "search_runs and pandas", 50, said)),
        asdict(read.row(name, "pandas over a file a trial", 100, said)),
    ]


def _a_file_a_trial(whole: pl.DataFrame, files: Path) -> None:
    files.mkdir()
    for (trial,), rows in whole.partition_by("trial", as_dict=True, maintain_order=True).items():
        rows.write_parquet(files / f"{trial}.parquet")


def _as_runs(whole: pl.DataFrame, uri: str) -> None:
    """Writes each trial as a run of MLflow: its keys as parameters, its rows as metrics of their own names.

    The rows go into the tables that MLflow itself made, beside a run that it made: its calls take minutes.
    """
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.create_experiment("big")
    model = client.create_run(experiment).info.run_id
    client.set_terminated(model)
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as database:
        cursor = database.execute("SELECT * FROM runs WHERE run_uuid = ?", (model,))
        names = [each[0] for each in cursor.description]
        values = dict(zip(names, cursor.fetchone(), strict=True))
        marks = ", ".join("?" * len(names))
        for (trial,), rows in whole.partition_by("trial", as_dict=True, maintain_order=True).items():
            run = str(trial)[:32].ljust(32, "0")
            own = {**values, "run_uuid": run, "name": run}
            database.execute(f"INSERT INTO runs VALUES ({marks})", [own[name] for name in names])
            first = rows.row(0, named=True)
            for key in ("@x", "@y"):
                database.execute(
                    'INSERT INTO params ("key", value, run_uuid) VALUES (?, ?, ?)',
                    (key.strip("@"), str(first[key]), run),
                )
            database.executemany(
                'INSERT INTO latest_metrics ("key", value, timestamp, step, is_nan, run_uuid) '
                "VALUES (?, ?, 0, ?, 0, ?)",
                [
                    (
                        f"{each['evaluation']}.{each['metric']}.{each['step']}",
                        each["value"],
                        each["step"],
                        run,
                    )
                    for each in rows.iter_rows(named=True)
                ],
            )
        database.execute("DELETE FROM runs WHERE run_uuid = ?", (model,))


def _searched(uri: str) -> Any:
    import pandas as pd
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("big").experiment_id
    rows: list[tuple[str, str, str, str, float]] = []
    token = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        for run in page:
            x, y = run.data.params["x"], run.data.params["y"]
            for name, value in run.data.metrics.items():
                evaluation, metric, _ = name.split(".")
                rows.append((evaluation, metric, x, y, value))
        token = page.token
        if not token:
            break
    frame = pd.DataFrame(rows, columns=[*KEYS, "value"])
    return frame.groupby(list(KEYS))["value"].agg(["mean", "std"])
