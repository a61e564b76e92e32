"""Judges claims: each contrast by its own test, all of them together by the weakest.

A claim is that all its contrasts are as it says, so that no correction is needed for calling it true: each
must reject at 5 per cent on its own (an intersection-union test; Berger 1982, "Multiparameter Hypothesis
Testing and Acceptance Sampling"). One contrast that is significantly the other way round, corrected by Holm
for their number, is enough to call it false.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from orchestrator.model.claim import Evidence, Judged, Verdict
from orchestrator.model.frame import Frame
from orchestrator.model.study import ClaimSpec
from orchestrator.model.table import Entry, Table
from orchestrator.stats.compare import Alternative, Contrast, Test, equivalent, holm, paired
from orchestrator.stats.estimate import LEVEL
from orchestrator.stats.sequential import corrected_level
from orchestrator.tables.build import build
from orchestrator.tables.problems import Places

RISK: Final = 0.05
_RULES: Final = {
    "higher": "paired one-sided {} test by seed; holds when every contrast has p < 0.05",
    "lower": "paired one-sided {} test by seed; holds when every contrast has p < 0.05",
    "rising": "paired one-sided {} tests of each level against the one before; holds when all have p < 0.05",
    "falling": "paired one-sided {} tests of each level against the one before; holds when all have p < 0.05",
    "best": "paired one-sided {} tests against each other level; holds when all have p < 0.05",
    "similar": "two one-sided paired {} tests by seed (TOST); holds when every contrast has p < 0.05",
}
_SIDES: Final[Mapping[str, Alternative]] = {
    **{"higher": "greater", "rising": "greater", "max": "greater"},
    **{"lower": "less", "falling": "less", "min": "less"},
    "similar": "two-sided",
}
_OPPOSITE: Final[Mapping[Alternative, Alternative]] = {"less": "greater", "greater": "less"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two entries of a row, with their labels, and which way their difference should point."""

    where: tuple[tuple[str, str], ...]
    one: tuple[str, Entry]
    other: tuple[str, Entry]
    wanted: Alternative  # of one minus other; "two-sided" for similar


def judge(claim: ClaimSpec, frame: Frame, *, places: Places | None = None) -> Judged:
    """Returns the verdict of a claim with its evidence.

    Args:
        claim: As declared.
        frame: What was planned and measured.
        places: Document path -> (file, line, column), for messages.

    Raises:
        StudyError: What it compares cannot be put together: an unknown label or metric, an entry in which
            observations of one seed differ in a dimension that is neither selected nor pooled.
    """
    evidence = [each for _, each in examine(claim, frame, places=places)]
    return Judged(
        name=claim.name,
        says=claim.says,
        kind=claim.kind,
        metric=claim.table.metrics[0],
        verdict=_together(evidence),
        evidence=tuple(evidence),
        rule="".join(_rule(claim, frame)),
    )


def examine(claim: ClaimSpec, frame: Frame, *, places: Places | None = None) -> list[tuple[Pair, Evidence]]:
    """Returns what a claim compares, and what each contrast shows; arguments and errors as of `judge`."""
    pairs = list(_pairs(claim, build(claim.table, frame, places=places)))
    evidence = _against([_evidence(claim, pair, frame.looks) for pair in pairs])
    return list(zip(pairs, evidence, strict=True))


def _rule(claim: ClaimSpec, frame: Frame) -> Iterator[str]:
    yield _RULES[claim.kind].format(claim.table.test)
    if claim.table.test == "permutation":
        yield "; the interval is Student's"
    if claim.margin is not None:
        yield f", margin {claim.margin:g}"
    if frame.sampling:
        yield f"; seeds were added by a rule ({frame.sampling}): p of all {frame.looks} looks (Bonferroni)"


