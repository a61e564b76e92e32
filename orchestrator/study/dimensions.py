"""Dimensions of a study and the label of every observation in each of them (rule 8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.model.plan import Dimension
from orchestrator.model.study import ABSENT, Factor, Study, Where
from orchestrator.study.variants import VARIANT, labels


def selected(where: Where, found: Mapping[str, str]) -> bool:
    """Returns whether labels fit a selection: every named dimension exists and has a named label."""
    return all(found.get(name) in wanted for name, wanted in where.items())


def varies(study: Study) -> Iterable[Factor]:
    """Yields every test-time factor of the study."""
    for evaluation in study.evaluations:
        yield from evaluation.vary


def names(study: Study) -> tuple[str, ...]:
    """Returns the names of the study's dimensions: variant, factors as written, then test-time factors."""
    found = [VARIANT] if study.design.type != "factorial" else []
    found += [factor.name for factor in study.design.factors]
    found += [factor.name for factor in varies(study)]
    return tuple(dict.fromkeys(found))


class Labeller:
    """Labels observations in every dimension of a study."""

    def __init__(self, study: Study) -> None:
        """Takes the study."""
        self._study = study
        self.names = names(study)
        # what a dimension says where nothing else does: the factor's otherwise, the vary's, or nothing
        self._fallback = dict.fromkeys(self.names, ABSENT)
        for factor in (*reversed(list(varies(study))), *study.design.factors):
            if factor.otherwise is not None:
                self._fallback[factor.name] = factor.otherwise
        self._absent: set[str] = set()

    def cell(self, labels_of_cell: Mapping[str, str]) -> Mapping[str, str]:
        """Returns every dimension's label for the trainings of a cell (or the nets of a gather)."""
        full = dict(self._fallback)
        full.update(labels_of_cell)
        return self._seen(full)

    def observation(
        self, cell: Mapping[str, str], own: Mapping[str, str], varied: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Returns every dimension's label: the vary's level, else the evaluation's `as`, else the cell's."""
        return self._seen({**cell, **own, **varied})

    def _seen(self, full: Mapping[str, str]) -> Mapping[str, str]:
        for name, label in full.items():
            if label == ABSENT:
                self._absent.add(name)
        return full

    def dimensions(self) -> tuple[Dimension, ...]:
        """Returns the dimensions with their labels in display order, for all that was labelled."""
        study = self._study
        found: dict[str, list[str]] = {name: [] for name in self.names}
        found.get(VARIANT, []).extend(labels(study.design))
        for factor in (*study.design.factors, *varies(study)):
            found[factor.name] += [level.label for level in factor.levels]
        for factor in (*study.design.factors, *varies(study)):
            found[factor.name] += [factor.otherwise] if factor.otherwise is not None else []
        for evaluation in study.evaluations:
            for name, label in evaluation.labels.items():
                found[name].append(label)
        for name in self.names:
            found[name] += [ABSENT] if name in self._absent else []
        return tuple(Dimension(name=name, labels=tuple(dict.fromkeys(each))) for name, each in found.items())
