"""What trials cost beyond their own work: orch beside Ray Tune, on one Ray, in one process.

orch does all that it always does: it records the plan, checkpoints every trial and commits its rows durably.
`Tuner.fit` is warmed up as orch is, so that neither pays for imports, and neither for the start of Ray.
"""

from __future__ import annotations

import logging
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.load_measure import call
from benchmarks.peers import DEPTHS, KINDS, WIDTH, plain_digits_s, plain_tune_s, tuned_tune_s
from benchmarks.rows import Paired, Row, seconds

SEEDS = 5  # as a paper's table has them; also with fewer trials, as long as they divide
TRIVIAL = """\
api_version: 1
study: {name}
workload: benchmarks.trivial:SPEC
design:
  type: factorial
  factors:
    x: {{path: x, levels: {{range: [0, {cells}]}}}}
seeds: {seeds}
tables:
  main: {{rows: x, metric: test_error}}
"""
DIGITS = """\
api_version: 1
study: digits
workload: classification
config: {{epochs: {epochs}, network: {{width: {width}}}}}
design:
  type: factorial
  factors:
    kind: {{path: network.name, levels: [{kinds}]}}
    depth: {{path: network.depth, levels: [{depths}]}}
seeds: {seeds}
fuse: auto
tables:
  main: {{rows: kind, columns: depth, metric: test_error}}
"""
# Before Ray is imported; plain Tune has its own defaults.
_ENVIRONMENT = {"RAY_AUTH_MODE": "disabled"}  # loopback, and gone in a minute
_TUNED = {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "TUNE_GLOBAL_CHECKPOINT_S": "1000000"}


@contextmanager
def local_ray(**environment: str) -> Iterator[Path]:
    """Yields a directory, while a Ray of this machine runs."""
    for name, value in {**_ENVIRONMENT, **environment}.items():
        os.environ.setdefault(name, value)
    import ray

    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        with tempfile.TemporaryDirectory(prefix="orch-bench-") as folder:
            yield Path(folder)
    finally:
        ray.shutdown()


def orch(text: str, folder: Path, *, mirrored: bool) -> tuple[float, Any]:
    """Returns the seconds from a study file to its tables, and how it ended.

    Args:
        text: The study.
        folder: A new directory of its own.
        mirrored: Whether MLflow shows every trial by then.
    """
    from orchestrator.app.planning import Request
    from orchestrator.app.run import Running
    from orchestrator.app.submit import submit
    from orchestrator.app.view import Silent
    from orchestrator.settings import Settings

    folder.mkdir(parents=True)
    file = folder / "study.yaml"
    file.write_text(text)
    settings = Settings(
        store=folder / "store",
        registry_url=None,
        mlflow_uri=None if mirrored else "off",
        executor="ray",
        mirror_wait_s=600.0,
        workload_modules=("benchmarks",),
    )
    request = Request(file=file, patches={})
    ended: list[Any] = []
    elapsed_s = seconds(lambda: ended.append(submit(request, Running(executor="ray"), settings, Silent())))
    finish = ended[0]
    assert finish.exit_code == 0, finish.summary
    assert not finish.unmirrored, f"{finish.unmirrored} items are not in MLflow"
    return elapsed_s, finish


