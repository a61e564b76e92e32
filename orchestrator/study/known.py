"""What the registry already knows of a plan's trials, and which results other code made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from orchestrator.model.plan import Plan, TrialKey, TrialStatus


def stale(plan: Plan, statuses: Mapping[TrialKey, TrialStatus], *, code: str) -> set[TrialKey]:
    """Returns the trials whose result other code made, and the evaluations that read such a training.

    Args:
        plan: The plan.
        statuses: What the registry knows.
        code: Digest of the code that would run now.
    """
    found = {
        key
        for key in plan.trials
        if (status := statuses.get(key)) is not None
        and status.state.has_result
        and status.code not in ("", code)
    }
    if found:
        for key, trial in plan.trials.items():
            known = statuses.get(key)
            if known is not None and known.state.has_result and found & set(trial.parents):
                found.add(key)
    return found


def know(
    plan: Plan,
    statuses: Mapping[TrialKey, TrialStatus],
    *,
    code: str,
    rule: Literal["reuse", "warn", "rerun"],
) -> Plan:
    """Returns the plan with what the registry knows of its trials.

    Args:
        plan: The plan.
        statuses: States of trials; those of other studies are left out.
        code: Digest of the code that would run now.
        rule: The study's `code`: results of other code are used, used with a note, or made again
            (the submission names them to the registry as `rerun`).
    """
    known = {key: statuses[key] for key in plan.trials if key in statuses}
    notes = list(plan.notes)
    other = stale(plan, known, code=code) if rule != "reuse" else set()
    if other:
        many = f"{len(other)} cached trial{'s' if len(other) > 1 else ''} came from other code"
        if rule == "rerun":
            many += " and will run again (code: rerun)"
        notes.append(many)
    return replace(plan, known=known, notes=tuple(notes))
