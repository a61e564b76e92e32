"""Claims of the studies at the papers' scale: each can be judged, and comes out as its numbers say."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from makers import Made

from orchestrator.model.claim import Verdict
from orchestrator.model.plan import Assignment, Dimension
from orchestrator.model.study import ABSENT, ClaimSpec, Study
from orchestrator.study.load import load
from orchestrator.study.plan import dimensions, plan
from orchestrator.tables.claims import judge
from workloads.spec import SPEC

STUDIES = Path(__file__).parents[3] / "studies"
PAPER = sorted((STUDIES / "paper").glob("*.yaml"))
NOISE = (0.0, 1e-5)  # one a seed
BASE, STEP = 0.1, 0.01


def fits(where: Mapping[str, tuple[str, ...]], labels: Mapping[str, str]) -> bool:
    return all(labels.get(name) in chosen for name, chosen in where.items())


def size(claim: ClaimSpec, labels: Mapping[str, str], known: Mapping[str, Dimension], *, true: bool) -> float:
    """How many steps a value lies above the base; below it where the claim is false."""
    if claim.table.columns.selections:
        first, _ = claim.table.columns.selections.values()
        apart = 0 if true else 2 * (claim.margin or 0) / STEP
        return {"higher": 1, "lower": -1, "similar": apart}[claim.kind] * fits(first, labels)
    (over,) = claim.table.columns.dimensions
    if claim.best is not None:
        best, by = claim.best
        return (1 if by == "max" else -1) * (labels[over] == best)
    place = known[over].labels.index(labels[over])
    return place if claim.kind == "rising" else -place


def observed(claim: ClaimSpec, assignment: Assignment) -> Iterator[dict[str, str]]:
    """The coordinates that a claim names and an evaluation adds, as its networks report them."""
    family = SPEC.families.get(assignment.evaluation)
    selections = claim.table.columns.selections.values()
    named: dict[str, tuple[str, ...]] = {}
    for where in (claim.table.where, *selections):
        for name in family.coords if family else ():
            if name in where:
                named[name] = (*named.get(name, ()), *where[name])
    for name, labels in named.items():
        own = assignment.labels.get(name, ABSENT)
        named[name] = labels if own in (ABSENT, "full") else (own,)
    for found in itertools.product(*named.values()):
        yield dict(zip(named, found, strict=True))


def filled(study: Study, claim: ClaimSpec, planned: Sequence[Assignment], *, true: bool) -> Made:
    """What the claim compares, measured: as it says or the other way round."""
    made = Made(dimensions(study))
    known = {each.name: each for each in made.dimensions}
    added = {
        name
        for each in claim.table.evaluations
        if each in SPEC.families
        for name in SPEC.families[each].coords
    }
    chosen = {name: labels for name, labels in claim.table.where.items() if name not in added}
    sources = {"test" if each == "train" else each for each in claim.table.evaluations}
    for each in planned:
        if each.evaluation not in sources or not fits(chosen, each.labels):
            continue
        trial = made.plan(
            each.labels,
            seed=each.seed,
            draw=each.draw,
            evaluation=each.evaluation,
            cell=each.cell,
            key=f"{each.evaluation}|{sorted(each.labels.items())}|{each.draw}|{each.seed}",
        )
        for coords in observed(claim, each):
            labels = {**each.labels, **coords, "evaluation": each.evaluation}
            noise, far = NOISE[each.seed], size(claim, labels, known, true=true)
            made.value(
                trial,
                BASE + noise + (1 if true else -1) * far * (STEP + noise),
                metric=claim.table.metrics[0],
                evaluation="train" if "train" in claim.table.evaluations else each.evaluation,
                step=claim.table.at.step or 0,
                coords=coords,
                draw=each.draw,
                seed=each.seed,
            )
    return made


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_a_claim_holds_where_it_is_true_and_not_where_it_is_false(path: Path) -> None:
    study = load(path, seeds=tuple(range(len(NOISE))))
    planned = plan(study, SPEC).assignments if study.claims else ()
    for claim in study.claims:
        for true, verdict in ((True, Verdict.HOLDS), (False, Verdict.FAILS)):
            judged = judge(claim, filled(study, claim, planned, true=true).frame())
            assert (claim.name, judged.verdict) == (claim.name, verdict)
