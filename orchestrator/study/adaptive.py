"""The part of a plan that its cells' seeds make up, where cells differ in how many they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.model.plan import Grants, Plan, Reach, TrialKey


def reach_of(plan: Plan) -> Reach:
    """Returns which cells' networks each planned observation needs."""
    owners: dict[TrialKey, set[str]] = {}
    for each in plan.assignments:
        if each.evaluation == "test":
            owners.setdefault(each.trial, set()).add(each.cell)
    members: dict[tuple[str, str], set[frozenset[str]]] = {}
    needed: dict[TrialKey, set[str]] = {key: set(found) for key, found in owners.items()}
    for each in plan.assignments:
        trial = plan.trials[each.trial]
        own = {frozenset((each.cell,))}
        if trial.gathers:
            own = {frozenset(owners[parent]) for parent in trial.parents}
        members.setdefault((each.evaluation, each.cell), set()).update(own)
        needed.setdefault(each.trial, set()).update(*own)
    return Reach(
        cells=frozenset(cell for found in owners.values() for cell in found),
        members={place: frozenset(found) for place, found in members.items()},
        needed={key: frozenset(found) for key, found in needed.items()},
    )


def part_of(plan: Plan, granted: Grants, reach: Reach, seeds: Sequence[int]) -> Plan:
    """Returns what is left of a plan of all seeds when each cell has its first ones only."""
    position = {seed: index for index, seed in enumerate(seeds)}
    assignments = [
        each
        for each in plan.assignments
        if position[each.seed] < reach.limit((each.evaluation, each.cell), granted)
    ]
    kept = {each.trial for each in assignments}
    kept |= {parent for key in kept for parent in plan.trials[key].parents}
    return replace(
        plan,
        assignments=tuple(assignments),
        trials={key: trial for key, trial in plan.trials.items() if key in kept},
        known={key: status for key, status in plan.known.items() if key in kept},
    )
