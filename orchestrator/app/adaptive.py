"""Seeds that are added while a study runs: what its rule grants as the results stand, and their trials."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.app.session import Session
from orchestrator.model.adaptive import Adaptive
from orchestrator.model.plan import Grants, Plan, Reach, State, TrialKey
from orchestrator.model.run import Lease
from orchestrator.model.study import Study
from orchestrator.study.adaptive import part_of, reach_of
from orchestrator.study.dimensions import dimensions

if TYPE_CHECKING:
    from orchestrator.model.frame import Frame


def granted_part(session: Session | None, study: Study, plan: Plan) -> Plan:
    """Returns what a study's rule grants of the plan of all seeds that its cells may get.

    Args:
        session: The store whose results count; None before there is one.
        study: As declared.
        plan: Of all seeds.
    """
    if study.adaptive is None:
        return plan
    reach = reach_of(plan)
    granted: Grants = dict.fromkeys(reach.cells, study.adaptive.least)
    if session is not None:
        granted = _grants(session, study, plan, reach)
    part = part_of(plan, granted, reach, study.seeds)
    most = len(plan.trials)
    note = f"seeds: {study.adaptive}; at most {most:,} trials, {len(part.trials):,} as the results stand"
    return replace(part, notes=(note, *part.notes))


@dataclass(slots=True, kw_only=True)
class Growth:
    """A recorded plan that grows as its study's rule asks for more seeds.

    Attributes:
        plan: Of all seeds that cells may get.
        cells: Those that may grow: what a submission asked for.
    """

    session: Session
    lease: Lease
    study: Study
    plan: Plan
    cells: Collection[str]

    _reach: Reach = field(init=False)
    _recorded: set[TrialKey] = field(init=False)

    def __post_init__(self) -> None:
        """Looks at what is recorded."""
        self._reach = reach_of(self.plan)
        self._recorded = set(self.session.registry.keys(self.study.name))

    def __call__(self) -> Mapping[TrialKey, State]:
        """Records what the rule grants by now and is not recorded yet; returns those trials' states."""
        assert self.study.adaptive is not None
        registry = self.session.registry
        granted = {
            cell: seeds if cell in self.cells else self.study.adaptive.least
            for cell, seeds in _grants(self.session, self.study, self.plan, self._reach).items()
        }
        part = part_of(self.plan, granted, self._reach, self.study.seeds)
        new = {key: trial for key, trial in part.trials.items() if key not in self._recorded}
        if not new:
            return {}
        registry.extend(self.lease, new, [each for each in part.assignments if each.trial in new])
        self._recorded |= set(new)
        return {key: status.state for key, status in registry.statuses(list(new)).items()}


def sampled(study: Study, frame: Frame) -> Frame:
    """Returns a study's frame, which says by which rule its seeds were added, if by any."""
    rule = study.adaptive
    return frame if rule is None else replace(frame, looks=looks_of(rule), sampling=str(rule))


def looks_of(rule: Adaptive | None) -> int:
    """Returns how often a study's rule may look at its results; once for a fixed number of seeds."""
    if rule is None:
        return 1
    from orchestrator.stats.sequential import looks

    return looks(rule.least, rule.most, rule.step)


def _grants(session: Session, study: Study, plan: Plan, reach: Reach) -> dict[str, int]:
    from orchestrator.store.frame import frame
    from orchestrator.tables.adaptive import grants

    rule, registry = study.adaptive, session.registry
    assert rule is not None
    keys = list(plan.trials)
    rows = session.stores.results.scan(registry.parts(keys), curves=False)
    results, statuses = registry.results(keys), registry.statuses(keys)
    found = frame(rows, results, plan.assignments, statuses, dimensions(study))
    claim = next((each for each in study.claims if each.name == rule.claim), None)
    return grants(rule, claim, sampled(study, found), reach, study.seeds)
