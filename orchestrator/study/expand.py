"""A study's cells: every combination of levels with the canonical config it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any

from orchestrator.model.plan import Cell
from orchestrator.model.study import Study
from orchestrator.study import combine
from orchestrator.study.canonical import Writer
from orchestrator.study.combine import Picks
from orchestrator.study.config import (
    RECIPE,
    Issue,
    bind_field,
    construct,
    default_of,
    fields_of,
    guarded,
    recipe_of,
    unknown_field,
)
from orchestrator.study.identity import canonical_json
from orchestrator.study.patches import Patch, Patches, apply, blame
from orchestrator.study.problems import Problems
from orchestrator.study.variants import VARIANT, combinations
from workloads.api import Spec, hints, to_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundCell:
    """A cell together with what planning needs of it.

    Attributes:
        cell: The cell.
        config: Its canonical config, an instance of `Spec.config`.
        identity: Canonical JSON of that config, without defaults.
        digest: Digest of the data that it reads.
    """

    cell: Cell
    config: Any
    identity: str
    digest: str


def count_cells(study: Study) -> int:
    """Returns the number of cells by counting; an upper bound where many factors are entangled."""
    return combine.count(study.design)


def expand(study: Study, spec: Spec) -> list[Cell]:
    """Returns the study's cells in the order of the design.

    Raises:
        StudyError: Configs that the workload does not take, each at its place in the text.
    """
    problems = Problems("study", study.places)
    bound, _ = expand_bound(study, spec, problems)
    problems.finish()
    return [each.cell for each in bound]


def cell_labels(study: Study) -> dict[str, Mapping[str, str]]:
    """Returns the name of every cell -> its existing factors' labels; needs no workload."""
    found: dict[str, Mapping[str, str]] = {}
    for variant, picks in combinations(study.design):
        labels = _labels(study, variant, picks)
        found[_name(variant, labels)] = labels
    return found


def _name(variant: str | None, labels: Mapping[str, str]) -> str:
    if variant is not None:
        return f"{VARIANT}={variant}"
    return ",".join([f"{name}={label}" for name, label in labels.items()])


def expand_bound(study: Study, spec: Spec, problems: Problems) -> tuple[list[BoundCell], list[str]]:
    """Returns the cells with their configs, and notes; what is wrong goes to `problems`."""
    patches = Patches(study)
    binder = _Binder(study, spec)
    found: list[BoundCell] = []
    for variant, picks in combinations(study.design):
        labels = _labels(study, variant, picks)
        name = _name(variant, labels)
        applied = patches.of(picks, variant)
        issues: list[Issue] = []
        bound = binder.bind(applied, issues)
        if bound is None:
            _tell(issues, applied, name, study.config, problems)
            if problems.full:
                break
            continue
        plain, identity, config, digest = bound
        cell = Cell(index=len(found), name=name, labels=labels, config=plain)
        found.append(BoundCell(cell=cell, config=config, identity=identity, digest=digest))
    if not found and not len(problems):
        problems.add(("design",), "no-cells", "the design comes to no cell: everything is excluded", key=True)
    notes = [
        f"overrides: number {index + 1} fits no cell"
        for index, used in enumerate(patches.override_used)
        if not used
    ]
    return found, notes


def _labels(study: Study, variant: str | None, picks: Picks) -> dict[str, str]:
    labels = {} if variant is None else {VARIANT: variant}
    for factor, pick in zip(study.design.factors, picks, strict=True):
        if pick >= 0:
            labels[factor.name] = factor.levels[pick].label
    return labels


def _tell(
    issues: Sequence[Issue],
    applied: Sequence[Patch],
    cell: str,
    config: Mapping[str, Any],
    problems: Problems,
) -> None:
    for issue in issues:
        place = blame(issue.path, issue.message, applied, config)
        message = f"{issue.message} (in cell {cell})"
        if place:
            key = place[0] == "config" and issue.code in ("unknown-path", "foreign-field")
            problems.add(place, issue.code, message, key=key, once=issue.message)
        else:
            problems.add_at(("--set", 0, 0), issue.code, message, once=issue.message)


class Rebinder:
    """Binds the configs of a study's cells with further values set, as a search tries them."""

    def __init__(self, study: Study, spec: Spec) -> None:
        """Takes the study and its workload."""
        self._study = study
        self._binder = _Binder(study, spec)
        self._cells: dict[str, tuple[Mapping[str, str], list[Patch]]] = {}
        patches = Patches(study)
        for variant, picks in combinations(study.design):
            labels = _labels(study, variant, picks)
            self._cells[_name(variant, labels)] = labels, patches.of(picks, variant)

    def bind(self, cell: str, values: Mapping[str, Any], problems: Problems) -> BoundCell | None:
        """Returns a cell whose config has these values too; None, and `problems`, where it takes them not.

        Args:
            cell: Its name.
            values: Dotted path -> value, set last.
            problems: Of the study.
        """
        labels, own = self._cells[cell]
        patches = [*own, *_patches(values)]
        issues: list[Issue] = []
        bound = self._binder.bind(patches, issues)
        if bound is None:
            _tell(issues, patches, cell, self._study.config, problems)
            return None
        plain, identity, config, digest = bound
        return BoundCell(
            cell=Cell(index=0, name=cell, labels=labels, config=plain),
            config=config,
            identity=identity,
            digest=digest,
        )

    def outside(self, cell: str, values: Mapping[str, Any]) -> str:
        """Returns what a cell's config says besides these paths, as text.

        It is the config as it is said, not the canonical one: what means nothing at some values may mean
        something at others.

        Args:
            cell: Its name, of a config that takes the values.
            values: Dotted path -> a value that the config takes.
        """
        _, own = self._cells[cell]
        issues: list[Issue] = []
        said = to_plain(self._binder.said([*own, *_patches(values)], issues), defaults=False)
        assert not issues, "a config that was bound before"
        for path in values:
            *above, last = path.split(".")
            tree = said
            for step in above:
                tree = tree.get(step, {}) if isinstance(tree, Mapping) else {}
            if isinstance(tree, dict):
                tree.pop(last, None)
        return canonical_json(said)


