"""The three designs beside the factorial: a label for each cell and the levels it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.model.study import Design, Where
from orchestrator.study.combine import ABSENT_LEVEL, Picks, condition, fits, product, units_of

VARIANT = "variant"


def combinations(design: Design) -> list[tuple[str | None, Picks]]:
    """Returns the variant's label (None in a factorial) and the picks of every cell, in order."""
    if design.type == "factorial":
        found = product(design.factors, design.zip, design.exclude)
        assert found is not None
        return [(None, picks) for picks in found]
    return [
        (label, picks)
        for label, picks in every_variant(design)
        if not any(variant_fits(design, label, picks, each) for each in design.exclude)
    ]


def variant_fits(design: Design, label: str, picks: Picks, where: Where) -> bool:
    """Returns whether a selection over factors and `variant` fits one of the variants."""
    if label not in where.get(VARIANT, (label,)):
        return False
    others = {name: labels for name, labels in where.items() if name != VARIANT}
    return fits(picks, condition(others, design.factors))


def every_variant(design: Design) -> Iterator[tuple[str, Picks]]:
    """Yields (label, picks) of a design that is not factorial, nothing excluded."""
    if design.type == "list":
        for label, cell in design.cells.items():
            yield label, _existing(design, [_index(design, i, cell) for i in range(len(design.factors))])
        return
    base = [_index(design, i, design.base) for i in range(len(design.factors))]
    yield ("baseline" if design.type == "one_at_a_time" else "all"), _existing(design, base)
    for unit in sorted(units_of(design.factors, design.zip)):
        for level in range(len(design.factors[unit[0]].levels)):
            if level == base[unit[0]]:
                continue
            picks = list(base)
            for each in unit:
                picks[each] = level
            existing = _existing(design, picks)
            moved = [each for each in unit if existing[each] != ABSENT_LEVEL]
            if moved:  # a factor that does not exist there cannot vary there
                yield _label(design, moved, level), existing


def _label(design: Design, moved: Sequence[int], level: int) -> str:
    names = [design.factors[each].name for each in moved]
    if design.type == "leave_one_out":
        return "w/o " + " + ".join(names)
    return " + ".join(
        f"{name}={design.factors[each].levels[level].label}" for name, each in zip(names, moved, strict=True)
    )


def _index(design: Design, position: int, chosen: Mapping[str, str]) -> int:
    factor = design.factors[position]
    label = chosen.get(factor.name)
    return next((i for i, level in enumerate(factor.levels) if level.label == label), ABSENT_LEVEL)


def _existing(design: Design, picks: Sequence[int]) -> Picks:
    """Returns the picks with those factors absent whose `when` does not hold."""
    found = list(picks)
    for unit in units_of(design.factors, design.zip):
        for each in unit:
            if not fits(found, condition(design.factors[each].when, design.factors)):
                found[each] = ABSENT_LEVEL
    return tuple(found)


def labels(design: Design) -> tuple[str, ...]:
    """Returns the labels of the dimension `variant`; none for a factorial."""
    if design.type == "factorial":
        return ()
    return tuple(dict.fromkeys(label for label, _ in every_variant(design)))
