"""Run order: seeded random, the first seed of every cell first.

The order follows a hash of study and trial, so that it is the same on every machine, and a study
that grows keeps the order of what it had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from orchestrator.model.plan import TrialKey


def run_order(
    study: str,
    trainings: Mapping[TrialKey, int],
    groups: Mapping[TrialKey, str],
    parents: Mapping[TrialKey, Sequence[TrialKey]],
) -> list[TrialKey]:
    """Returns all trials in the order to run them.

    Args:
        study: The study's name, which seeds the order.
        trainings: Training -> position of its seed.
        groups: Training -> fused group; a group runs where its first member stands.
        parents: Evaluation -> trainings it reads; it follows the last of them.
    """
    leader: dict[str, TrialKey] = {}
    for key in trainings:
        if key in groups:
            leader.setdefault(groups[key], key)

    def place(key: TrialKey) -> tuple[int, bytes, int]:
        first = leader[groups[key]] if key in groups else key
        shuffled = hashlib.blake2b(f"{study}\n{first}".encode(), digest_size=8).digest()
        return trainings[first], shuffled, trainings[key]

    waiting: dict[TrialKey, list[TrialKey]] = {}
    missing: dict[TrialKey, int] = {}
    for key, needed in parents.items():
        distinct = set(needed)
        missing[key] = len(distinct)
        for parent in distinct:
            waiting.setdefault(parent, []).append(key)
    ordered: list[TrialKey] = []
    for key in sorted(trainings, key=place):
        ordered.append(key)
        for child in waiting.get(key, ()):
            missing[child] -= 1
            if not missing[child]:
                ordered.append(child)
    return ordered
