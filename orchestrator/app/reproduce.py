"""`orch reproduce`: a trial again, in the code that made its result, beside what is recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

from orchestrator.app.inspect import TrialReport, show
from orchestrator.app.secrets import secrets_of
from orchestrator.app.session import Session
from orchestrator.errors import NotFoundError, TargetError, UsageError
from orchestrator.model.run import CheckpointRef, made_by

Place: TypeAlias = tuple[str, str, int, str]  # evaluation, coords, step, metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A value that is not the recorded one; None where one side has none."""

    place: str
    recorded: float | None
    again: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduced:
    """A trial that ran again.

    Attributes:
        tree: Archive of the code it ran in; "" for the code as it is now.
        values: How many were compared.
        tests: Metric -> its value now, of all but training curves.
        differences: Those that are not bit for bit what is recorded.
        environment: What of machine and versions differs: name -> (recorded, now).
    """

    report: TrialReport
    tree: str
    values: int
    tests: Mapping[str, float]
    differences: Sequence[Difference]
    environment: Mapping[str, tuple[str, str]]


def reproduce(session: Session, prefix: str, *, present: bool = False) -> Reproduced:
    """Runs a trial again, alone and from its beginning, and compares every value.

    An evaluation reads the recorded checkpoints of its trainings, digests verified.

    Args:
        session: The store, of which nothing is changed.
        prefix: The trial's key or its beginning.
        present: Whether to run it in the code as it is now rather than in that of its result.

    Raises:
        NotFoundError: No such trial, no result, or no code is kept of it.
        UsageError: Several trials fit.
        TargetError: It failed this time.
    """
    report = show(session, prefix)
    if not report.status.state.has_result:
        raise NotFoundError(
            f"trial {report.trial.key} has no result to compare with: it is {report.status.state}"
        )
    if report.trial.stage == "search":
        raise UsageError(
            f"{report.trial.label} trains nothing itself: reproduce one of its candidates "
            "(`orch trace STUDY search` lists those that were chosen), or a training that it decided"
        )
    made = made_by(report.attempts)
    tree = "" if present else str(made.get("tree") or "")
    if not tree and not present:
        raise NotFoundError(
            f"no code is kept of trial {report.trial.key}; --present runs it in the code as it is now"
        )
    parents = [_checkpoint(session, key) for key in report.trial.networks]
    with tempfile.TemporaryDirectory(prefix="orch-again-") as name:
        found = _run(session, report, parents, tree, Path(name))
    return _compared(report, tree, found)


def _run(
    session: Session, report: TrialReport, parents: Sequence[CheckpointRef], tree: str, folder: Path
) -> Mapping[str, Any]:
    environment = dict(os.environ)
    if tree:
        code = folder / "code"
        content = session.stores.code(tree)
        if content is None:
            raise NotFoundError(
                f"{tree} is not in {session.stores.place} any more; --present runs the code of now"
            )
        with zipfile.ZipFile(BytesIO(content)) as archive:
            archive.extractall(code)  # keeps names inside the folder, whatever they say
        environment["PYTHONPATH"] = str(code)
    request, target = folder / "request.json", folder / "rows.json"
    asked = {
        "trial": asdict(report.trial),
        # as one network with the seeds that it was computed with: alone its bits would differ
        "together": made_by(report.attempts).get("fused") or [report.trial.seed],
        "parents": [asdict(each) for each in parents],
        "place": session.stores.place,
        "modules": list(session.settings.workload_modules),
        "data": session.data,
        "secrets_file": str(held) if (held := secrets_of(session.settings).file) else "",
    }
    request.write_text(json.dumps(asked, default=list))
    command = [sys.executable, "-m", "orchestrator.app.rerun", str(request), str(target)]
    # In an empty folder: nothing there can stand in the way of the frozen code.
    (folder / "work").mkdir()
    done = subprocess.run(
        command,
        env=environment,
        cwd=folder / "work" if tree else None,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not target.exists():
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise TargetError(f"trial {report.trial.key} failed this time:\n{said}")
    found: Mapping[str, Any] = json.loads(target.read_text())
    return found


def _checkpoint(session: Session, key: Any) -> CheckpointRef:
    found = session.registry.checkpoint(key)
    if found is None:
        raise UsageError(
            f"the checkpoint of training {key}, which this evaluation reads, is gone; "
            f"`orch reproduce {key}` trains it again"
        )
    return found


def _compared(report: TrialReport, tree: str, found: Mapping[str, Any]) -> Reproduced:
    recorded: dict[Place, float] = {
        (row.evaluation, _coords(row.coords), row.step, row.metric): row.value for row in report.rows
    }
    again: dict[Place, float] = {
        (row["evaluation"], _coords(row["coords"]), row["step"], row["metric"]): float.fromhex(row["value"])
        for row in found["rows"]
    }
    if made_by(report.attempts).get("pruned"):  # it was ended early, and goes on to its end here
        again = {place: value for place, value in again.items() if place in recorded}
    places = list(dict.fromkeys([*recorded, *again]))
    differences = [
        Difference(place=_told(place), recorded=recorded.get(place), again=again.get(place))
        for place in places
        if _bits(recorded.get(place)) != _bits(again.get(place))
    ]
    before, now = made_by(report.attempts), found["provenance"]
    names = sorted(
        {*before, *now}
        - {"pid", "lane", "code", "commit", "dirty", "tree", "submission", "notes", "workload", "fusing"}
    )
    return Reproduced(
        report=report,
        tree=tree,
        values=len(places),
        tests={_told(place): value for place, value in again.items() if place[0] not in ("train", "network")},
        differences=differences,
        environment={
            name: (str(before.get(name, "–")), str(now.get(name, "–")))
            for name in names
            if before.get(name) != now.get(name)
        },
    )


def _coords(coords: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(coords.items()))


def _told(place: Place) -> str:
    evaluation, coords, step, metric = place
    return f"{evaluation} {metric}" + (f" at {coords}" if coords else "") + (f" step {step}" if step else "")


def _bits(value: float | None) -> str | None:
    return None if value is None else ("nan" if value != value else value.hex())