def _pairs(claim: ClaimSpec, table: Table) -> Iterator[Pair]:
    names = [labels[-1] for labels in table.columns]
    for labels, entries in zip(table.rows, table.entries, strict=True):
        where = tuple((name, label) for name, label in zip(table.row_names, labels, strict=True) if name)
        row = dict(zip(names, entries, strict=True))
        planned = [name for name in names if row[name].planned]
        match claim.kind:
            case "higher" | "lower" | "similar":
                couples = [(names[0], names[1], _SIDES[claim.kind])] if len(names) == 2 else []
            case "rising" | "falling":
                couples = [
                    (after, before, _SIDES[claim.kind]) for before, after in itertools.pairwise(planned)
                ]
            case _:
                assert claim.best is not None
                best, by = claim.best
                couples = [(best, name, _SIDES[by]) for name in planned if name != best and best in row]
        for one, other, each in couples:
            if not (row[one].planned and row[other].planned):
                continue  # a combination that the design leaves out
            yield Pair(where=where, one=(one, row[one]), other=(other, row[other]), wanted=each)


def _evidence(claim: ClaimSpec, pair: Pair, looks: int) -> Evidence:
    one, other = dict(pair.one[1].values), dict(pair.other[1].values)
    seeds = sorted(one.keys() & other.keys())
    ended = min(pair.one[1].planned - _waiting(pair.one[1]), pair.other[1].planned - _waiting(pair.other[1]))
    bare = Evidence(
        where=pair.where,
        contrast=f"{pair.one[0]} − {pair.other[0]}",
        difference=None,
        interval=None,
        p=None,
        against=None,
        n=len(seeds),
        left_out=max(0, ended - len(seeds)),
        missing=max(_waiting(pair.one[1]), _waiting(pair.other[1])),
        verdict=Verdict.UNCLEAR,
    )
    if not seeds:
        return bare
    values, others, test = [one[seed] for seed in seeds], [other[seed] for seed in seeds], claim.table.test
    if claim.kind == "similar":
        assert claim.margin is not None
        level = corrected_level(LEVEL, looks)
        found = equivalent(
            list(zip(values, others, strict=True)), (1, -1), margin=claim.margin, level=level, test=test
        )
        against = _beyond(values, others, claim.margin, test)
        return replace(
            bare,
            difference=found.difference,
            interval=found.interval,
            p=_of_all(found.p, looks),
            against=_of_all(against, looks),
        )
    between = paired(values, others, level=corrected_level(LEVEL, looks))
    shown = paired(values, others, alternative=pair.wanted, test=test)
    against = paired(values, others, alternative=_OPPOSITE[pair.wanted], test=test).p
    return replace(
        bare,
        difference=between.difference,
        interval=between.interval,
        p=_of_all(shown.p, looks),
        against=_of_all(against, looks),
    )


def _of_all(p: float | None, looks: int) -> float | None:
    """Returns the p that holds for all looks together (Bonferroni)."""
    return None if p is None else min(1.0, looks * p)


def _beyond(values: Sequence[float], others: Sequence[float], margin: float, test: Test) -> float | None:
    """Returns the p of the difference being outside the margin, whichever side."""
    shifted: list[Contrast] = [
        paired([value - margin for value in values], others, alternative="greater", test=test),
        paired([value + margin for value in values], others, alternative="less", test=test),
    ]
    found = [each.p for each in shifted if each.p is not None]
    return min(1.0, 2 * min(found)) if found else None


def _against(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Returns the evidence with corrected tests of the opposite, and each contrast's verdict."""
    tested = [each for each in evidence if each.against is not None]
    corrected = iter(holm([each.against for each in tested if each.against is not None]))
    found: list[Evidence] = []
    for each in evidence:
        against = next(corrected) if each.against is not None else None
        if each.missing:
            verdict = Verdict.INCOMPLETE
        elif each.p is not None and each.p < RISK:
            verdict = Verdict.HOLDS
        elif against is not None and against < RISK:
            verdict = Verdict.FAILS
        else:
            verdict = Verdict.UNCLEAR
        found.append(replace(each, against=against, verdict=verdict))
    return found


def _together(evidence: Sequence[Evidence]) -> Verdict:
    verdicts = {each.verdict for each in evidence}
    if not verdicts:
        return Verdict.INCOMPLETE  # nothing that it compares was ever planned
    for worst in (Verdict.INCOMPLETE, Verdict.FAILS, Verdict.UNCLEAR):
        if worst in verdicts:
            return worst
    return Verdict.HOLDS


def _waiting(entry: Entry) -> int:
    """Returns how many seeds of an entry are still to come."""
    if entry.status in ("pending", "partial"):
        return entry.planned - entry.n - entry.failures
    return 0
