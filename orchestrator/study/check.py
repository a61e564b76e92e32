"""What the parts of a study say of each other: names, labels, circles, designs.

Runs on the converted study, so that it holds for documents from any source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.model.study import Design, Evaluation, Factor, ResourceRule, Where
from orchestrator.study.combine import fits_somewhere, units_of
from orchestrator.study.convert import BASE_KEY
from orchestrator.study.problems import Path, Problems
from orchestrator.study.text import RESERVED_DIMENSIONS, RESERVED_EVALUATIONS, listed, unknown
from orchestrator.study.variants import VARIANT, every_variant, labels, variant_fits


def check(
    design: Design,
    evaluations: Sequence[Evaluation],
    resources: Sequence[ResourceRule],
    problems: Problems,
) -> None:
    """Notes everything that is wrong between the parts of a study."""
    before = len(problems)
    _factors(design, problems)
    _zip(design, problems)
    if len(problems) == before:
        _circles(design, problems)
    _base(design, problems)
    known = {each.name: tuple(level.label for level in each.levels) for each in design.factors}
    sound = len(problems) == before
    if sound and design.type != "factorial":
        known[VARIANT] = labels(design)
    for index, where in enumerate(design.exclude):
        at = ("design", "exclude", index)
        if _where(where, known, at, problems) and sound and not _fits_any(design, where):
            message = "this exclude fits no cell; mend its labels or drop it"
            problems.add(at, "fits-nothing", message)
    for index, override in enumerate(design.overrides):
        _where(override.when, known, ("design", "overrides", index, "when"), problems)
    for index, rule in enumerate(resources):
        _where(rule.when, known, ("resources", index, "when"), problems)
    _evaluations(evaluations, design, known, problems)


def _where(where: Where, known: Mapping[str, Sequence[str]], path: Path, problems: Problems) -> bool:
    """Notes factors and labels that do not exist; returns whether all do."""
    before = len(problems)
    for name, wanted in where.items():
        if name not in known:
            problems.add((*path, name), "unknown-factor", unknown("factor", name, known), key=True)
            continue
        for label in wanted:
            if label not in known[name]:
                message = f"{name}: {unknown('label', label, known[name])}"
                problems.add((*path, name), "unknown-label", message)
    return len(problems) == before


def _fits_any(design: Design, where: Where) -> bool:
    if design.type == "factorial":
        return fits_somewhere(design.factors, design.zip, where)
    return any(variant_fits(design, label, picks, where) for label, picks in every_variant(design))


# --- design -------------------------------------------------------------------------------------------


def _factors(design: Design, problems: Problems) -> None:
    if not design.factors and len(problems) == 0:
        problems.add(
            ("design", "factors"), "no-values", "the design has no factors; name at least one", key=True
        )
    known = {each.name: tuple(level.label for level in each.levels) for each in design.factors}
    for factor in design.factors:
        at = ("design", "factors", factor.name)
        _reserved(factor.name, at, problems)
        if factor.name in factor.when:
            problems.add(
                (*at, "when"), "when-circle", f"when goes in a circle: {factor.name} -> {factor.name}"
            )
        _where(factor.when, known, (*at, "when"), problems)


def _reserved(name: str, path: Path, problems: Problems) -> None:
    if name in RESERVED_DIMENSIONS:
        message = f"{name!r} is reserved ({listed(sorted(RESERVED_DIMENSIONS))}); choose another name"
        problems.add(path, "reserved-name", message, key=True)


def _circles(design: Design, problems: Problems) -> None:
    try:
        units_of(design.factors, design.zip)
    except ValueError as circle:
        first = str(circle).split(" -> ", 1)[0].split("+", 1)[0]
        message = f"when goes in a circle: {circle}"
        problems.add(("design", "factors", first, "when"), "when-circle", message)


def _zip(design: Design, problems: Problems) -> None:
    levels = {factor.name: len(factor.levels) for factor in design.factors}
    used: dict[str, int] = {}
    for index, group in enumerate(design.zip):
        at = ("design", "zip", index)
        if design.type == "list":
            problems.add(at, "conflict", "zip has no meaning in a list of cells; drop it")
            return
        strangers = [name for name in group if name not in levels]
        for name in strangers:
            problems.add(at, "unknown-factor", unknown("factor", name, levels))
        if len(set(group)) < 2:
            problems.add(at, "bad-value", "zip takes two factors at least that move together")
        for name in set(group):
            if name in used:
                problems.add(at, "conflict", f"factor {name!r} is zipped twice; join the two lists")
            used[name] = index
        counts = {name: levels[name] for name in group if name in levels}
        if len(set(counts.values())) > 1:
            text = ", ".join(f"{name} has {number}" for name, number in counts.items())
            problems.add(at, "zip-lengths", f"zipped factors need equally many levels; {text}")


def _base(design: Design, problems: Problems) -> None:
    """Checks the key that belongs to the design's type."""
    known = {each.name: tuple(level.label for level in each.levels) for each in design.factors}
    for where in design.exclude:
        if not where:
            problems.add(("design", "exclude"), "no-values", "an exclude names at least one factor", key=True)
    if design.type == "factorial":
        return
    key = BASE_KEY[design.type]
    at = ("design", key)
    if design.type == "list":
        if not design.cells:
            problems.add(at, "missing-key", "a list design needs cells: {LABEL: {factor: label}}", key=True)
        for label, cell in design.cells.items():
            _where({name: (each,) for name, each in cell.items()}, known, (*at, label), problems)
            for factor in design.factors:
                if factor.name in cell and any(
                    cell.get(name) not in set(wanted) for name, wanted in factor.when.items()
                ):
                    message = (
                        f"factor {factor.name!r} does not exist in cell {label!r}: its when does not hold"
                    )
                    problems.add((*at, label, factor.name), "conflict", message, key=True)
        return
    if not design.base:
        problems.add(
            at, "missing-key", f"{design.type} needs {key}: {{factor: label}} for every factor", key=True
        )
        return
    _where({name: (each,) for name, each in design.base.items()}, known, at, problems)
    missing = [name for name in known if name not in design.base]
    if missing:
        problems.add(
            at,
            "missing-key",
            f"{key} must give a label for every factor; missing: {listed(missing)}",
            key=True,
        )
    if design.type == "leave_one_out":
        for factor in design.factors:
            if len(factor.levels) not in (0, 2):
                got = f"{factor.name!r} has {len(factor.levels)}"
                message = f"leave_one_out needs two levels a factor (on and off); {got}"
                problems.add(("design", "factors", factor.name, "levels"), "bad-value", message)
    for index, group in enumerate(design.zip):
        chosen = {
            next((i for i, label in enumerate(known[name]) if label == design.base.get(name)), None)
            for name in group
            if name in known
        }
        if len(chosen) > 1:
            message = f"zipped factors move together: {key} must take the same position in each"
            problems.add(("design", "zip", index), "conflict", message)


