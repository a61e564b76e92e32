"""Candidates of searches: their trainings, and the configs of what searches decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.model.plan import Assignment, SearchGroup, Trial, TrialKey
from orchestrator.model.search import EVALUATION, FIRST_SEED, Values
from orchestrator.model.study import Study
from orchestrator.study.config import put
from orchestrator.study.expand import Rebinder
from orchestrator.study.identity import candidate_key, same_value_text
from orchestrator.study.problems import Problems
from workloads.api import Spec


@dataclass(slots=True, kw_only=True)
class Candidates:
    """Makes the trainings of candidates, and the configs of what searches decide.

    Attributes:
        study: As recorded.
        spec: Its workload.
        searches: Key -> the cells that the search is for, and its trial.
        cells: Training -> the cell that it is of.
    """

    study: Study
    spec: Spec
    searches: Mapping[TrialKey, tuple[SearchGroup, Trial]]
    cells: Mapping[TrialKey, str]
    _rebinder: Rebinder = field(init=False)

    def __post_init__(self) -> None:
        self._rebinder = Rebinder(self.study, self.spec)

    def trials(
        self, search: TrialKey, number: int, values: Values
    ) -> tuple[dict[TrialKey, Trial], list[Assignment]]:
        """Returns the trainings of one candidate, and the observations that they are.

        Args:
            search: Key of the search.
            number: Of the candidate.
            values: What is tried.
        """
        group, parent = self.searches[search]
        seed = FIRST_SEED + number
        trials: dict[TrialKey, Trial] = {}
        assignments: list[Assignment] = []
        for position, base in enumerate(group.bases):
            name = next(iter(base.cells))
            config, identity, digest = self._config(name, base.config, values)
            key = candidate_key(self.spec, identity, digest, seed, search, number=number, position=position)
            trials[key] = Trial(
                key=key,
                stage="tune",
                workload=self.study.workload,
                config=config,
                parameters={"values": dict(values), "position": position},
                draw=number,
                seed=seed,
                parents=(search,),
                resources=parent.resources,
                order=parent.order,
                label=f"{name} candidate {number}",
            )
            assignments += [
                Assignment(
                    study=self.study.name,
                    cell=cell,
                    evaluation=EVALUATION,
                    labels=labels,
                    draw=number,
                    seed=seed,
                    trial=key,
                )
                for cell, labels in base.cells.items()
            ]
        return trials, assignments

    def decided(self, training: Trial, values: Values) -> Mapping[str, Any]:
        """Returns the config of a training whose search has chosen.

        Args:
            training: As planned.
            values: What was chosen.
        """
        return self._config(self.cells[training.key], training.config, values)[0]

    def _config(
        self, cell: str, base: Mapping[str, Any], values: Values
    ) -> tuple[Mapping[str, Any], str, str]:
        problems = Problems("study", self.study.places)
        bound = self._rebinder.bind(cell, values, problems)
        if bound is not None:
            return bound.cell.config, bound.identity, bound.digest
        # Values that are allowed each but not together: the worker is told so by the workload, and fails.
        tree = _patched_tree(base, values)
        return tree, same_value_text(tree), ""


def _patched_tree(base: Mapping[str, Any], values: Values) -> dict[str, Any]:
    tree = dict(base)
    for path, value in values.items():
        put(tree, tuple(path.split(".")), value)
    return tree
