"""Places for the nodes of a graph in rows from top to bottom.

Source: Sugiyama, Tagawa and Toda 1981 in outline: rows, order in rows by barycentres, then places; the places
of a row are the least-squares ones that keep their distance (isotonic regression by pooling adjacent
violators, Ayer et al. 1955).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_SWEEPS: Final = 24
# How much more an edge between two nodes is kept straight than one that passes by others.
_STRAIGHT: Final = 40.0
# Pull of the middle on nodes that every way goes through: they stand in one line.
_MIDDLE: Final = 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where everything is.

    Attributes:
        rows: Row of each node.
        xs: Horizontal centre of each node.
        routes: For each edge, the horizontal places where it passes the rows between its ends.
    """

    rows: tuple[int, ...]
    xs: tuple[float, ...]
    routes: tuple[tuple[float, ...], ...]


def place(widths: Sequence[float], edges: Sequence[tuple[int, int]], *, gap: float, lane: float) -> Layout:
    """Returns places in which no two nodes of a row come closer than the gap.

    Args:
        widths: Width of each node.
        edges: Pairs of nodes; every edge leads to a later one.
        gap: Least distance between neighbours in a row.
        lane: Width of the room that an edge has when it passes a row.
    """
    rows = _rows(len(widths), edges)
    sizes = list(widths)
    at_row: list[list[int]] = [[] for _ in range(max(rows, default=0) + 1)]
    for node, row in enumerate(rows):
        at_row[row].append(node)
    links: list[tuple[int, int, float]] = []
    lanes: list[list[int]] = []
    for source, target in edges:
        passing = []
        last = source
        for row in range(rows[source] + 1, rows[target]):
            passing.append(len(sizes))
            at_row[row].append(len(sizes))
            sizes.append(lane)
            links.append((last, passing[-1], 1.0))
            last = passing[-1]
        links.append((last, target, 1.0 if passing else _STRAIGHT))
        lanes.append(passing)
    ordered = _ordered(at_row, links, len(sizes))
    middle = _passed_by_all(len(widths), edges)
    xs = _places(ordered, links, sizes, gap, middle)
    return Layout(
        rows=tuple(rows),
        xs=tuple(xs[: len(widths)]),
        routes=tuple(tuple(xs[each] for each in passing) for passing in lanes),
    )


def crossings(rows: Sequence[Sequence[int]], links: Sequence[tuple[int, int, float]]) -> int:
    """Returns how often links between neighbouring rows cross."""
    position = {node: index for row in rows for index, node in enumerate(row)}
    row_of = {node: index for index, row in enumerate(rows) for node in row}
    count = 0
    for row in range(len(rows)):
        pairs = sorted((position[a], position[b]) for a, b, _ in links if row_of[a] == row)
        count += sum(
            first[0] < second[0] and first[1] > second[1]
            for index, first in enumerate(pairs)
            for second in pairs[index + 1 :]
        )
    return count


def _rows(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Returns the row of each node: below all that lead to it, and midway where there is room."""
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        before[target].append(source)
        after[source].append(target)
    rows = [0] * count
    for node in range(count):
        rows[node] = max((rows[each] + 1 for each in before[node]), default=0)
    for node in reversed(range(count)):
        if after[node] and before[node]:
            room = min(rows[each] for each in after[node]) - 1 - rows[node]
            rows[node] += (room + 1) // 2
    return rows


def _passed_by_all(count: int, edges: Sequence[tuple[int, int]]) -> set[int]:
    """Returns the nodes that are on every way from a first node to a last one."""
    into, out = [0] * count, [0] * count
    for _, target in edges:
        into[target] += 1
    for source, _ in edges:
        out[source] += 1
    reach = [int(not each) for each in into]  # ways from first nodes
    leave = [int(not each) for each in out]  # ways to last nodes
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        reach[target] += reach[source]
    for source, target in sorted(edges, reverse=True):
        leave[source] += leave[target]
    ways = sum(reach[node] for node in range(count) if not out[node])
    return {node for node in range(count) if reach[node] * leave[node] == ways}


def _neighbours(links: Sequence[tuple[int, int, float]], count: int) -> list[list[tuple[int, float, int]]]:
    """Returns for each node (neighbour, weight, -1 above or 1 below)."""
    found: list[list[tuple[int, float, int]]] = [[] for _ in range(count)]
    for source, target, weight in links:
        found[source].append((target, weight, 1))
        found[target].append((source, weight, -1))
    return found


def _ordered(rows: list[list[int]], links: Sequence[tuple[int, int, float]], count: int) -> list[list[int]]:
    """Returns the rows in the order with the fewest crossings that the sweeps meet."""
    near = _neighbours(links, count)
    best, fewest = [list(row) for row in rows], crossings(rows, links)
    current = [list(row) for row in rows]
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        side = -1 if sweep % 2 == 0 else 1
        position = {node: float(index) for row in current for index, node in enumerate(row)}
        for row in current if side == -1 else reversed(current):
            centres = {}
            for node in row:
                beside = [position[each] for each, _, where in near[node] if where == side]
                centres[node] = sum(beside) / len(beside) if beside else position[node]
            row.sort(key=lambda node: centres[node])
            position.update((node, float(index)) for index, node in enumerate(row))
        crossed = crossings(current, links)
        if crossed < fewest:
            best, fewest = [list(row) for row in current], crossed
    return best


def _places(
    rows: Sequence[Sequence[int]],
    links: Sequence[tuple[int, int, float]],
    sizes: Sequence[float],
    gap: float,
    middle: Collection[int],
) -> list[float]:
    near = _neighbours(links, len(sizes))
    xs = [0.0] * len(sizes)
    for row in rows:
        for node, x in zip(row, _apart([0.0] * len(row), [1.0] * len(row), row, sizes, gap), strict=True):
            xs[node] = x
    for sweep in range(4 * _SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted, weights = [], []
            for node in row:
                total = sum(weight for _, weight, _ in near[node]) + (_MIDDLE if node in middle else 0)
                mean = sum(weight * xs[each] for each, weight, _ in near[node])
                wanted.append(mean / total if total else xs[node])
                weights.append(total or 1.0)
            for node, x in zip(row, _apart(wanted, weights, row, sizes, gap), strict=True):
                xs[node] = x
    return xs


def _apart(
    wanted: Sequence[float],
    weights: Sequence[float],
    row: Sequence[int],
    sizes: Sequence[float],
    gap: float,
) -> list[float]:
    """Returns the places nearest to the wanted ones, in weighted squares, that keep neighbours apart."""
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + (sizes[left] + sizes[right]) / 2 + gap)
    # without the offsets the places only have to rise
    pools: list[tuple[float, float, int]] = []  # mean, weight, count
    for want, weight, offset in zip(wanted, weights, offsets, strict=False):
        pools.append((want - offset, weight, 1))
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (a, wa, na), (b, wb, nb) = pools[-2:]
            pools[-2:] = [((a * wa + b * wb) / (wa + wb), wa + wb, na + nb)]
    level = [mean for mean, _, count in pools for _ in range(count)]
    return [base + offset for base, offset in zip(level, offsets, strict=False)]
