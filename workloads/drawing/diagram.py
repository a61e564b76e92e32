"""What a drawing shows, before anything has a place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

# layer: a box with a label; sum: a circle with a symbol; end: a box without a frame
Kind: TypeAlias = Literal["layer", "sum", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One box or circle.

    Attributes:
        kind: Its form.
        label: Its text.
        shade: Which colour, 0 the first; what it stands for is in `Diagram.shades`. None for none.
        repeat: How often it stands in a row.
    """

    kind: Kind
    label: str
    shade: int | None = None
    repeat: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame around nodes.

    Attributes:
        nodes: Positions in `Diagram.nodes`.
        repeat: How often what is framed stands in a row.
    """

    nodes: tuple[int, ...]
    repeat: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """A graph without cycles, to be drawn from top to bottom.

    Attributes:
        title: First line.
        subtitle: Second line.
        nodes: In an order in which every edge leads to a later one.
        edges: Pairs of positions in `nodes`.
        frames: Frames; they may lie in one another, or apart.
        shades: What the colours stand for.
    """

    title: str
    subtitle: str
    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]
    frames: tuple[Frame, ...] = ()
    shades: tuple[str, ...] = ()
