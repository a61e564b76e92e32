"""Combinations of levels, as indexes: which levels of which factors make a cell.

A combination is a tuple with the index of each factor's level, in the order written, and ABSENT_LEVEL
for a factor that does not exist there. Nothing here knows configs or names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from orchestrator.model.study import Design, Factor, Where

ABSENT_LEVEL: Final = -1
Picks: TypeAlias = tuple[int, ...]
# position of a factor -> the level indexes that fit
Condition: TypeAlias = Sequence[tuple[int, frozenset[int]]]


def condition(where: Where, factors: Sequence[Factor]) -> Condition:
    """Returns a selection over factors in terms of positions; unknown factors never fit."""
    position = {factor.name: index for index, factor in enumerate(factors)}
    found = []
    for name, labels in where.items():
        index = position.get(name, -1)
        levels = factors[index].levels if index >= 0 else ()
        found.append((index, frozenset(i for i, level in enumerate(levels) if level.label in labels)))
    return found


def fits(picks: Sequence[int], wanted: Condition) -> bool:
    """Returns whether all parts of a condition hold; an absent factor never fits."""
    return all(index >= 0 and picks[index] in levels for index, levels in wanted)


def units_of(factors: Sequence[Factor], groups: Sequence[Sequence[str]]) -> list[tuple[int, ...]]:
    """Returns groups of factor positions that move together, ordered so that what `when` names comes first.

    Raises:
        ValueError: `when` goes in a circle; the message names it.
    """
    position = {factor.name: index for index, factor in enumerate(factors)}
    unit_of: dict[int, tuple[int, ...]] = {index: (index,) for index in range(len(factors))}
    for group in groups:
        members = tuple(sorted({position[name] for name in group if name in position}))
        unit_of.update(dict.fromkeys(members, members))
    needs = {
        unit: {
            unit_of[position[name]] for member in unit for name in factors[member].when if name in position
        }
        for unit in unit_of.values()
    }
    ordered: list[tuple[int, ...]] = []
    placed: set[tuple[int, ...]] = set()
    waiting = sorted(needs)
    while waiting:
        ready = next((unit for unit in waiting if needs[unit] <= placed), None)
        if ready is None:
            raise ValueError(_circle(waiting[0], needs, factors))
        ordered.append(ready)
        placed.add(ready)
        waiting.remove(ready)
    return ordered


def _circle(
    start: tuple[int, ...],
    needs: Mapping[tuple[int, ...], set[tuple[int, ...]]],
    factors: Sequence[Factor],
) -> str:
    """Returns "a -> b -> a": walks needs from a unit that waits until one comes again."""
    blocked = {unit for unit in needs if _reaches_itself(unit, needs)}
    unit = start if start in blocked else min(blocked)
    walked: list[tuple[int, ...]] = []
    while unit not in walked:
        walked.append(unit)
        unit = min(each for each in needs[unit] if each in blocked)
    circle = [*walked[walked.index(unit) :], unit]
    return " -> ".join("+".join(factors[index].name for index in each) for each in circle)


def _reaches_itself(unit: tuple[int, ...], needs: Mapping[tuple[int, ...], set[tuple[int, ...]]]) -> bool:
    seen: set[tuple[int, ...]] = set()
    ahead = list(needs[unit])
    while ahead:
        each = ahead.pop()
        if each == unit:
            return True
        if each not in seen:
            seen.add(each)
            ahead.extend(needs[each])
    return False


def product(
    factors: Sequence[Factor],
    groups: Sequence[Sequence[str]] = (),
    exclude: Sequence[Where] = (),
    *,
    only: frozenset[int] | None = None,
    limit: int | None = None,
) -> list[Picks] | None:
    """Returns every combination of a factorial design, in the order of the levels as written.

    Args:
        factors: The factors, in the order written.
        groups: Names of factors that move together.
        exclude: Selections that are left out.
        only: Positions of the factors to combine; the others stay absent. All unless said.
        limit: Give up, returning None, when more combinations than this would be held.
    """
    units = [unit for unit in units_of(factors, groups) if only is None or unit[0] in only]
    whens = [condition(factor.when, factors) for factor in factors]
    left_out = [
        (condition(each, factors), {index for index, _ in condition(each, factors)}) for each in exclude
    ]
    partial: list[Picks] = [(ABSENT_LEVEL,) * len(factors)]
    placed: set[int] = set()
    for unit in units:
        count = len(factors[unit[0]].levels)
        if limit is not None and len(partial) * count > limit:
            alive = sum(count if any(fits(picks, whens[each]) for each in unit) else 1 for picks in partial)
            if alive > limit:
                return None
        grown: list[Picks] = []
        for picks in partial:
            present = [each for each in unit if fits(picks, whens[each])]
            if not present:
                grown.append(picks)
                continue
            row = list(picks)
            for level in range(count):
                for each in present:
                    row[each] = level
                grown.append(tuple(row))
        placed.update(unit)
        # as soon as its factors are placed, so that what is left out never grows further
        due = [wanted for wanted, names in left_out if names <= placed and names & set(unit)]
        partial = [picks for picks in grown if not any(fits(picks, each) for each in due)] if due else grown
    if [unit[0] for unit in units] != sorted(unit[0] for unit in units):
        partial.sort()
    return partial


def fits_somewhere(factors: Sequence[Factor], groups: Sequence[Sequence[str]], where: Where) -> bool:
    """Returns whether any combination, nothing excluded, fits a selection."""
    wanted = condition(where, factors)
    named = {index for index, _ in wanted}
    related = frozenset(_closure(named, factors, groups))
    # a search over the related factors only, those of the selection held at the labels it names
    units = [unit for unit in units_of(factors, groups) if set(unit) & related]
    whens = [condition(factor.when, factors) for factor in factors]
    allowed = dict(wanted)
    picks = [ABSENT_LEVEL] * len(factors)

    def search(depth: int) -> bool:
        if depth == len(units):
            return fits(picks, wanted)
        unit = units[depth]
        present = [each for each in unit if fits(picks, whens[each])]
        if any(each in named and each not in present for each in unit):
            return False
        if not present:
            return search(depth + 1)
        for level in range(len(factors[unit[0]].levels)):
            if any(level not in allowed.get(each, {level}) for each in present):
                continue
            for each in present:
                picks[each] = level
            if search(depth + 1):
                return True
        for each in present:
            picks[each] = ABSENT_LEVEL
        return False

    return -1 not in named and search(0)


def _closure(named: set[int], factors: Sequence[Factor], groups: Sequence[Sequence[str]]) -> set[int]:
    position = {factor.name: index for index, factor in enumerate(factors)}
    found: set[int] = set()
    ahead = [index for index in named if index >= 0]
    while ahead:
        index = ahead.pop()
        if index in found:
            continue
        found.add(index)
        ahead.extend(position[name] for name in factors[index].when if name in position)
        for group in groups:
            if factors[index].name in group:
                ahead.extend(position[name] for name in group if name in position)
    return found


# --- counting without expanding -----------------------------------------------------------------------


def count(design: Design, *, effort: int = 100_000) -> int:
    """Returns the number of combinations without holding them; an upper bound in large tangles.

    Factors that no `when`, zip or exclude ties together are independent, so their numbers
    multiply; a tangle of more than `effort` combinations counts as the product of its levels.
    """
    factors = design.factors
    if design.type == "list":
        return len(design.cells)
    if design.type != "factorial":
        moving = units_of(factors, design.zip)
        return 1 + sum(len(factors[unit[0]].levels) - 1 for unit in moving)
    total = 1
    for tangle in tangles(design):
        combined = product(factors, design.zip, design.exclude, only=tangle, limit=effort)
        if combined is not None:
            total *= len(combined)
        else:
            units = [unit for unit in units_of(factors, design.zip) if unit[0] in tangle]
            total *= math.prod(len(factors[unit[0]].levels) for unit in units)
    return total


def tangles(design: Design) -> list[frozenset[int]]:
    """Returns groups of factor positions that are independent of each other."""
    position = {factor.name: index for index, factor in enumerate(design.factors)}
    ties: list[list[str]] = [[factor.name, *factor.when] for factor in design.factors]
    ties += [list(group) for group in design.zip] + [list(each) for each in design.exclude]
    group_of = {index: {index} for index in range(len(design.factors))}
    for names in ties:
        members = [position[name] for name in names if name in position]
        joined: set[int] = set().union(*(group_of[index] for index in members)) if members else set()
        group_of.update(dict.fromkeys(joined, joined))
    return sorted({frozenset(group) for group in group_of.values()}, key=min)
