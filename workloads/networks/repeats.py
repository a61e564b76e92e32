"""Equal parts of a network in a row, found and folded into one.

A scope is a module's path. Numbered scopes with the same beginning, such as units.3 and units.4, are a row
where one reads what the one before it made, and all have the same parts joined in the same way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from workloads.drawing.diagram import Kind

# the parts drawn, with how often each stands in a row; edges; (parts framed, how often)
Folded: TypeAlias = tuple[
    list[tuple["Part", int]], tuple[tuple[int, int], ...], list[tuple[tuple[int, ...], int]]
]
# Two equal layers in a row are drawn as two.
_PILE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing to be drawn.

    Attributes:
        kind: Its form.
        label: Its text.
        sources: Positions of the parts that it reads, all earlier.
        scope: Path of the module that it is, or that it is a part of.
        channels: Of its output, or None where nothing says.
    """

    kind: Kind
    label: str
    sources: tuple[int, ...]
    scope: str
    channels: int | None = None

    def reading(self, sources: tuple[int, ...]) -> Part:
        """Returns the same part with other sources."""
        return replace(self, sources=sources)


def folded(parts: Sequence[Part]) -> Folded:
    """Returns the parts with every row drawn once.

    Args:
        parts: All parts, every one after those that it reads.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, part in enumerate(parts):
        for numbered in _numbered(part.scope):
            members[numbered].append(index)
    first = list(range(len(parts)))  # part -> the one that stands for it
    repeats = [1] * len(parts)
    frames: list[tuple[list[int], int]] = []
    for row in _rows(members, parts):
        joined = _joined(members[row[0]], parts)
        if not joined and len(row) < _PILE:
            continue
        for scope in row[1:]:
            for here, there in zip(members[scope], members[row[0]], strict=True):
                first[here] = there
        if joined:
            frames.append((members[row[0]], len(row)))
        else:
            for index in members[row[0]]:
                repeats[index] *= len(row)
    framed = {tuple(nodes) for nodes, _ in frames}
    frames += [(nodes, 1) for nodes in _units(members, parts) if tuple(nodes) not in framed]

    def root(index: int) -> int:
        while first[index] != index:
            index = first[index]
        return index

    kept = [index for index in range(len(parts)) if root(index) == index]
    number = {index: position for position, index in enumerate(kept)}
    edges = {
        (number[root(source)], number[root(index)])
        for index, part in enumerate(parts)
        for source in part.sources
    }
    drawn = [(parts[index], repeats[index]) for index in kept]
    shown = [
        (tuple(number[each] for each in nodes if each in number), repeat)
        for nodes, repeat in frames
        if nodes[0] in number
    ]
    # what leads back is the way from one part of a row to the next
    return drawn, tuple(sorted((a, b) for a, b in edges if a < b)), shown


def _numbered(scope: str) -> Iterator[str]:
    """Yields the beginnings of a path that end in a number."""
    steps = scope.split(".")
    for end in range(1, len(steps) + 1):
        if steps[end - 1].isdigit():
            yield ".".join(steps[:end])


def _rows(members: dict[str, list[int]], parts: Sequence[Part]) -> Iterator[list[str]]:
    """Yields the scopes of each row, two at least."""
    siblings: dict[str, list[int]] = defaultdict(list)
    for scope in members:
        beginning, _, end = scope.rpartition(".")
        siblings[beginning].append(int(end))
    for parent, numbers in siblings.items():
        row: list[str] = []
        for number in sorted(numbers):
            scope = f"{parent}.{number}" if parent else str(number)
            if row and _follows(members[row[-1]], members[scope], parts):
                row.append(scope)
                continue
            if len(row) > 1:
                yield row
            row = [scope]
        if len(row) > 1:
            yield row


def _follows(before: Sequence[int], here: Sequence[int], parts: Sequence[Part]) -> bool:
    reads = {source for index in here for source in parts[index].sources}
    return bool(reads & set(before)) and _signature(before, parts) == _signature(here, parts)


def _signature(nodes: Sequence[int], parts: Sequence[Part]) -> tuple[object, ...]:
    """Returns what two scopes have in common if they are drawn alike."""
    number = {index: position for position, index in enumerate(nodes)}
    return tuple(
        (parts[index].label, tuple(number.get(source, -1) for source in parts[index].sources))
        for index in nodes
    )


def _joined(nodes: Sequence[int], parts: Sequence[Part]) -> bool:
    inside = set(nodes)
    return any(inside.intersection(parts[index].sources) for index in nodes)


def _units(members: dict[str, list[int]], parts: Sequence[Part]) -> list[list[int]]:
    """Returns the smallest numbered scopes in which lines meet."""
    meeting = {scope for scope, nodes in members.items() if any(parts[i].kind == "sum" for i in nodes)}
    return [
        members[scope] for scope in meeting if not any(other.startswith(f"{scope}.") for other in meeting)
    ]
