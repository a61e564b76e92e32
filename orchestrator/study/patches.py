"""Which patches make a cell's config, in order: factors as written, overrides, `--set`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.model.study import Study
from orchestrator.study.combine import Picks, condition, fits
from orchestrator.study.config import Steps, put
from orchestrator.study.problems import dotted
from orchestrator.study.variants import VARIANT


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One value set at one path of the config.

    Attributes:
        uid: Distinguishes patches within a study.
        path: Path in the config.
        value: What is set.
        place: Path in the study document, for messages; empty for `--set`.
    """

    uid: int | str
    path: Steps
    value: Any
    place: tuple[str | int, ...]


class Patches:
    """The patches of a study, found once, picked for each cell."""

    def __init__(self, study: Study) -> None:
        """Takes the study whose levels, overrides and `--set` values they are."""
        design = study.design
        self._count = 0
        self._levels = [
            [
                self._make(level.patch, _level_place(study, factor.name, index, level.label))
                for index, level in enumerate(factor.levels)
            ]
            for factor in design.factors
        ]
        self._overrides = [
            (
                each.when.get(VARIANT),
                condition(
                    {name: labels for name, labels in each.when.items() if name != VARIANT}, design.factors
                ),
                self._make(each.patch, ("design", "overrides", index, "set")),
            )
            for index, each in enumerate(design.overrides)
        ]
        self.override_used = [False] * len(self._overrides)
        self._last = self._make(study.patches, ())

    def _make(self, patch: Mapping[str, Any], place: tuple[str | int, ...]) -> list[Patch]:
        found = []
        for path, value in patch.items():
            exact = (*place, path) if place else ()
            found.append(Patch(uid=self._count, path=tuple(path.split(".")), value=value, place=exact))
            self._count += 1
        return found

    def of(self, picks: Picks, variant: str | None) -> list[Patch]:
        """Returns the patches of one cell, in the order they apply."""
        found: list[Patch] = []
        for levels, pick in zip(self._levels, picks, strict=True):
            if pick >= 0:
                found += levels[pick]
        for index, (variants, wanted, patches) in enumerate(self._overrides):
            if (variants is None or variant in variants) and fits(picks, wanted):
                self.override_used[index] = True
                found += patches
        return found + self._last if self._last else found


def _level_place(study: Study, factor: str, index: int, label: str) -> tuple[str | int, ...]:
    at = ("design", "factors", factor, "levels")
    if dotted((*at, label)) in study.places and dotted((*at, "0")) not in study.places:
        return (*at, label)
    return (*at, index)


def apply(tree: dict[str, Any], patches: Sequence[Patch]) -> Iterator[Patch]:
    """Applies patches to a tree, in place, and yields those where a scalar stands in the way."""
    for patch in patches:
        if not put(tree, patch.path, patch.value):
            yield patch


def blame(
    path: Steps, message: str, patches: Sequence[Patch], config: Mapping[str, Any]
) -> tuple[str | int, ...]:
    """Returns the place in the document of what is most likely wrong; () stands for `--set`.

    What set that path, or a part above it, last; for a fault of a whole group what set the field that
    the message names, in a patch or in the config; else what touched the group last.

    Args:
        path: Path in the config.
        message: What is wrong.
        patches: The cell's patches, in order.
        config: The study's config.
    """
    above = [each for each in patches if each.path == path[: len(each.path)]]
    if above:
        return above[-1].place
    inside = [each for each in patches if each.path[: len(path)] == path]
    words = set(re.findall(r"\w+", message))
    for each in reversed(inside):
        if each.path[-1] in words:
            return each.place
    for steps in _leaves(config, ()):
        if len(steps) > len(path) and steps[: len(path)] == path and steps[-1] in words:
            return ("config", *steps)
    return inside[-1].place if inside else ("config", *path)


def _leaves(tree: Mapping[str, Any], above: Steps) -> Iterator[Steps]:
    for name, value in tree.items():
        yield (*above, name)
        if isinstance(value, Mapping):
            yield from _leaves(value, (*above, name))