def trivial_s(trials: int, folder: Path, *, mirrored: bool) -> float:
    """Returns the seconds of N trials of one number."""
    each = SEEDS if trials % SEEDS == 0 else 1
    name = f"trivial-{trials}"
    elapsed_s, finish = orch(
        TRIVIAL.format(name=name, cells=trials // each, seeds=each), folder, mirrored=mirrored
    )
    assert sum(row[0].n for row in finish.tables[0].entries) == trials, "orch lost trials"
    if mirrored:
        shown = runs_of(f"sqlite:///{folder / 'store' / 'mlflow.db'}", name)
        assert shown == trials, f"MLflow shows {shown} of {trials} trials"
    return elapsed_s


def runs_of(uri: str, study: str) -> int:
    """Returns how many trainings MLflow shows."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(f"orch/{study}")
    count, token = 0, None
    while True:
        page = client.search_runs(
            [experiment.experiment_id], "tags.\"orch.kind\" = 'training'", max_results=1000, page_token=token
        )
        count, token = count + len(page), page.token
        if not token:
            return count


def trivial(small: bool) -> Iterator[Row]:
    """Yields the cost of a trial, and of one more, beside plain Tune's and the fastest Tune's."""
    few, many = (5, 10) if small else (200, 1000)
    low, high = (2, 4) if small else (20, 60)
    repeats = 1 if small else 3
    tuned_ms = call("benchmarks.trials:tuned_slope_ms", few, many, repeats).result
    with local_ray() as folder:
        trivial_s(5, folder / "warm" / "orch", mirrored=True)
        plain_tune_s(2, folder / "warm" / "plain")
        plain = {count: plain_tune_s(count, folder / f"plain-{count}") for count in (low, high)}
        slope_s = (plain[high] - plain[low]) / (high - low)
        # a line: what so many would take, without waiting minutes for it
        peer_s = plain[low] + slope_s * (few - low)
        whole = [trivial_s(few, folder / f"whole-{each}", mirrored=True) for each in range(repeats)]
        slopes = []
        for each in range(repeats):
            fewer = trivial_s(few, folder / f"few-{each}", mirrored=False)
            more = trivial_s(many, folder / f"many-{each}", mirrored=False)
            slopes.append(max(more - fewer, 1e-9) / (many - few))
    yield Paired(ours=tuple(each / few for each in whole), peers=(peer_s / few,) * repeats).row(
        f"cost of a trivial trial, {few} trials",
        "plain Tuner.fit",
        50,
        f"committed, and shown in MLflow; plain from the line through {low} and {high} trials",
    )
    one_more = Paired(ours=tuple(slopes), peers=(slope_s,) * repeats)
    yield one_more.row(f"one more trivial trial, {few} to {many}", f"plain Tuner.fit, {low} to {high}", 400)
    reused = Paired(ours=tuple(slopes), peers=(tuned_ms / 1e3,) * repeats)
    yield reused.row(f"one more trivial trial, {few} to {many}", "Tune, reused actors, no loggers", 4)


def tuned_slope_ms(few: int, many: int, repeats: int) -> float:
    """Returns what one more trial costs Tune at its fastest; in a process where its loggers are off."""
    with local_ray(**_TUNED) as folder:
        tuned_tune_s(4, folder / "warm")
        slopes = [
            (tuned_tune_s(many, folder / f"many-{each}") - tuned_tune_s(few, folder / f"few-{each}"))
            / (many - few)
            for each in range(repeats)
        ]
    return statistics.median(slopes) * 1e3


def digits(small: bool) -> Iterator[Row]:
    """Yields real trainings beside plain Tune's."""
    seeds, epochs = (1, 1) if small else (3, 8)
    repeats = 1 if small else 3
    kinds, depths = (", ".join(map(str, each)) for each in (KINDS, DEPTHS))
    text = DIGITS.format(epochs=epochs, kinds=kinds, depths=depths, width=WIDTH, seeds=seeds)
    with local_ray() as folder:
        ours, peers = [], []
        trivial_s(5, folder / "warm" / "orch", mirrored=True)
        plain_tune_s(2, folder / "warm" / "plain")
        for each in range(repeats):
            ours.append(orch(text, folder / f"orch-{each}", mirrored=True)[0])
            peers.append(plain_digits_s(seeds, epochs, folder / f"plain-{each}"))
    count = seeds * len(KINDS) * len(DEPTHS)
    yield Paired(ours=tuple(ours), peers=tuple(peers)).row(
        f"{count} digits trainings, width {WIDTH:g}, {epochs} epochs, `fuse: auto`",
        "plain Tuner.fit, one function a trial",
        4,
        "without the start of Ray",
    )


def growth(small: bool) -> Iterator[Row]:
    """Yields whether cost grows linearly, and what memory the driver takes."""
    counts = (5, 10, 20) if small else (100, 1_000, 10_000)
    costs = [call("benchmarks.trials:alone", count) for count in counts]
    (first, second, third), ms = (cost.result for cost in costs), []
    for few, more, fewer_s, more_s in (
        (counts[0], counts[1], first, second),
        (counts[1], counts[2], second, third),
    ):
        ms.append(1e3 * (more_s - fewer_s) / (more - few))
    yield Row(
        name=f"one more trial, {counts[1]:,} to {counts[2]:,}",
        against=f"{counts[0]:,} to {counts[1]:,}: linear",
        goal=1.5,
        reached=ms[1] / max(ms[0], 1e-3),  # of noise alone: missed
        most=True,
        note=f"{ms[1]:.3g} ms against {ms[0]:.3g} ms; {', '.join(f'{cost.result:.3g} s' for cost in costs)}",
    )
    yield Row(
        name=f"memory of the driver, {counts[2]:,} trials",
        against="",
        goal=1024,
        reached=costs[2].peak_mb,
        unit="MiB",
        most=True,
        note=", ".join(
            f"{count:,}: {cost.peak_mb:.0f} MiB" for count, cost in zip(counts, costs, strict=True)
        ),
    )


def alone(trials: int) -> float:
    """Returns the seconds of N trials in a process that does nothing else."""
    with local_ray() as folder:
        trivial_s(5, folder / "warm", mirrored=True)
        return trivial_s(trials, folder / "measured", mirrored=True)
