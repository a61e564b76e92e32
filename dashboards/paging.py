"""Long lists, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Which part of a list is shown.

    Attributes:
        number: From 1; of: how many there are.
        first: Index of the first line; after: of the first that is not shown; total: of lines.
    """

    number: int
    of: int
    first: int
    after: int
    total: int


def paged(total: int, size: int, asked: int) -> Pages:
    """Returns the part of a list that a page shows; pages beyond the last show the last."""
    of = max(1, -(-total // size))
    number = min(max(1, asked), of)
    return Pages(
        number=number, of=of, first=(number - 1) * size, after=min(total, number * size), total=total
    )