_PLACE = ("search", "space")


def _patches(values: Mapping[str, Any]) -> list[Patch]:
    """Returns values as patches, each remembered by what it is."""
    return [
        Patch(uid=f"{path}={value!r}", path=tuple(path.split(".")), value=value, place=(*_PLACE, path))
        for path, value in values.items()
    ]


class _Binder:
    """Binds configs that share most of their parts: each top field is bound once for each set of patches."""

    def __init__(self, study: Study, spec: Spec) -> None:
        self._spec = spec
        self._tree = study.config
        self._fields = fields_of(spec.config)
        self._hints = hints(spec.config)
        self._seen: dict[tuple[int | str | None, ...], tuple[Any, list[Issue]]] = {}
        self._writer = Writer(spec.config)
        self._bases: dict[Any, tuple[dict[str, Any], dict[str, list[Issue]]]] = {}
        # made once, not for each cell: a config's parts are frozen
        self._defaults = {
            name: value for name, each in self._fields.items() if (value := default_of(each)) is not MISSING
        }
        self._required = [
            name
            for name, each in self._fields.items()
            if default_of(each) is MISSING and name not in study.config
        ]

    def _base(self, recipe: Any) -> tuple[dict[str, Any], dict[str, list[Issue]]]:
        """Returns the fields that a recipe and the study's config give every cell, and their faults."""
        if recipe not in self._bases:
            values = dict(self._defaults)
            issues: dict[str, list[Issue]] = {}
            found: list[Issue] = []
            said = recipe_of(self._spec, recipe, found)
            if found:
                issues[RECIPE] = found
            if said is not MISSING:
                values = {name: getattr(said, name) for name in self._fields}
            for head in self._tree:
                if head == RECIPE and self._spec.recipes:
                    continue
                values[head], issues[head] = self._field(head, [], recipe)
            self._bases[recipe] = values, issues
        return self._bases[recipe]

    def bind(
        self, applied: Sequence[Patch], issues: list[Issue]
    ) -> tuple[Mapping[str, Any], str, Any, str] | None:
        """Returns (plain config, identity text, canonical config, data digest), or None with issues."""
        spec = self._spec
        config = self.said(applied, issues)
        config = config if issues else guarded(lambda: spec.canonical(config), issues)
        digest = "" if issues else guarded(lambda: spec.data_digest(config), issues)
        if issues:
            return None
        try:
            plain, identity = self._writer.write(config)
        except ValueError as fault:
            issues.append(
                Issue(path=(), code="bad-value", message=f"the canonical config is not plain: {fault}")
            )
            return None
        return plain, identity, config, digest

    def said(self, applied: Sequence[Patch], issues: list[Issue]) -> Any:
        """Returns the config as it is said, not yet the canonical one; MISSING with issues."""
        recipe = None
        by_head: dict[str, list[Patch]] = {}
        if self._spec.recipes:
            recipe = self._tree.get(RECIPE)
        for patch in applied:
            if self._spec.recipes and patch.path == (RECIPE,):
                recipe = patch.value
            else:
                by_head.setdefault(patch.path[0], []).append(patch)
        recipe = recipe if isinstance(recipe, str | None) else str(recipe)
        base, base_issues = self._base(recipe)
        values = dict(base)
        for head, patches in by_head.items():
            key: tuple[int | str | None, ...] = (recipe, head, *[patch.uid for patch in patches])
            found = self._seen.get(key)
            if found is None:
                found = self._seen[key] = self._field(head, patches, recipe)
            values[head], faults = found
            if faults:
                issues += faults
        for head, faults in base_issues.items():
            if faults and head not in by_head:
                issues += faults
        for name in self._required:
            if name not in values:
                message = f"{name} must be given; it has no default"
                issues.append(Issue(path=(name,), code="missing-key", message=message))
        spec = self._spec
        if issues:
            # beside a key that does not exist, values may be wrong too
            known = {name: value for name, value in values.items() if name in self._fields}
            unbound = any(value is MISSING for value in known.values())
            if not unbound and all(name in known for name in self._required):
                construct(spec.config, known, issues)
            return MISSING
        return construct(spec.config, values, issues)

    def _field(self, head: str, patches: Sequence[Patch], recipe: Any) -> tuple[Any, list[Issue]]:
        issues: list[Issue] = []
        if head not in self._fields:
            more = (RECIPE,) if self._spec.recipes else ()
            return MISSING, [unknown_field(self._spec.config, head, (), more)]
        tree = {head: self._tree[head]} if head in self._tree else {}
        for patch in apply(tree, patches):
            dots = ".".join(patch.path)
            message = f"{dots} cannot be set: something above it is a single value, not a group of fields"
            issues.append(Issue(path=patch.path, code="unknown-path", message=message))
        if issues:
            return MISSING, issues
        said = recipe_of(self._spec, recipe, [])
        current = default_of(self._fields[head]) if said is MISSING else getattr(said, head)
        bound = bind_field(self._hints[head], tree[head], current, issues, (head,))
        return bound, issues
