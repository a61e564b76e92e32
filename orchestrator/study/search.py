"""The searches of a plan: which cells share one, and what makes it the same computation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.model.plan import Base, Resources, SearchGroup, Trial, TrialKey
from orchestrator.model.search import FIRST_SEED, Search, Value
from orchestrator.model.study import Study
from orchestrator.study.expand import BoundCell, Rebinder
from orchestrator.study.identity import canonical_json, search_key
from orchestrator.study.problems import Problems
from orchestrator.study.text import quoted, unknown
from workloads.api import Spec

_PROBED = 1_000  # cells whose configs are tried with each choice; the others at both ends


@dataclass(slots=True, kw_only=True)
class Searches:
    """The searches of a study, and which of them decides what a cell trains.

    Attributes:
        study: The study.
        spec: Its workload.
        groups: In the order of their first cells.
        of_cell: Position of a cell -> its group.
        identities: Position of a cell -> what its trainings are besides what is searched, as text.
    """

    study: Study
    spec: Spec
    groups: list[SearchGroup] = field(default_factory=list)
    of_cell: dict[int, SearchGroup] = field(default_factory=dict)
    identities: dict[int, str] = field(default_factory=dict)

    def members(self, key: TrialKey) -> list[int]:
        """Returns the positions of the cells that a search is for."""
        return [index for index, group in self.of_cell.items() if group.key == key]


def searches(
    study: Study,
    spec: Spec,
    cells: Sequence[BoundCell],
    full: Sequence[Mapping[str, str]],
    problems: Problems,
) -> Searches:
    """Returns the searches that a study's cells need; what is wrong goes to `problems`.

    Args:
        study: As declared.
        spec: Its workload.
        cells: Of the study.
        full: For each cell its labels of all dimensions.
        problems: Of the study.
    """
    found = Searches(study=study, spec=spec)
    declared = study.search
    if declared is None:
        return found
    _check(study, declared, spec, problems)
    if problems.below("search"):
        return found
    rebinder = Rebinder(study, spec)
    members: dict[tuple[str, ...], list[int]] = {}
    for index, bound in enumerate(cells):
        digests = set[str]()
        sound = True
        probes = _probes(declared) if index < _PROBED else _probes(declared)[:2]
        for values in probes:
            probed = rebinder.bind(bound.cell.name, values, problems)
            if probed is None:
                sound = False
            else:
                digests.add(probed.digest)
        if not sound:
            if problems.full:
                break
            continue
        said = rebinder.outside(bound.cell.name, probes[0])
        found.identities[index] = canonical_json([said, sorted(digests)])
        labels = bound.cell.labels
        place = (
            (bound.cell.name,) if declared.by is None else tuple(labels.get(name, "") for name in declared.by)
        )
        members.setdefault(place, []).append(index)
    groups: dict[TrialKey, SearchGroup] = {}
    for indexes in members.values():
        group = _group(found, declared, [(index, cells[index], full[index]) for index in indexes])
        groups[group.key] = group = _joined(groups.get(group.key), group)
        found.of_cell.update(dict.fromkeys(indexes, group))
    found.of_cell.update({index: groups[group.key] for index, group in found.of_cell.items()})
    found.groups.extend(groups.values())
    return found


def _joined(before: SearchGroup | None, group: SearchGroup) -> SearchGroup:
    """Returns one group for cells whose searches are the same computation."""
    if before is None:
        return group
    bases = tuple(
        Base(config=own.config, cells={**own.cells, **more.cells})
        for own, more in zip(before.bases, group.bases, strict=True)
    )
    return SearchGroup(key=group.key, label=before.label, bases=bases)


def _check(study: Study, declared: Search, spec: Spec, problems: Problems) -> None:
    at = ("search",)
    if declared.metric not in spec.metrics.get("train", ()):
        known = spec.metrics.get("train", ())
        problems.add(
            (*at, "metric"), "unknown-metric", unknown("metric of a training", declared.metric, known)
        )
    if study.seeds and max(study.seeds) >= FIRST_SEED:
        message = (
            f"seeds from {FIRST_SEED:,} on belong to the candidates of searches, got {max(study.seeds):,}"
        )
        problems.add(("seeds",), "out-of-range", message)
    paths = {each.path for each in declared.space}
    for path in paths:
        if any(path.startswith(f"{other}.") for other in paths):
            message = f"{path} lies in another parameter of the space; search for one of the two"
            problems.add((*at, "space", path), "conflict", message, key=True)
    for name, patch in _patched(study):
        for path in patch:
            for mine in paths:
                if f"{mine}.".startswith(f"{path}.") or f"{path}.".startswith(f"{mine}."):
                    message = f"{name} sets {path}, which the search chooses; drop one of the two"
                    problems.add((*at, "space", mine), "conflict", message, key=True, once=f"{mine} {name}")


def _patched(study: Study) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for factor in study.design.factors:
        for level in factor.levels:
            yield f"factor {quoted(factor.name)}", level.patch
    for override in study.design.overrides:
        yield "an override", override.patch
    yield "--set", study.patches


def _probes(declared: Search) -> list[dict[str, Value]]:
    """Returns values that every config has to take: both ends of the space, then each single choice."""
    low = {each.path: each.choices[0] if each.choices else each.low for each in declared.space}
    high = {each.path: each.choices[-1] if each.choices else each.high for each in declared.space}
    between = [{**low, each.path: choice} for each in declared.space for choice in each.choices[1:-1]]
    return [low, high, *between]


def _group(
    found: Searches, declared: Search, members: Sequence[tuple[int, BoundCell, Mapping[str, str]]]
) -> SearchGroup:
    bases: dict[tuple[str, str], Base] = {}
    for index, bound, labels in members:
        place = (found.identities[index], bound.digest)
        before = bases.get(place)
        cells = {**(before.cells if before else {}), bound.cell.name: labels}
        bases[place] = Base(config=before.config if before else bound.cell.config, cells=cells)
    key = search_key(found.spec, declared, list(bases))
    names = [bound.cell.name for _, bound, _ in members]
    labels = members[0][1].cell.labels
    if len(names) == 1:
        label = names[0]
    else:
        label = (
            ",".join(f"{name}={labels[name]}" for name in declared.by or () if name in labels) or "all cells"
        )
    return SearchGroup(key=key, label=label, bases=tuple(bases.values()))


def search_notes(study: Study, found: Searches) -> list[str]:
    """Returns what a reader of the plan should know of its searches."""
    if study.search is None or not found.groups:
        return []
    paths = ", ".join(each.path for each in study.search.space)
    trainings = study.search.trials * sum(len(group.bases) for group in found.groups)
    many = "one search" if len(found.groups) == 1 else f"{len(found.groups):,} searches"
    return [
        f"search: {many} for {paths}, {study.search} each; {trainings:,} trainings on seeds of their own, "
        "before the first seed"
    ]


def search_trial(study: Study, group: SearchGroup, *, resources: Resources, order: int) -> Trial:
    """Returns the parent trial of what a search decides."""
    assert study.search is not None
    return Trial(
        key=group.key,
        stage="search",
        workload=study.workload,
        parameters={**study.search.plain(), "bases": [dict(each.config) for each in group.bases]},
        seed=study.search.seed,
        resources=resources,
        order=order,
        label=f"search for {group.label}",
    )
