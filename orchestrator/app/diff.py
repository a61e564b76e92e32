"""What two studies, cells or trials differ in: config, results, code, environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.app.inspect import one_trial, selected, show
from orchestrator.app.results import recorded, study_of, try_tables
from orchestrator.app.session import Session, study_file
from orchestrator.errors import UsageError
from orchestrator.model.plan import TrialKey
from orchestrator.model.run import made_by

KINDS = ("study", "config", "results", "code", "environment")
# Of one attempt rather than of what it runs on.
_PASSING = frozenset(
    {
        "pid",
        "lane",
        "submission",
        "notes",
        "fusing",
        "workload",
        "code",
        "commit",
        "dirty",
        "tree",
        "resumed",
        "host",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What is compared.

    Attributes:
        name: For people.
        facts: Kind -> name -> value as text.
    """

    name: str
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Something in which two sides differ; "–" where a side has none."""

    kind: str
    name: str
    one: str
    other: str


def diff(session: Session, one: str, other: str) -> tuple[Side, Side, list[Line]]:
    """Returns two sides and every line in which they differ.

    Args:
        session: The store.
        one: A study, "STUDY:FACTOR=LABEL,..." for one of its cells, or the beginning of a trial's key.
        other: Likewise, of the same kind.

    Raises:
        NotFoundError: There is none of that name.
        UsageError: Two kinds, or cells that are several.
    """
    kinds = [_kind(session, text) for text in (one, other)]
    if kinds[0] != kinds[1]:
        raise UsageError(f"{one!r} is a {kinds[0]} and {other!r} a {kinds[1]}; compare two of a kind")
    make = {"study": _study, "cell": _cell, "trial": _trial}[kinds[0]]
    sides = make(session, one), make(session, other)
    lines = []
    for kind in KINDS:
        before, after = (side.facts.get(kind, {}) for side in sides)
        for name in dict.fromkeys([*before, *after]):
            if before.get(name) != after.get(name):
                line = Line(kind=kind, name=name, one=before.get(name, "–"), other=after.get(name, "–"))
                lines.append(line)
    return *sides, lines


def _kind(session: Session, text: str) -> str:
    if ":" in text:
        return "cell"
    known = {submission.study for submission in session.registry.studies()}
    return "study" if text in known or study_file(text) is not None else "trial"


def _study(session: Session, text: str) -> Side:
    study = study_of(session, text)
    submission = recorded(session, study.name)
    keys = sorted(session.registry.trials(study.name))
    tables, _ = try_tables(session, study)
    results = {
        f"{table.name}: {', '.join(label for label in (*row, *column) if label)}": entry.text
        for table in tables
        for row, line in zip(table.rows, table.entries, strict=True)
        for column, entry in zip(table.columns, line, strict=True)
    }
    said = dict(flat(study.document)) | {f"--set {name}": str(value) for name, value in study.patches.items()}
    said.pop("study", None)
    counts = {"trials": str(len(keys)), "seeds": ", ".join(map(str, study.seeds))}
    return Side(
        name=study.name,
        facts={
            "study": said | counts,
            "results": results,
            **surroundings(session, keys, commit=submission.commit),
        },
    )


def _cell(session: Session, text: str) -> Side:
    name, _, cell = text.partition(":")
    study = study_of(session, name)
    keys = selected(session, study.name, [cell])
    trials = {key: trial for key, trial in session.registry.trials(study.name).items() if key in keys}
    configs = {tuple(flat(trial.config)) for trial in trials.values() if trial.stage == "train"}
    if len(configs) != 1:
        raise UsageError(
            f"{text!r} names {len(configs)} cells; say more factors, as STUDY:depth=26,sharing=W/"
        )
    (config,) = configs
    parts = session.registry.parts(list(trials))
    valid = session.registry.results(list(trials))
    values: dict[str, list[float]] = {}
    own_labels = set(cell.split(","))
    places = {
        each.trial: (
            each.evaluation,
            [f"{name}={label}" for name, label in each.labels.items() if f"{name}={label}" not in own_labels],
        )
        for each in session.registry.assignments(study.name)
        if each.evaluation != "test"
    }
    for part in parts:
        own = [key for key in trials if valid.get(key) == part.path]
        for row in session.stores.results.read([part], own):
            if row.evaluation not in ("train", "network"):
                evaluation, labels = places.get(row.trial, (row.evaluation, []))
                place = " ".join([evaluation, row.metric, *labels])
                values.setdefault(place, []).append(row.value)
    results = {
        name: f"{sum(found) / len(found):.6g} (n = {len(found)})" for name, found in sorted(values.items())
    }
    return Side(
        name=text,
        facts={"config": dict(config), "results": results, **surroundings(session, sorted(trials))},
    )


def _trial(session: Session, text: str) -> Side:
    key = one_trial(session, text)
    report = show(session, key)
    trial = report.trial
    config = dict(flat(trial.config)) | {
        "seed": str(trial.seed),
        "draw": str(trial.draw),
        "family": trial.family,
        **{f"parameters.{name}": value for name, value in flat(trial.parameters)},
        **{f"parent {number}": parent for number, parent in enumerate(trial.parents)},
    }
    results = {
        f"{row.evaluation} {row.metric}"
        + "".join(f" {n}={v}" for n, v in row.coords.items()): f"{row.value:.9g}"
        for row in report.rows
        if row.evaluation != "train"
    }
    return Side(
        name=trial.label, facts={"config": config, "results": results, **surroundings(session, [key])}
    )


def surroundings(session: Session, keys: Sequence[TrialKey], commit: str = "") -> dict[str, dict[str, str]]:
    """Returns code and environment of trials' results, where they are of several all of them."""
    statuses = session.registry.statuses(keys)
    code: dict[str, set[str]] = {"digest": set(), "commit": {commit} - {""}}
    machines: dict[str, set[str]] = {}
    for key in keys[:200]:  # of a large study a sample tells the machines
        for name, value in made_by(session.registry.attempts(key)).items():
            if name not in _PASSING:
                machines.setdefault(name, set()).add(str(value))
    for status in statuses.values():
        if status.state.has_result:
            code["digest"].add(status.code)
            code["commit"].add(status.commit)
    return {"code": _joined(code), "environment": _joined(machines)}


def _joined(found: Mapping[str, set[str]]) -> dict[str, str]:
    return {name: " and ".join(sorted(values - {""})) or "–" for name, values in found.items()}


def flat(document: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    """Yields the dotted paths of a nested mapping with their values as text."""
    for name, value in document.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{path}.")
        else:
            yield path, str(value)
