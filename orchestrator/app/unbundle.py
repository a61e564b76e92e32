"""`orch import`: a bundle's study into a store, after every file was compared with its digest.

Nothing of a bundle is run: it is JSON, Parquet, and archives of code that `orch reproduce` alone would run.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from orchestrator.app.bundle import FORMAT, MANIFEST, RESULTS, TABLES, VERSION
from orchestrator.app.rerun import trial_of
from orchestrator.app.results import render_all, study_of, try_tables
from orchestrator.app.session import Session, driving
from orchestrator.errors import CorruptError, UsageError
from orchestrator.model.plan import Assignment, Plan, State, TrialKey
from orchestrator.model.result import PartRef
from orchestrator.model.run import Cause, Claim, Failure, Lease, Outcome, Submission
from orchestrator.model.study import Study
from orchestrator.study.dimensions import dimensions
from orchestrator.study.load import from_document

LIMIT_BYTES: Final = 20 * 1024**3  # of an unpacked bundle
_CHUNK = 500  # trials of one commit
_BLOCK = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A bundle that a store has now.

    Attributes:
        digest: sha256 of its manifest.
        results: Results that came with it; known: those that the store had already.
        different: Tables that do not come out as the bundle prints them, byte for byte.
        tables: How many were compared.
    """

    study: str
    digest: str
    results: int
    known: int
    tables: int
    different: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A bundle of which every file is what its digest says, and makes sense.

    Attributes:
        source: As it was named.
        folder: Its files.
        digest: sha256 of its manifest.
        study: Of its document.
        submission: As it was recorded.
        plan: Its trials; statuses: as they were recorded.
    """

    source: Path
    folder: Path
    digest: str
    study: Study
    submission: Submission
    plan: Plan
    statuses: Mapping[str, Any]


@contextmanager
def verified(source: Path) -> Iterator[Verified]:
    """Yields a bundle, unpacked for as long; there need be no store yet.

    Args:
        source: A folder or a zip that `export` wrote.

    Raises:
        UsageError: It is none.
        CorruptError: A file is missing, is not what its digest says, is not listed or makes no sense.
    """
    with _unpacked(source) as folder:
        manifest, digest = _verified(folder, source)
        submission = _submission(_read(folder, source, "study.json"), source)
        if submission.study != manifest.get("study"):
            raise CorruptError(f"{source}: the manifest is of another study than study.json")
        study = from_document(
            submission.document,
            file=submission.file or submission.study,
            patches=submission.patches,
            seeds=submission.seeds,
        )
        plan, statuses = _plan(_read(folder, source, "plan.json"), source, submission.study)
        yield Verified(
            source=source,
            folder=folder,
            digest=digest,
            study=study,
            submission=submission,
            plan=replace(plan, cells=(), dimensions=dimensions(study)),
            statuses=statuses,
        )


def import_(session: Session, bundle: Verified) -> Imported:
    """Takes a bundle's study and results into a store.

    Args:
        session: The store.
        bundle: What `verified` yields.

    Raises:
        UsageError: The store has another study of that name.
        CorruptError: Its results cannot be read; nothing was taken.
    """
    name = bundle.study.name
    before = session.registry.submissions(name)
    if before and dict(before[-1].document) != dict(bundle.submission.document):
        raise UsageError(
            f"{session.stores.place} has another study {name!r} already; import into another store "
            "(--store DIR)"
        )
    part = _part(session, bundle.folder, bundle.source)
    with driving(session, name) as lease:
        statuses = session.registry.statuses(list(bundle.plan.trials))
        known = {key for key, each in statuses.items() if each.state.has_result}
        session.registry.record(bundle.submission, bundle.plan, wanted=())
        taken = _take(session, lease, part, bundle.plan, bundle.statuses, bundle.digest)
    code = bundle.folder / "code"
    for archive in sorted(code.glob("*.zip")) if code.is_dir() else []:
        if not session.stores.renew_code(archive.name):
            session.stores.keep_code(archive.name, archive.read_bytes())
    different, compared = _compared(session, bundle.folder, name)
    return Imported(
        study=name,
        digest=bundle.digest,
        results=taken,
        known=len(known),
        tables=compared,
        different=different,
    )


# --- the files --------------------------------------------------------------------------------------------


@contextmanager
def _unpacked(source: Path) -> Iterator[Path]:
    if source.is_dir():
        yield source
        return
    if not zipfile.is_zipfile(source):
        raise UsageError(f"{source} is no bundle: expected a folder or a zip that `orch export` wrote")
    with tempfile.TemporaryDirectory(prefix="orch-bundle-") as name, zipfile.ZipFile(source) as archive:
        left = LIMIT_BYTES
        for each in archive.infolist():
            _safe(each.filename, source)
            if each.is_dir():
                continue
            target = Path(name, each.filename)
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(each) as packed, target.open("xb") as file:
                while block := packed.read(_BLOCK):
                    left -= len(block)
                    if left < 0:
                        raise UsageError(f"{source}: unpacked it has more than {LIMIT_BYTES // 1024**3} GiB")
                    file.write(block)
        yield Path(name)


def _safe(name: str, source: Path) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise CorruptError(f"{source}: {name!r} is no name of a file within a bundle; nothing was taken")


def _verified(folder: Path, source: Path) -> tuple[Mapping[str, Any], str]:
    try:
        if not (folder / MANIFEST).is_file():
            raise FileNotFoundError
        content = (folder / MANIFEST).read_bytes()
        manifest = json.loads(content)
        listed = dict(manifest["files"])
    except FileNotFoundError:
        raise UsageError(f"{source} is no bundle: it has no {MANIFEST}") from None
    except (ValueError, KeyError, TypeError):
        raise CorruptError(f"{source}: {MANIFEST} cannot be read; nothing was taken") from None
    if manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
        raise UsageError(
            f"{source}: format {manifest.get('format')!r} version {manifest.get('version')!r}; this version "
            f"of orch reads {FORMAT!r} version {VERSION}"
        )
    there = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    for name, path in there.items():
        if path.is_symlink() or not path.is_file() or (name not in listed and name != MANIFEST):
            raise CorruptError(f"{source}: {name} is not listed in its {MANIFEST}; nothing was taken")
    for name, digest in listed.items():
        _safe(str(name), source)
        if name not in there:
            raise CorruptError(f"{source}: {name} is missing; nothing was taken")
        if _sha256(there[name]) != digest:
            raise CorruptError(f"{source}: {name} is not what its digest says; nothing was taken")
    return manifest, hashlib.sha256(content).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(folder: Path, source: Path, name: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads((folder / name).read_bytes())
    except (OSError, ValueError):
        raise CorruptError(f"{source}: {name} is missing or cannot be read; nothing was taken") from None
    return found


# --- what they say ----------------------------------------------------------------------------------------


def _submission(plain: Mapping[str, Any], source: Path) -> Submission:
    try:
        return _submitted(plain)
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptError(
            f"{source}: study.json cannot be understood ({error}); nothing was taken"
        ) from None


def _submitted(plain: Mapping[str, Any]) -> Submission:
    return Submission(
        id="",
        study=plain["study"],
        document=plain["document"],
        file=plain["file"],
        patches=plain["patches"],
        seeds=None if plain["seeds"] is None else tuple(plain["seeds"]),
        cells=tuple(plain["cells"]),
        code=plain["code"],
        commit=plain["commit"],
        dirty=plain["dirty"],
        created_at=plain["created_at"],
        arguments={"user": plain["user"], "note": plain["note"]},
    )


def _plan(plain: Mapping[str, Any], source: Path, study: str) -> tuple[Plan, Mapping[str, Any]]:
    try:
        trials = {TrialKey(each["key"]): trial_of(each) for each in plain["trials"]}
        assignments = [
            Assignment(**{**each, "study": study, "trial": TrialKey(each["trial"])})
            for each in plain["assignments"]
        ]
        statuses = dict(plain["statuses"])
        for each in statuses.values():
            State(each["state"])
            for attempt in each["attempts"]:
                dict(attempt["provenance"])
            each["cause"], each["message"], each["blocked_by"]  # read when they are taken
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptError(f"{source}: plan.json cannot be understood ({error}); nothing was taken") from None
    strange = [each.trial for each in assignments if each.trial not in trials]
    strange += [parent for trial in trials.values() for parent in trial.parents if parent not in trials]
    if strange or set(statuses) - set(trials):
        raise CorruptError(f"{source}: plan.json names trials that it does not have; nothing was taken")
    plan = Plan(study=study, cells=(), dimensions=(), trials=trials, assignments=assignments)
    return plan, statuses


def _part(session: Session, folder: Path, source: Path) -> PartRef | None:
    path = folder / RESULTS
    return session.stores.results.adopt(path.read_bytes(), str(source)) if path.is_file() else None


def _take(
    session: Session,
    lease: Lease,
    part: PartRef | None,
    plan: Plan,
    statuses: Mapping[str, Any],
    digest: str,
) -> int:
    """Commits the bundle's results and failures of trials that wait; returns the number of results."""
    registry = session.registry
    told = {key: State(each["state"]) for key, each in statuses.items()}
    waiting = [
        key
        for key, each in registry.statuses(list(plan.trials)).items()
        if each.state is State.PENDING
        and told.get(key, State.PENDING).final
        and (part is not None or not told[key].has_result)
    ]
    for start in range(0, len(waiting), _CHUNK):
        claims = registry.claim(lease, waiting[start : start + _CHUNK])
        outcomes = [_outcome(claim, statuses[claim.trial.key], digest) for claim in claims]
        registry.commit(lease, outcomes=[each for each in outcomes if each is not None], part=part)
    return sum(told[key].has_result for key in waiting)


def _outcome(claim: Claim, status: Mapping[str, Any], digest: str) -> Outcome:
    state = State(status["state"])
    provenance: Mapping[str, Any] = next(
        (each["provenance"] for each in reversed(status["attempts"]) if each["provenance"]), {}
    )
    failure = None
    if not state.has_result and status["cause"]:
        cause = next((each for each in Cause if each.value == status["cause"]), Cause.ERROR)
        failure = Failure(cause=cause, message=status["message"])
    blocker = status["blocked_by"]
    return Outcome(
        trial=claim.trial.key,
        epoch=claim.epoch,
        state=state,
        failure=failure,
        blocked_by=None if blocker is None else TrialKey(blocker),
        provenance={**provenance, "imported": digest[:16]},
    )


def _compared(session: Session, folder: Path, name: str) -> tuple[list[str], int]:
    """Returns the tables that do not come out as the bundle has them, and how many were compared."""
    tables, _ = try_tables(session, study_of(session, name))
    different, compared = [], 0
    for table in tables:
        for ending, form in TABLES.items():
            path = folder / "tables" / f"{table.name}.{ending}"
            if path.is_file():
                compared += 1
                if path.read_bytes() != render_all([table], form).encode():
                    different.append(path.name)
    return different, compared
