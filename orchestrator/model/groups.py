"""Nodes that a cluster's autoscaler may add: a driver must know of them, or it would never ask for one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.model.plan import Resources

_GROUP = re.compile(r"(\d+) *x *(.+)", re.IGNORECASE)
_PART = re.compile(r"(\d+(?:\.\d+)?) *(CPU|GPU|GB)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGroup:
    """Equal nodes.

    Attributes:
        count: How many there may be at once.
        each: What one of them has in all.
    """

    count: int
    each: Resources


def node_groups(text: str) -> tuple[NodeGroup, ...]:
    """Returns the groups of a text like "8 x 16 CPU + 64 GB, 4 x 8 CPU + 1 GPU + 32 GB".

    Raises:
        ValueError: It cannot be read; says which part, and how it is written.
    """
    return tuple(_group(part.strip()) for part in text.split(",") if part.strip())


def grown(living: Sequence[Resources], groups: Sequence[NodeGroup]) -> tuple[Resources, ...]:
    """Returns what each node of a cluster has once it has grown as far as it may.

    A living node with the CPUs and GPUs of a group counts as one of it; Ray keeps some memory for itself.
    """
    found = list(living)
    left = list(living)
    for group in groups:
        own = [node for node in left if (node.cpu, node.gpu) == (group.each.cpu, group.each.gpu)]
        for node in own[: group.count]:
            left.remove(node)
        found += [group.each] * max(0, group.count - len(own))
    return tuple(found)


def _group(text: str) -> NodeGroup:
    whole = _GROUP.fullmatch(text)
    parts = [_PART.fullmatch(part.strip()) for part in whole[2].split("+")] if whole else [None]
    found = {part[2].upper(): float(part[1]) for part in parts if part is not None}
    if whole is None or None in parts or len(found) != len(parts) or not found.get("CPU"):
        raise ValueError(
            f'got {text!r}, expected a number of nodes and what each has: "4 x 8 CPU + 1 GPU + 32 GB"'
        )
    return NodeGroup(
        count=int(whole[1]),
        each=Resources(cpu=found["CPU"], gpu=found.get("GPU", 0.0), memory_gb=found.get("GB", 0.0)),
    )
