"""The eight component networks by name: letter i is the choice in group i, L shallow, R deep. Torch-free.

Source: Zhao et al. 2016, Figure 1(c) and Table 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

Path: TypeAlias = Literal["LLL", "RLL", "LRL", "LLR", "RRL", "RLR", "LRR", "RRR"]
# In the order of Tables 1 to 3.
PATHS: tuple[Path, ...] = ("LLL", "RLL", "LRL", "LLR", "RRL", "RLR", "LRR", "RRR")
DEEPEST: Path = "RRR"


def group_layers(path: str, depth: int) -> tuple[int, int, int]:
    """Returns the convolutions of each group along a path of the net of this depth."""
    deep = (depth - 2) // 3
    first, second, third = (deep if letter == "R" else 1 for letter in path)
    return first, second, third


def in_order(members: Iterable[str]) -> tuple[Path, ...]:
    """Returns the paths among `members` in the order of the paper's tables, each once."""
    wanted = set(members)
    return tuple(path for path in PATHS if path in wanted)
