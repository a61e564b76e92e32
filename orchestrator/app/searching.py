"""Searches of a study: what a driver needs to run them, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import replace

from orchestrator.app.session import Session, SystemClock, registry_url
from orchestrator.app.tuned import candidate_curves
from orchestrator.driver.schedule import Schedule
from orchestrator.driver.searching import Searches
from orchestrator.errors import UsageError
from orchestrator.model.plan import Assignment, Plan, State, Trial, TrialKey, TrialStatus
from orchestrator.model.run import Lease
from orchestrator.model.search import EVALUATION
from orchestrator.model.study import Study
from orchestrator.study.candidates import Candidates
from workloads.api import Spec


def running_searches(
    session: Session,
    lease: Lease,
    study: Study,
    spec: Spec,
    whole: Plan | None,
    trials: MutableMapping[TrialKey, Trial],
    schedule: Schedule,
    stamp: Mapping[str, str],
) -> Searches | None:
    """Returns what runs the searches of a study, None for a study without any.

    Args:
        session: The store.
        lease: The right to drive the study.
        study: As recorded.
        spec: Its workload.
        whole: Its plan, of all seeds.
        trials: Every trial that the driver knows.
        schedule: What may run next.
        stamp: Added to the provenance of what searches choose.
    """
    if study.search is None or whole is None:
        return None
    recorded = {key for key, trial in trials.items() if trial.stage == "search"}
    if not recorded <= {group.key for group in whole.searches}:
        raise UsageError(
            f"{study.name} was planned for another version of its workload or of its data: `orch submit` of "
            "its file plans it anew, and keeps what there is"
        )
    from orchestrator.registry.beside import beside
    from orchestrator.search.optuna import OptunaSearcher

    url, metric = registry_url(session.settings), study.search.metric
    maker = Candidates(
        study=study,
        spec=spec,
        searches={group.key: (group, whole.trials[group.key]) for group in whole.searches},
        cells={each.trial: each.cell for each in whole.assignments if each.evaluation == "test"},
    )
    return Searches(
        search=study.search,
        registry=session.registry,
        schedule=schedule,
        checkpoints=session.stores.checkpoints,
        clock=SystemClock(),
        lease=lease,
        trials=trials,
        searcher=OptunaSearcher(lambda: beside(url, "optuna")),
        make=maker.trials,
        decide=maker.decided,
        curves=lambda keys: candidate_curves(session, keys, metric),
        write=session.stores.results.write,
        stamp=stamp,
    )


def with_candidates(session: Session | None, plan: Plan) -> Plan:
    """Returns a plan with the candidates that its searches have tried so far.

    They are of the recorded plan only: which ones there will be is not known before.
    """
    if session is None or not plan.searches:
        return plan
    groups = {group.key: group for group in plan.searches}
    found = {
        # in the class that the study asks for now: candidates may have run out of memory
        key: replace(trial, resources=plan.trials[trial.parents[0]].resources)
        for key, trial in session.registry.candidates(list(groups)).items()
    }
    assignments: list[Assignment] = []
    for key, trial in found.items():
        group = groups[trial.parents[0]]
        assignments += [
            Assignment(
                study=plan.study,
                cell=cell,
                evaluation=EVALUATION,
                labels=labels,
                draw=trial.draw,
                seed=trial.seed,
                trial=key,
            )
            for cell, labels in group.bases[trial.parameters["position"]].cells.items()
        ]
    return replace(
        plan,
        trials={**plan.trials, **found},
        assignments=(*plan.assignments, *assignments),
    )


def settled(trials: Mapping[TrialKey, Trial], known: Mapping[TrialKey, TrialStatus]) -> frozenset[TrialKey]:
    """Returns candidates without a result whose search has chosen all the same: none is tried again."""
    nothing = TrialStatus()
    return frozenset(
        key
        for key, trial in trials.items()
        if trial.stage == "tune"
        and known.get(trial.parents[0], nothing).state is State.SUCCEEDED
        and known.get(key, nothing).state in (State.FAILED, State.CANCELLED, State.BLOCKED)
    )
