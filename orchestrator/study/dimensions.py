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


def dimensions(study: Study) -> tuple[Dimension, ...]:
    """Returns every dimension of a study with its labels in display order.

    Levels as written, then `otherwise`, then `as`; "–" where an observation can be without any.
    """
    found: dict[str, list[str]] = {name: [] for name in names(study)}
    if VARIANT in found:
        found[VARIANT] += labels(study.design)
    factors = (*study.design.factors, *varies(study))
    for factor in factors:
        found[factor.name] += [level.label for level in factor.levels]
    for factor in factors:
        found[factor.name] += [factor.otherwise] if factor.otherwise is not None else []
    for evaluation in study.evaluations:
        for name, label in evaluation.labels.items():
            found[name].append(label)
    for name in _without(study):
        found[name].append(ABSENT)
    return tuple(Dimension(name=name, labels=tuple(dict.fromkeys(each))) for name, each in found.items())


def _without(study: Study) -> list[str]:
    """Returns the dimensions in which an observation can be without a label of its own."""
    design = study.design
    factors = {factor.name: factor for factor in design.factors}
    open_ended = [
        factor.name
        for factor in design.factors
        if factor.otherwise is None
        and (factor.when or any(factor.name not in cell for cell in design.cells.values()))
    ]
    said = {factor.name for factor in varies(study) if factor.otherwise is not None}
    open_ended += [each.name for each in varies(study) if each.name not in factors and each.name not in said]
    if design.type != "factorial" and any(each.gather is not None for each in study.evaluations):
        open_ended.append(VARIANT)  # what is joined is none of the variants
    return open_ended


class Labeller:
    """Labels observations in every dimension of a study."""

    def __init__(self, study: Study) -> None:
        """Takes the study."""
        self.names = names(study)
        # what a dimension says where nothing else does: the factor's otherwise, the vary's, or nothing
        self._fallback = dict.fromkeys(self.names, ABSENT)
        for factor in (*reversed(list(varies(study))), *study.design.factors):
            if factor.otherwise is not None:
                self._fallback[factor.name] = factor.otherwise

    def cell(self, labels_of_cell: Mapping[str, str]) -> Mapping[str, str]:
        """Returns every dimension's label for the trainings of a cell (or the nets of a gather)."""
        return {**self._fallback, **labels_of_cell}

    def observation(
        self, cell: Mapping[str, str], own: Mapping[str, str], varied: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Returns every dimension's label: the vary's level, else the evaluation's `as`, else the cell's."""
        return {**cell, **own, **varied}
