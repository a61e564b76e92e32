"""Runs one trial again, alone, in the code that this process was started with: the child of `orch reproduce`.

    python -m orchestrator.app.rerun REQUEST.json ROWS.json

Nothing of the store is written: a training's checkpoints go to a folder beside the request.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from orchestrator.app.stores import Stores
from orchestrator.execution.effort import Control, Site, Worker, placement_of
from orchestrator.execution.secrets import Secrets
from orchestrator.execution.worker import run_trials
from orchestrator.model.fusing import FUSED
from orchestrator.model.plan import Resources, Trial, TrialKey
from orchestrator.model.run import Bundle, CheckpointRef, Claim, Failed, Finished


def main(request: Path, target: Path) -> int:
    """Runs what a request asks for and writes the rows; the exit code is 1 where the trial failed."""
    asked: Mapping[str, Any] = json.loads(request.read_text())
    trial = trial_of(asked["trial"])
    place = asked["place"] if trial.stage == "evaluate" else str(request.parent / "store")
    stores = Stores(place)
    if trial.stage != "evaluate":
        stores.create()
    bundle = Bundle(
        id="reproduce",
        stage=trial.stage,
        claims=tuple(Claim(trial=each, epoch=1) for each in _group(trial, asked["together"])),
        parents=tuple(CheckpointRef(**each) for each in asked["parents"]),
        resources=trial.resources,
        data=asked["data"],
    )
    worker = Worker(
        checkpoints=stores.checkpoints,
        modules=tuple(asked["modules"]),
        secrets=Secrets(file=Path(asked["secrets_file"]) if asked.get("secrets_file") else None),
    )
    site = Site(placement=placement_of(trial.resources), lane="reproduce")
    for events in run_trials(bundle, worker, site=site, control=Control, echo=sys.stderr):
        for event in events:
            if event.trial != trial.key:
                continue
            if isinstance(event, Failed):
                print(event.failure.traceback or event.failure.message, file=sys.stderr)
                return 1
            if isinstance(event, Finished):
                rows = [{**asdict(row), "value": _text(row.value)} for row in event.rows]
                found = {"state": event.state.value, "provenance": dict(event.provenance), "rows": rows}
                target.write_text(json.dumps(found))
    return 0


def _group(trial: Trial, seeds: Sequence[int]) -> list[Trial]:
    """Returns a training and those that were computed with it, which keep no rows of their own."""
    if len(seeds) == 1:
        return [trial]
    return [
        replace(
            trial,
            seed=seed,
            key=trial.key if seed == trial.seed else TrialKey(f"{trial.key}-{seed}"),
            group=f"{FUSED}again",
        )
        for seed in seeds
    ]


def trial_of(plain: Mapping[str, Any]) -> Trial:
    """Returns a trial from plain data."""
    return Trial(
        **{
            **plain,
            "key": TrialKey(plain["key"]),
            "parents": tuple(TrialKey(each) for each in plain["parents"]),
            "resources": Resources(**plain["resources"]),
            "group": "",
        }
    )


def _text(value: float) -> str:
    """Returns a number such that it comes back bit for bit; NaN is one value."""
    return "nan" if math.isnan(value) else float(value).hex()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
