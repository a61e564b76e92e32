"""What each evaluation is applied to: single cells, or the cells that a gather joins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.model.plan import Resources
from orchestrator.model.study import Evaluation, Study
from orchestrator.study.conditions import Measures, family_of
from orchestrator.study.dimensions import selected
from orchestrator.study.expand import BoundCell
from orchestrator.study.problems import Problems
from orchestrator.study.variants import VARIANT
from workloads.api import Family, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One cell, or several joined, that an evaluation is applied to.

    Attributes:
        name: The cell's name; for a gather the joined name of the common labels.
        labels: The cell's labels; for a gather the common ones.
        members: Positions of the cells, in the order of the gathered factor's levels.
    """

    name: str
    labels: Mapping[str, str]
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An evaluation with everything it is applied to."""

    evaluation: Evaluation
    family: Family
    subjects: Sequence[Subject]
    measures: Measures


def applications(
    study: Study, spec: Spec, cells: Sequence[BoundCell], problems: Problems
) -> tuple[list[Application], list[str]]:
    """Returns the evaluations with their cells, and notes; what is wrong goes to `problems`."""
    found: list[Application] = []
    notes: list[str] = []
    for evaluation in study.evaluations:
        family = family_of(study, evaluation, spec, problems)
        if family is None:
            continue
        subjects = _subjects(study, evaluation, cells)
        if not subjects:
            notes.append(f"evaluation {evaluation.name!r} applies to no cell: its when never holds")
        _distinct(evaluation, subjects, cells, problems)
        measures = Measures(study, evaluation, family, problems)
        found.append(Application(evaluation=evaluation, family=family, subjects=subjects, measures=measures))
    return found, notes


def _subjects(study: Study, evaluation: Evaluation, cells: Sequence[BoundCell]) -> list[Subject]:
    fitting = [index for index, each in enumerate(cells) if selected(evaluation.when, each.cell.labels)]
    if evaluation.gather is None:
        return [
            Subject(name=cells[index].cell.name, labels=cells[index].cell.labels, members=(index,))
            for index in fitting
        ]
    joined = evaluation.gather
    factor = next(each for each in study.design.factors if each.name == joined)
    position = {level.label: index for index, level in enumerate(factor.levels)}
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for index in fitting:
        labels = cells[index].cell.labels
        if joined in labels:
            common = tuple((name, label) for name, label in labels.items() if name not in (joined, VARIANT))
            groups.setdefault(common, []).append(index)
    return [
        Subject(
            name=",".join(f"{name}={label}" for name, label in common)
            or f"{joined}={evaluation.labels[joined]}",
            labels=dict(common),
            members=tuple(sorted(members, key=lambda each: position[cells[each].cell.labels[joined]])),
        )
        for common, members in groups.items()
    ]


def _distinct(
    evaluation: Evaluation, subjects: Sequence[Subject], cells: Sequence[BoundCell], problems: Problems
) -> None:
    """Notes gathers in which two cells bear one label: in a list of cells, two may have equal labels."""
    if evaluation.gather is None:
        return
    for subject in subjects:
        first: dict[str, str] = {}
        for member in subject.members:
            cell = cells[member].cell
            label = cell.labels[evaluation.gather]
            if first.setdefault(label, cell.name) != cell.name:
                message = (
                    f"cells {first[label]} and {cell.name} have the same {evaluation.gather}={label} and the "
                    f"same other labels: which of them is a member of {evaluation.name!r} is not said; "
                    "give them a factor that tells them apart, or restrict the gather with when"
                )
                problems.add(("evaluate", evaluation.name, "gather"), "ambiguous", message)


def check_suited(applied: Application, cells: Sequence[BoundCell], problems: Problems) -> None:
    """Notes conditions that the family cannot measure on the networks they are asked of."""
    evaluation, family = applied.evaluation, applied.family
    told: dict[str, str] = {}
    for subject in applied.subjects:
        for measure in applied.measures.of(subject.labels):
            for member in subject.members:
                reason = family.unsuited(cells[member].config, measure.bound)
                if reason is not None and told.setdefault(reason, subject.name) == subject.name:
                    message = (
                        f"family {evaluation.family!r} cannot be applied to cell {cells[member].cell.name}: "
                        f"{reason}; restrict {evaluation.name!r} with when"
                    )
                    problems.add(("evaluate", evaluation.name), "unsuited", message, key=True, once=reason)


def resources_of(study: Study, labels: Mapping[str, str]) -> Resources:
    """Returns the resource class of a cell's trainings: the last rule that fits."""
    found = Resources()
    for rule in study.resources:
        if selected(rule.when, labels):
            found = rule.resources
    return found


def widest(many: Sequence[Resources]) -> Resources:
    """Returns what holds as much as each of several classes."""
    return Resources(
        cpu=max(each.cpu for each in many),
        gpu=max(each.gpu for each in many),
        memory_gb=max(each.memory_gb for each in many),
    )