# --- evaluations --------------------------------------------------------------------------------------


def _evaluations(
    evaluations: Sequence[Evaluation],
    design: Design,
    known: Mapping[str, Sequence[str]],
    problems: Problems,
) -> None:
    factors = {factor.name: factor for factor in design.factors}
    dimensions = set(factors) | {factor.name for each in evaluations for factor in each.vary}
    otherwise: dict[str, tuple[str, str]] = {}
    for evaluation in evaluations:
        at = ("evaluate", evaluation.name)
        if evaluation.name in RESERVED_EVALUATIONS:
            message = (
                f"{evaluation.name!r} is part of every training and cannot be asked for; choose another name"
            )
            problems.add(at, "reserved-name", message, key=True)
        _where(evaluation.when, known, (*at, "when"), problems)
        for factor in evaluation.vary:
            _vary(factor, evaluation, factors, otherwise, problems)
        _vary_whens(evaluation, known, problems)
        _gather(evaluation, factors, dimensions, problems)


def _vary(
    factor: Factor,
    evaluation: Evaluation,
    factors: Mapping[str, Factor],
    otherwise: dict[str, tuple[str, str]],
    problems: Problems,
) -> None:
    at = ("evaluate", evaluation.name, "vary", factor.name)
    _reserved(factor.name, at, problems)
    if factor.otherwise is None:
        return
    if factor.name in factors:
        message = f"{factor.name!r} is a factor of the design, so its otherwise is said there; drop it here"
        problems.add((*at, "otherwise"), "conflict", message)
        return
    first, by = otherwise.setdefault(factor.name, (factor.otherwise, evaluation.name))
    if first != factor.otherwise:
        message = f"{factor.name!r} is one dimension with one otherwise; {by!r} says {first!r}"
        problems.add((*at, "otherwise"), "conflict", message)


def _vary_whens(evaluation: Evaluation, known: Mapping[str, Sequence[str]], problems: Problems) -> None:
    own = {each.name: tuple(level.label for level in each.levels) for each in evaluation.vary}
    before = len(problems)
    for factor in evaluation.vary:
        at = ("evaluate", evaluation.name, "vary", factor.name, "when")
        # a test-time factor may name factors of the cell and its neighbours; those come first
        _where(factor.when, {**known, **own}, at, problems)
    if len(problems) == before:
        try:
            units_of(evaluation.vary, ())
        except ValueError as circle:
            problems.add(
                ("evaluate", evaluation.name, "vary"), "when-circle", f"when goes in a circle: {circle}"
            )


def _gather(
    evaluation: Evaluation,
    factors: Mapping[str, Factor],
    dimensions: set[str],
    problems: Problems,
) -> None:
    at = ("evaluate", evaluation.name)
    for name in evaluation.labels:
        if name not in dimensions:
            problems.add(
                (*at, "as", name), "unknown-factor", unknown("dimension", name, dimensions), key=True
            )
    if evaluation.gather is None:
        return
    if evaluation.gather not in factors:
        problems.add((*at, "gather"), "unknown-factor", unknown("factor", evaluation.gather, factors))
    elif evaluation.gather not in evaluation.labels:
        name = evaluation.gather
        message = f"a gather joins all levels of {name!r}; say its label: as: {{{name}: LABEL}}"
        problems.add((*at, "gather"), "missing-key", message)
