"""The plan of a study: its trials, what each planned observation comes from, and what to know.

`plan` needs neither torch nor data nor a registry; `know` adds what the registry already has.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.errors import Problem, StudyError
from orchestrator.model.plan import (
    Assignment,
    Plan,
    Resources,
    Trial,
    TrialKey,
)
from orchestrator.model.study import Study
from orchestrator.study.dimensions import Labeller, dimensions
from orchestrator.study.expand import BoundCell, count_cells, expand_bound
from orchestrator.study.fusing import NOTHING, Known, Row, grouped
from orchestrator.study.identity import condition_key_of, training_key_of
from orchestrator.study.known import know, stale
from orchestrator.study.notes import shared_notes, zip_notes
from orchestrator.study.observations import (
    Application,
    Subject,
    applications,
    check_suited,
    resources_of,
    widest,
)
from orchestrator.study.order import run_order
from orchestrator.study.problems import Problems
from orchestrator.study.search import Searches, search_notes, search_trial, searches
from orchestrator.study.select import select
from orchestrator.study.table_checks import check_tables
from workloads.api import Spec

__all__ = ["MAX_TRIALS", "dimensions", "know", "plan", "select", "stale"]

MAX_TRIALS: Final = 100_000


def plan(study: Study, spec: Spec, *, max_trials: int = MAX_TRIALS, fusing: Known = NOTHING) -> Plan:
    """Returns everything that a submission of the study would record.

    Args:
        study: The loaded study.
        spec: Its workload.
        max_trials: Refuse a study with more trials than this, before making them.
        fusing: What is known of training seeds together, for `fuse: auto`.

    Raises:
        StudyError: Too many trials; configs, evaluations or tables that the workload does not take.
    """
    trainings = count_cells(study) * len(study.seeds)
    _refuse_many(study, trainings, max_trials)
    with _uncollected():
        return _plan(study, spec, max_trials, fusing)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pauses the cycle collector: a plan makes a million lasting objects and no cycles to find."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


def _plan(study: Study, spec: Spec, max_trials: int, fusing: Known) -> Plan:
    file = study.places.get("study", ("study", 0, 0))[0]
    problems = Problems(file, study.places)
    cells, notes = expand_bound(study, spec, problems)
    applied, more = applications(study, spec, cells, problems)
    _refuse_many(study, _count(study, cells, applied), max_trials)
    builder = _Builder(study, spec, cells, fusing)
    builder.searching(problems)
    builder.trainings()
    for each in applied:
        check_suited(each, cells, problems)
        builder.evaluation(each)
    check_tables(study, spec, builder.observed, problems)
    problems.finish()
    notes = [*zip_notes(study), *shared_notes(cells), *notes, *more, *search_notes(study, builder.searches)]
    return builder.finish(notes)


def _refuse_many(study: Study, trials: int, limit: int) -> None:
    if trials > limit:
        file, line, column = study.places.get("design", ("study", 0, 0))
        message = (
            f"the study has {trials:,} trials; limit {limit:,} (--max-trials); vary less, or raise the limit"
        )
        raise StudyError(
            [Problem(file=file, line=line, column=column, code="too-many-trials", message=message)]
        )


def _count(study: Study, cells: Sequence[BoundCell], applied: Sequence[Application]) -> int:
    """Returns the number of planned trials, those that coincide counted twice."""
    total = len(cells)
    for each in applied:
        for subject in each.subjects:
            total += each.measures.count(subject.labels) * each.evaluation.draws
    return total * len(study.seeds)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Condition:
    """A trial of the stage `evaluate`, before it has its place in the run order."""

    family: str
    parameters: Mapping[str, Any]
    draw: int
    seed: int
    parents: tuple[TrialKey, ...]
    gathers: bool
    resources: Resources
    label: str


@dataclass(slots=True)
class _Builder:
    """Collects trials and assignments; one use."""

    study: Study
    spec: Spec
    cells: Sequence[BoundCell]
    fusing: Known
    labeller: Labeller = field(init=False)
    searches: Searches = field(init=False)
    observed: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    _keys: list[list[TrialKey]] = field(default_factory=list)
    _first: dict[TrialKey, tuple[int, int]] = field(default_factory=dict)  # cell, position of the seed
    _conditions: dict[TrialKey, _Condition] = field(default_factory=dict)
    _assignments: list[Assignment] = field(default_factory=list)
    _full: list[Mapping[str, str]] = field(default_factory=list)
    _resources: list[Resources] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.labeller = Labeller(self.study)

    def searching(self, problems: Problems) -> None:
        """Finds the labels of all cells, and the searches that they need."""
        for bound in self.cells:
            labels = bound.cell.labels
            full = self.labeller.cell(labels)
            self._full.append(labels if full == labels else full)  # one mapping in memory for both
            self._resources.append(resources_of(self.study, labels))
        self.searches = searches(self.study, self.spec, self.cells, self._full, problems)

    def trainings(self) -> None:
        """Adds the trainings of all cells, each with its test and its curves."""
        study = self.study
        for index, bound in enumerate(self.cells):
            cell, full = bound.cell, self._full[index]
            self.observed.append(("test", full))
            group = self.searches.of_cell.get(index)
            identity = self.searches.identities.get(index, bound.identity)
            parents = (group.key,) if group else ()
            keys = [training_key_of(self.spec, identity, bound.digest, seed, parents) for seed in study.seeds]
            self._keys.append(keys)
            for position, (seed, key) in enumerate(zip(study.seeds, keys, strict=True)):
                self._first.setdefault(key, (index, position))
                self._assignments.append(
                    Assignment(
                        study=study.name, cell=cell.name, evaluation="test", labels=full, seed=seed, trial=key
                    )
                )

    def evaluation(self, applied: Application) -> None:
        """Adds the conditions of one evaluation on everything it applies to."""
        evaluation = applied.evaluation
        for subject in applied.subjects:
            single = evaluation.gather is None
            base = self._full[subject.members[0]] if single else self.labeller.cell(subject.labels)
            held = evaluation.resources or widest([self._resources[each] for each in subject.members])
            for measure in applied.measures.of(subject.labels):
                labels = self.labeller.observation(base, evaluation.labels, measure.labels)
                self.observed.append((evaluation.name, labels))
                varied = ",".join(f"{name}={label}" for name, label in measure.labels.items())
                title = f"{evaluation.name}[{varied}]" if varied else evaluation.name
                for position, seed in enumerate(self.study.seeds):
                    parents = tuple(self._keys[each][position] for each in subject.members)
                    for draw in range(evaluation.draws):
                        key = condition_key_of(
                            self.spec, evaluation.family, measure.identity, draw, seed, parents
                        )
                        self._assign(evaluation.name, subject, labels, draw, seed, key)
                        if key in self._conditions:
                            continue
                        drawn = f" draw {draw}" if evaluation.draws > 1 else ""
                        self._conditions[key] = _Condition(
                            family=evaluation.family,
                            parameters=measure.parameters,
                            draw=draw,
                            seed=seed,
                            parents=parents,
                            gathers=not single,
                            resources=held,
                            label=f"{title} of {subject.name} seed {seed}{drawn}",
                        )

    def _assign(
        self,
        evaluation: str,
        subject: Subject,
        labels: Mapping[str, str],
        draw: int,
        seed: int,
        key: TrialKey,
    ) -> None:
        self._assignments.append(
            Assignment(
                study=self.study.name,
                cell=subject.name,
                evaluation=evaluation,
                labels=labels,
                draw=draw,
                seed=seed,
                trial=key,
            )
        )

    def finish(self, notes: Sequence[str]) -> Plan:
        """Returns the plan, its trials in run order."""
        owners = dict.fromkeys(cell for cell, position in self._first.values() if position == 0)
        groups, fusing = grouped(
            [
                Row(
                    name=self.cells[cell].cell.name,
                    config=self.cells[cell].config,
                    resources=self._resources[cell],
                    keys=self._keys[cell],
                    searched=cell in self.searches.of_cell,
                )
                for cell in owners
            ],
            self.study.fuse,
            self.spec,
            self.fusing,
        )
        ordered = run_order(
            self.study.name,
            {key: position for key, (_, position) in self._first.items()},
            groups,
            {key: each.parents for key, each in self._conditions.items()},
        )
        trials: dict[TrialKey, Trial] = {}
        for order, group in enumerate(self.searches.groups):
            held = widest([self._resources[index] for index in self.searches.members(group.key)])
            trials[group.key] = search_trial(self.study, group, resources=held, order=order)
        for order, key in enumerate(ordered, start=len(trials)):
            if key in self._first:
                trials[key] = self._training(key, order, groups.get(key, ""))
            else:
                trials[key] = self._evaluation_trial(key, order)
        return Plan(
            study=self.study.name,
            cells=tuple(each.cell for each in self.cells),
            dimensions=dimensions(self.study),
            trials=trials,
            assignments=tuple(self._assignments),
            searches=tuple(self.searches.groups),
            notes=(*notes, *fusing),
        )

    def _training(self, key: TrialKey, order: int, group: str) -> Trial:
        index, position = self._first[key]
        seed = self.study.seeds[position]
        return Trial(
            key=key,
            stage="train",
            workload=self.study.workload,
            config=self.cells[index].cell.config,
            seed=seed,
            parents=(decides.key,) if (decides := self.searches.of_cell.get(index)) else (),
            resources=self._resources[index],
            group=group,
            order=order,
            label=f"{self.cells[index].cell.name} seed {seed}",
        )

    def _evaluation_trial(self, key: TrialKey, order: int) -> Trial:
        each = self._conditions[key]
        return Trial(
            key=key,
            stage="evaluate",
            workload=self.study.workload,
            family=each.family,
            parameters=each.parameters,
            draw=each.draw,
            seed=each.seed,
            parents=each.parents,
            gathers=each.gathers,
            resources=each.resources,
            order=order,
            label=each.label,
        )
