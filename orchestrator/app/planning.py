"""Reading a study file and planning it against what the registry knows."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.app.adaptive import granted_part, looks_of
from orchestrator.app.enough import note_shortages, refuse_shortages, shortage_notes, shortages
from orchestrator.app.forecast import forecast, host_of, machine_of
from orchestrator.app.fusing import known_fusing
from orchestrator.app.pricing import Counted
from orchestrator.app.provenance import Code, code_of
from orchestrator.app.searching import settled, with_candidates
from orchestrator.app.session import Session, open_session, store_exists
from orchestrator.app.stores import stores_of
from orchestrator.errors import StudyError
from orchestrator.model.forecast import Forecast
from orchestrator.model.plan import Plan, TrialKey
from orchestrator.model.study import Study
from orchestrator.settings import Settings
from orchestrator.study.examine import examine
from orchestrator.study.load import draft
from orchestrator.study.plan import know, plan, stale
from orchestrator.study.select import select
from orchestrator.study.workload import resolve
from workloads.api import Spec

MAX_TRIALS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a user asks of a study file.

    Attributes:
        file: The study file.
        patches: `--set`: dotted path -> value.
        seeds: `--seeds`, or None for the file's.
        cells: `--cells` filters; empty for all.
        max_trials: Past so many the plan is refused.
        note: What a user wants to remember of the submission.
    """

    file: Path
    patches: Mapping[str, Any]
    seeds: tuple[int, ...] | None = None
    cells: tuple[str, ...] = ()
    max_trials: int = MAX_TRIALS
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A study, its workload, its plan and the trials that were asked for.

    Attributes:
        wanted: Trials of the cells that were asked for.
        stale: Cached trials that are to run again because other code made them (`code: rerun`).
        cost: What is left will cost, where that was asked.
    """

    study: Study
    spec: Spec
    plan: Plan
    code: Code
    wanted: frozenset[TrialKey]
    stale: frozenset[TrialKey]
    cost: Forecast | None = None


def plan_study(
    request: Request, settings: Settings, session: Session | None = None, *, priced: bool = False
) -> Planned:
    """Loads, checks, expands and plans a study file; nothing is started or written.

    Args:
        request: What is asked.
        settings: As loaded.
        session: An open store; without one the configured store is looked at if it exists.
        priced: Whether to say what it will cost.

    Raises:
        StudyError: Every problem of the file at once.
    """
    study, spec = _study(request, settings)
    with (
        nullcontext(session)
        if session is not None or not store_exists(settings)
        else open_session(settings) as store
    ):
        fusing = known_fusing(store, settings, study)
        whole = plan(study, spec, max_trials=request.max_trials, fusing=fusing)
        if request.seeds is None:
            refuse_shortages(study, whole)
        fresh = with_candidates(store, granted_part(store, study, whole))
        known = {} if store is None else store.registry.statuses(list(fresh.trials))
        past = store.registry.past() if store is not None and priced else ()
    wanted = select(fresh, request.cells) if request.cells else frozenset(fresh.trials)
    wanted -= settled(fresh.trials, known)
    code = code_of(spec)
    again = stale(fresh, known, code=code.digest) & wanted if study.code == "rerun" else set()
    told = know(fresh, known, code=code.digest, rule=study.code)
    # What runs again counts as not there.
    told = replace(told, known={key: status for key, status in told.known.items() if key not in again})
    return Planned(
        study=study,
        spec=spec,
        cost=forecast(
            told,
            wanted,
            past,
            slots=machine_of(settings),
            counting=Counted(study.workload, spec),
            host=host_of(settings),
            interval_s=settings.checkpoint_interval_s,
            free_bytes=stores_of(settings).free_bytes(),
        )
        if priced
        else None,
        plan=replace(
            told,
            notes=(
                *told.notes,
                *(shortage_notes(study, whole) if request.seeds is not None else ()),
                *power_notes(study),
                *([f"budget: {study.budget}, past which nothing more is begun"] if study.budget else ()),
            ),
        ),
        code=code,
        wanted=frozenset(wanted),
        stale=frozenset(again),
    )


def power_notes(study: Study) -> list[str]:
    """Returns what the claims of a study can show with its seeds, in words."""
    if not study.claims:
        return []
    from orchestrator.stats.power import seeds_for, smallest_effect
    from orchestrator.stats.sequential import corrected_level

    n = len(study.seeds)
    level = corrected_level(0.95, looks_of(study.adaptive))
    needed = {effect: seeds_for(effect, level=level, alternative="greater") for effect in (2.0, 1.0, 0.5)}
    told = ", ".join(f"{effect:g} needs {seeds} seeds" for effect, seeds in needed.items())
    smallest = smallest_effect(n, level=level, alternative="greater")
    found = (
        "one seed shows nothing"
        if smallest is None
        else f"{n} seeds find a difference of {smallest:.3g} standard deviations (of the difference between "
        "seeds) four times in five"
    )
    return [f"claims: {found}; {told}"]


def _study(request: Request, settings: Settings) -> tuple[Study, Spec]:
    found = draft(request.file, patches=request.patches, seeds=request.seeds)
    if found.study is None or found.problems.below("workload"):
        found.finished()
        raise AssertionError("finished without a study")
    try:
        spec = workload_of(found.study, settings)
    except StudyError as error:
        found.problems.take(error.problems)
        found.problems.finish()
        raise
    # Seeds of the command line are for once: there the file is not to blame.
    judged = request.seeds is None and not found.problems.below("seeds")
    if len(found.problems) or (judged and any(shortages(found.study))):
        examine(found.study, spec, found.problems, max_trials=request.max_trials)
    if judged:
        note_shortages(found.study, found.problems)
    return found.finished(), spec


def workload_of(study: Study, settings: Settings) -> Spec:
    """Returns the workload that a study names.

    Raises:
        StudyError: Unknown, or not allowed.
    """
    if settings.workload_modules and "" not in sys.path and str(Path.cwd()) not in sys.path:
        # A user's own package lies where orch.toml names it: in the working directory.
        sys.path.append(str(Path.cwd()))
    place = study.places.get("workload", (study.name, 0, 0))
    return resolve(study.workload, modules=settings.workload_modules, place=place)
