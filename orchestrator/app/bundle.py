"""`orch export`: a study with its results as files that need no store, each with its digest.

manifest.json     format, study, versions, and sha256 of every other file
study.json        the document, patches and seeds of the submission
plan.json         trials, assignments, states, and what is known of the attempts that made results
results.parquet   the rows of all results
tables/ plots/    as printed and drawn at the time; claims.json likewise
code/             archives of the code that made the results
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from orchestrator.app.claims import judge_claims
from orchestrator.app.plots import svg_text, try_plots
from orchestrator.app.results import recorded, render_all, try_tables
from orchestrator.app.session import Session
from orchestrator.errors import OrchError, UsageError
from orchestrator.model.plan import TrialStatus
from orchestrator.model.run import Attempt, made_by
from orchestrator.model.study import Study

FORMAT: Final = "orch-bundle"
VERSION: Final = 1
MANIFEST: Final = "manifest.json"
RESULTS: Final = "results.parquet"
TABLES: Final = {"md": "md", "tex": "latex", "csv": "csv", "html": "html", "json": "json"}
_NAMED: Final = ("polars", "pyarrow", "numpy", "torch", "ray", "mlflow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundled:
    """A bundle that was written.

    Attributes:
        digest: sha256 of its manifest, which holds the digests of all else.
        results: Trials with a result; trials: all planned ones.
    """

    path: Path
    digest: str
    files: int
    trials: int
    results: int
    size_bytes: int


def export(session: Session, study: Study, target: Path) -> Bundled:
    """Writes a study as a bundle: a folder, or a zip where the name ends so; whole or not at all.

    Args:
        session: The store.
        study: As recorded.
        target: Where to; nothing may be there.

    Raises:
        UsageError: Something is there, or nothing can be written.
    """
    if target.exists():
        raise UsageError(f"--to {target}: it exists already; name what does not")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".tmp-orch-", dir=target.parent))
    except OSError as error:
        raise UsageError(f"--to {target}: {error.strerror}; name a place that can be written") from None
    try:
        files, counts = _files(session, study)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        size = sum(map(len, files.values()))
        if target.suffix == ".zip":
            _zip(folder, files, target)
        else:
            os.chmod(folder, 0o755)
            folder.rename(target)
    except OSError as error:
        raise UsageError(f"--to {target}: {error.strerror}; nothing was written") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    digest = hashlib.sha256(files[MANIFEST]).hexdigest()
    return Bundled(path=target, digest=digest, files=len(files), size_bytes=size, **counts)


def _files(session: Session, study: Study) -> tuple[dict[str, bytes], dict[str, int]]:
    registry = session.registry
    submission = recorded(session, study.name)
    trials = registry.trials(study.name)
    statuses = registry.statuses(list(trials))
    attempts = {key: registry.attempts(key) for key in trials}
    valid = registry.results(list(trials))
    files: dict[str, bytes] = {
        "study.json": _json(
            {
                name: value
                for name, value in asdict(submission).items()
                if name not in ("id", "number", "arguments")
            }
            | {"note": submission.arguments.get("note", ""), "user": submission.arguments.get("user", "")}
        ),
        "plan.json": _json(
            {
                "trials": [asdict(trial) for trial in trials.values()],
                "assignments": [asdict(each) for each in registry.assignments(study.name)],
                "statuses": {key: _status(status, attempts[key]) for key, status in statuses.items()},
            }
        ),
    }
    if valid:
        content, _ = session.stores.results.joined(registry.parts(list(trials)), valid)
        files[RESULTS] = content
    files |= _shown(session, study)
    trees = {str(made_by(each).get("tree") or "") for each in attempts.values()} - {""}
    for name in sorted(trees):
        archive = session.stores.code(name)
        if archive is not None:
            files[f"code/{name}"] = archive
    files[MANIFEST] = _json(
        {
            "format": FORMAT,
            "version": VERSION,
            "study": study.name,
            "versions": {"orch": version("orch"), **_versions()},
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
        }
    )
    return files, {"trials": len(trials), "results": len(valid)}


def _shown(session: Session, study: Study) -> dict[str, bytes]:
    tables, _ = try_tables(session, study)
    plots, _ = try_plots(session, study)
    found = {
        f"tables/{table.name}.{ending}": render_all([table], form).encode()
        for table in tables
        for ending, form in TABLES.items()
    }
    found |= {f"plots/{plot.spec.name}.svg": svg_text(plot).encode() for plot in plots}
    if study.claims:
        with suppress(OrchError):  # what cannot be judged is told by `orch claims`
            found["claims.json"] = _json([asdict(each) for each in judge_claims(session, study)])
    return found


def _status(status: TrialStatus, attempts: Sequence[Attempt]) -> dict[str, Any]:
    return {
        "state": status.state.value,
        "cause": status.cause,
        "message": status.message,
        "blocked_by": status.blocked_by,
        "attempts": [
            {name: value for name, value in asdict(each).items() if name != "trial"} for each in attempts
        ],
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _NAMED:
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            continue
    return found


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=False, default=list) + "\n").encode()


def _zip(folder: Path, files: Mapping[str, bytes], target: Path) -> None:
    temporary = folder / "bundle.zip"
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in files:
            archive.write(folder / name, name)
    temporary.rename(target)
