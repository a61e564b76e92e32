"""Claims as declared: from the file's model to the table of what is compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orchestrator.model.study import Axis, ClaimSpec, TableSpec, Where
from orchestrator.study.convert import distinct, fail_when, point, where
from orchestrator.study.problems import Problems
from orchestrator.study.schema import StudyFile
from orchestrator.study.schema_claims import ClaimFile
from orchestrator.study.text import listed

KINDS: Final = ("higher", "lower", "similar", "monotone", "best")


def claims(file: StudyFile, problems: Problems) -> tuple[ClaimSpec, ...]:
    """Returns the claims as declared; those that cannot be understood are noted and left out."""
    distinct(file.claims, ("claims",), "claim", problems)
    found = [_claim(name, each, problems) for name, each in file.claims.items()]
    return tuple(each for each in found if each is not None)


def _claim(name: str, file: ClaimFile, problems: Problems) -> ClaimSpec | None:
    at = ("claims", name)
    given = [kind for kind in KINDS if getattr(file, kind) is not None]
    if len(given) != 1:
        told = "none" if not given else " and ".join(given)
        message = f"claim {name!r} must say one of {listed(KINDS)}; got {told}"
        problems.add(at, "missing-key" if not given else "conflict", message, key=True)
        return None
    if not file.says.strip():
        problems.add((*at, "says"), "no-values", f"claim {name!r} says nothing; write the statement in words")
    than = file.higher or file.lower
    if than is not None:
        columns = _two(where(than.of), where(than.than))
        return ClaimSpec(
            name=name,
            says=file.says,
            kind="higher" if file.higher is not None else "lower",
            table=_table(name, file, columns, problems),
        )
    if file.similar is not None:
        columns = _two(where(file.similar.of), where(file.similar.to))
        table = _table(name, file, columns, problems)
        return ClaimSpec(name=name, says=file.says, kind="similar", table=table, margin=file.similar.within)
    if file.monotone is not None:
        table = _table(name, file, Axis(dimensions=(file.monotone.over,)), problems)
        return ClaimSpec(name=name, says=file.says, kind=file.monotone.direction, table=table)
    assert file.best is not None
    chosen = where(file.best.of)
    if len(chosen) != 1 or any(len(labels) != 1 for labels in chosen.values()):
        message = "best.of takes one dimension with one label, as {network: DFN-MR}; the rest goes into where"
        problems.add((*at, "best", "of"), "bad-value", message, key=True)
        return None
    ((dimension, (label,)),) = chosen.items()
    table = _table(name, file, Axis(dimensions=(dimension,)), problems)
    return ClaimSpec(name=name, says=file.says, kind="best", table=table, best=(label, file.best.by))


def _two(one: Where, other: Where) -> Axis:
    """Returns columns for two selections, named by the labels in which they differ."""
    names = [_named(one, other), _named(other, one)]
    if names[0] == names[1] or not all(names):
        names = ["the one", "the other"]
    return Axis(selections=dict(zip(names, (one, other), strict=True)))


def _named(selection: Where, other: Where) -> str:
    return " ".join("|".join(labels) for name, labels in selection.items() if other.get(name) != labels)


def _table(name: str, file: ClaimFile, columns: Axis, problems: Problems) -> TableSpec:
    at = ("claims", name)
    chosen = where(file.where)
    return TableSpec(
        name=name,
        evaluations=tuple(file.from_),
        where=chosen,
        rows=Axis(dimensions=_combined(chosen, tuple(file.pool), columns)),
        columns=columns,
        metrics=(file.metric,),
        fail_when=fail_when(file.fail_when, (*at, "fail_when"), problems),
        average_over=tuple(file.pool),
        at=point(file.at, (*at, "at"), problems),
        test=file.test,
        caption=file.says,
        root="claims",
    )


def _combined(chosen: Where, pool: tuple[str, ...], columns: Axis) -> tuple[str, ...]:
    """Returns the dimensions whose combinations are judged one by one."""
    compared: set[str] = set(columns.dimensions)
    selections: Mapping[str, Where] = columns.selections
    for each in selections.values():
        compared |= each.keys()
    return tuple(
        name for name, labels in chosen.items() if len(labels) > 1 and name not in compared | set(pool)
    )
