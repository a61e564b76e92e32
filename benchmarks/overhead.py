"""What a trial costs beyond its own work: orch against plain Ray Tune, on one Ray, in one process.

    python -m benchmarks.overhead --trials 100 --json

Both sides run N trials that return one number. orch does all it always does: it records the plan,
checkpoints every trial, commits its rows durably, and shows each trial in MLflow; the wall clock stops
when MLflow shows them all. Plain Tune is a function trainable with every default: `Tuner.fit()`.
`ratio_plain_tune` is orch's wall clock over plain Tune's: the goal is 1/20 or less. Both have been warmed
up by two trials, so that neither pays for imports. For trials of minutes neither overhead matters.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLOOR = 1 / 20
WARM_UP = 2
SEEDS = 5  # as a paper's table has them; also with fewer trials, as long as they divide
STUDY = """\
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


def plain_tune_s(trials: int, directory: Path) -> float:
    """Returns the seconds that `Tuner.fit` takes for N trials, everything by default."""
    from ray import tune

    def train(config: dict[str, Any]) -> None:
        tune.report({"test_error": config["x"] / 1000})

    begin = time.perf_counter()
    grid = tune.Tuner(
        train,
        param_space={"x": tune.grid_search(list(range(trials)))},
        run_config=tune.RunConfig(storage_path=str(directory)),
    ).fit()
    elapsed_s = time.perf_counter() - begin
    errors = sorted(result.metrics["test_error"] for result in grid)
    assert errors == [x / 1000 for x in range(trials)], "plain Tune lost trials"
    return elapsed_s


def orch_s(trials: int, directory: Path) -> float:
    """Returns the seconds from a study file to its table, with every trial in MLflow."""
    from orchestrator.app.planning import Request
    from orchestrator.app.run import Running
    from orchestrator.app.submit import submit
    from orchestrator.app.view import Silent
    from orchestrator.settings import Settings

    file = directory / "study.yaml"
    seeds = SEEDS if trials % SEEDS == 0 else 1
    text = STUDY.format(name=f"overhead-{trials}", cells=trials // seeds, seeds=seeds)
    file.write_text(text)
    settings = Settings(
        store=directory / "store",
        registry_url=None,
        mlflow_uri=None,
        executor="ray",
        mirror_wait_s=600.0,
        workload_modules=("benchmarks",),
    )
    begin = time.perf_counter()
    finish = submit(Request(file=file, patches={}), Running(executor="ray"), settings, Silent())
    elapsed_s = time.perf_counter() - begin
    assert finish.exit_code == 0, finish.summary
    assert finish.unmirrored == 0, f"{finish.unmirrored} items are not in MLflow"
    assert sum(row[0].n for row in finish.tables[0].entries) == trials, "orch lost trials"
    shown = mirrored(f"sqlite:///{directory / 'store' / 'mlflow.db'}", f"overhead-{trials}")
    assert shown == trials, f"MLflow shows {shown} of {trials} trials"
    return elapsed_s


def mirrored(uri: str, study: str) -> int:
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


@contextmanager
def quiet(enabled: bool) -> Iterator[None]:
    """Sends what this process and Ray's print to stderr, so that stdout holds the figures only."""
    if not enabled:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def measure(trials: int) -> dict[str, float]:
    """Returns seconds and ratios of both sides, warmed up, on one local Ray."""
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # loopback, and gone in a minute
    import ray

    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        with tempfile.TemporaryDirectory(prefix="orch-overhead-") as folder:
            for name, count in (("warm", WARM_UP), ("measured", trials)):
                places = {side: Path(folder, name, side) for side in ("orch", "plain")}
                for place in places.values():
                    place.mkdir(parents=True)
                orch = orch_s(count, places["orch"])
                plain = plain_tune_s(count, places["plain"])
    finally:
        ray.shutdown()
    return {
        "trials": trials,
        "orch_s": round(orch, 3),
        "plain_tune_s": round(plain, 3),
        "orch_ms_per_trial": round(1000 * orch / trials, 2),
        "plain_tune_ms_per_trial": round(1000 * plain / trials, 2),
        "ratio_plain_tune": round(orch / plain, 5),
        "floor": FLOOR,
    }


def main() -> int:
    """Prints the figures; the exit code is 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    arguments = parser.parse_args()
    with quiet(True):
        figures = measure(arguments.trials)
    if arguments.json:
        print(json.dumps(figures))
    else:
        print(f"orch        {figures['orch_ms_per_trial']:8.2f} ms/trial")
        print(f"plain Tune  {figures['plain_tune_ms_per_trial']:8.2f} ms/trial")
        print(f"ratio       {figures['ratio_plain_tune']:8.4f}  (goal: {FLOOR:g} or less)")
    return 0 if figures["ratio_plain_tune"] <= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
