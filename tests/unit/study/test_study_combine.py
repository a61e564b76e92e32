"""Expansion and counting against a brute-force reference."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model.study import Design, Factor, Level, Where
from orchestrator.study.combine import ABSENT_LEVEL, count, fits_somewhere, product, tangles, units_of


def factor(name: str, levels: int, when: Where | None = None) -> Factor:
    made = tuple(Level(label=f"{name}{i}", patch={name: i}) for i in range(levels))
    return Factor(name=name, levels=made, when=when or {})


def reference(factors: list[Factor], groups: list[list[str]], exclude: list[Where]) -> list[tuple[int, ...]]:
    """Every tuple of level or absent, kept when each rule of the language holds of it."""

    def fits(picks: tuple[int, ...], where: Where) -> bool:
        labels = {f.name: f.levels[i].label for f, i in zip(factors, picks, strict=True) if i != ABSENT_LEVEL}
        return all(labels.get(name) in wanted for name, wanted in where.items())

    found = []
    for picks in itertools.product(*[range(ABSENT_LEVEL, len(f.levels)) for f in factors]):
        exists = [fits(picks, f.when) for f in factors]
        if any((pick != ABSENT_LEVEL) != there for pick, there in zip(picks, exists, strict=True)):
            continue
        position = {f.name: pick for f, pick in zip(factors, picks, strict=True)}
        moved = [{position[n] for n in group if position[n] != ABSENT_LEVEL} for group in groups]
        if any(len(each) > 1 for each in moved) or any(fits(picks, where) for where in exclude):
            continue
        found.append(picks)
    return sorted(found)


@st.composite
def designs(draw: st.DrawFn) -> tuple[list[Factor], list[list[str]], list[Where]]:
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    names = [chr(ord("a") + i) for i in range(len(sizes))]

    def where(of: list[int]) -> Where:
        found: dict[str, tuple[str, ...]] = {}
        for i in draw(st.lists(st.sampled_from(of), max_size=2, unique=True)) if of else []:
            picked = draw(st.lists(st.integers(0, sizes[i] - 1), min_size=1, max_size=sizes[i], unique=True))
            found[names[i]] = tuple(f"{names[i]}{j}" for j in picked)
        return found

    # a factor's when names factors before it in some order, which need not be the order written
    order = draw(st.permutations(range(len(sizes))))
    group: list[str] = []
    if len(sizes) >= 2 and draw(st.booleans()):
        members = list(order[:2])
        sizes[members[1]] = sizes[members[0]]
        group = [names[i] for i in members]
    factors: list[Factor] = [factor("x", 1)] * len(sizes)
    for place, i in enumerate(order):
        before = [] if names[i] in group else list(order[:place])
        factors[i] = factor(names[i], sizes[i], where(before))
    exclude = [w for w in (where(list(range(len(sizes)))) for _ in range(draw(st.integers(0, 2)))) if w]
    return factors, [group] if group else [], exclude


@settings(max_examples=300, deadline=None)
@given(designs())
def test_product_equals_the_brute_force(made: tuple[list[Factor], list[list[str]], list[Where]]) -> None:
    factors, groups, exclude = made
    expected = reference(factors, groups, exclude)
    assert product(factors, groups, exclude) == expected
    design = Design(
        type="factorial", factors=tuple(factors), zip=tuple(map(tuple, groups)), exclude=tuple(exclude)
    )
    assert count(design) == len(expected)
    assert count(design, effort=2) >= len(expected)
    unrestricted = reference(factors, groups, [])
    for where in exclude:
        fitting = set(unrestricted) - set(reference(factors, groups, [where]))
        assert fits_somewhere(factors, groups, where) == bool(fitting)


def test_independent_factors_are_counted_by_product() -> None:
    factors = tuple(factor(name, 10) for name in "abcdefghi")
    began = time.process_time()
    assert count(Design(type="factorial", factors=factors)) == 10**9
    tied = Design(type="factorial", factors=factors, exclude=({name: (f"{name}0",) for name in "abcdefghi"},))
    assert count(tied) == 10**9  # bounded from above: one is left out
    assert time.process_time() - began < 1
    assert len(tangles(tied)) == 1


def test_a_circle_is_named_and_what_waits_on_it_is_not() -> None:
    factors = [
        factor("a", 2, {"b": ("b0",)}),
        factor("b", 2, {"c": ("c0",)}),
        factor("c", 2, {"b": ("b1",)}),
    ]
    with pytest.raises(ValueError, match=r"^b -> c -> b$"):
        units_of(factors, [])


def test_nested_factors_multiply_only_where_they_exist() -> None:
    factors = [factor("s", 2), factor("c", 8, {"s": ("s0",)}), factor("e", 2, {"s": ("s1",)})]
    assert count(Design(type="factorial", factors=tuple(factors))) == 8 + 2
