"""Test-time conditions of an evaluation: its levels, and the parameters of the family they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, replace
from typing import Any

from orchestrator.model.study import Design, Evaluation, Factor, Study
from orchestrator.study import combine
from orchestrator.study.config import Issue, bind_group, put
from orchestrator.study.identity import canonical_json
from orchestrator.study.problems import Problems, dotted
from orchestrator.study.text import listed, unknown
from workloads.api import Family, Spec, to_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One condition of an evaluation, for any network it suits.

    Attributes:
        labels: Test-time factor -> label.
        bound: Instance of the family's parameters.
        parameters: The same as plain values, defaults included.
        identity: Canonical JSON of the parameters, without defaults.
    """

    labels: Mapping[str, str]
    bound: Any
    parameters: Mapping[str, Any]
    identity: str


class Measures:
    """The conditions of one evaluation, made once for each set of test-time factors that exist."""

    def __init__(self, study: Study, evaluation: Evaluation, family: Family, problems: Problems) -> None:
        """Takes the evaluation and its family; what is wrong with parameters goes to `problems`."""
        own = {factor.name for factor in evaluation.vary}
        self._study, self._evaluation, self._family, self._problems = study, evaluation, family, problems
        # what concerns the cell is asked of the cell; the rest is a small design of its own
        self._outer = [
            {name: labels for name, labels in factor.when.items() if name not in own}
            for factor in evaluation.vary
        ]
        self._inner = tuple(
            replace(factor, when={name: labels for name, labels in factor.when.items() if name in own})
            for factor in evaluation.vary
        )
        self._made: dict[frozenset[int], list[Measure]] = {}

    def _existing(self, cell: Mapping[str, str]) -> frozenset[int]:
        return frozenset(
            index
            for index, when in enumerate(self._outer)
            if all(cell.get(name) in labels for name, labels in when.items())
        )

    def _factors(self, existing: frozenset[int]) -> tuple[Factor, ...]:
        # a factor that does not exist here keeps its place without levels that could be chosen
        never = {"": ("",)}
        return tuple(
            factor if index in existing else replace(factor, when=never)
            for index, factor in enumerate(self._inner)
        )

    def count(self, cell: Mapping[str, str]) -> int:
        """Returns how many conditions there are for a cell's labels, by counting."""
        return combine.count(Design(type="factorial", factors=self._factors(self._existing(cell))))

    def of(self, cell: Mapping[str, str]) -> list[Measure]:
        """Returns the conditions for a cell's labels."""
        existing = self._existing(cell)
        if existing not in self._made:
            factors = self._factors(existing)
            found = combine.product(factors)
            assert found is not None
            self._made[existing] = [
                each for picks in found if (each := self._measure(factors, picks)) is not None
            ]
        return self._made[existing]

    def _measure(self, factors: tuple[Factor, ...], picks: combine.Picks) -> Measure | None:
        tree: dict[str, Any] = dict(self._evaluation.parameters)
        labels: dict[str, str] = {}
        places: dict[tuple[str, ...], tuple[str | int, ...]] = {}
        at = ("evaluate", self._evaluation.name)
        for factor, pick in zip(factors, picks, strict=True):
            if pick < 0:
                continue
            level = factor.levels[pick]
            labels[factor.name] = level.label
            for path, value in level.patch.items():
                steps = tuple(path.split("."))
                put(tree, steps, value)
                place: tuple[str | int, ...] = (*at, "vary", factor.name, "levels", pick)
                if dotted(place) not in self._study.places:
                    place = (*at, "vary", factor.name, "levels", level.label)
                places[steps] = place
        issues: list[Issue] = []
        bound = bind_group(self._family.parameters, tree, issues)
        for issue in issues:
            blamed = [place for steps, place in places.items() if steps[: len(issue.path)] == issue.path]
            said = [place for place in blamed if not issue.path] or blamed or [(*at, "set", *issue.path)]
            message = f"family {self._evaluation.family!r}: {issue.message}"
            self._problems.add(
                said[-1], issue.code, message, key=issue.code in ("unknown-path", "missing-key")
            )
        if bound is MISSING:
            return None
        return Measure(
            labels=labels,
            bound=bound,
            parameters=to_plain(bound),
            identity=canonical_json(to_plain(bound, defaults=False)),
        )


def family_of(study: Study, evaluation: Evaluation, spec: Spec, problems: Problems) -> Family | None:
    """Returns the family of an evaluation, or None when it cannot be used as the study says."""
    at = ("evaluate", evaluation.name)
    family = spec.families.get(evaluation.family)
    if family is None:
        place = (*at, "family") if dotted((*at, "family")) in study.places else at
        message = unknown("family", evaluation.family, spec.families)
        problems.add(place, "unknown-family", f"{message} (of workload {spec.name!r})", key=place == at)
        return None
    before = len(problems)
    if evaluation.gather is not None and not family.gathers:
        gathering = [name for name, each in spec.families.items() if each.gathers]
        message = f"family {evaluation.family!r} takes one network; families that gather: {listed(gathering)}"
        problems.add((*at, "gather"), "not-gathering", message)
    if evaluation.gather is None and family.gathers:
        message = (
            f"family {evaluation.family!r} takes several networks: gather: FACTOR, as: {{FACTOR: LABEL}}"
        )
        problems.add(at, "missing-key", message, key=True)
    if evaluation.draws > 1 and not family.random:
        message = (
            f"family {evaluation.family!r} is not random: {evaluation.draws} draws would be equal; drop draws"
        )
        problems.add((*at, "draws"), "bad-value", message)
    return family if len(problems) == before else None
