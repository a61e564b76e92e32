"""What a reader of a plan should know: shared trainings, effects that cannot be told apart."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.model.study import Study
from orchestrator.study.expand import BoundCell

_SHOWN = 3


def zip_notes(study: Study) -> list[str]:
    """Returns a note for each group of factors that move together."""
    return [
        f"factors {' and '.join(group)} are zipped: their effects cannot be told apart"
        for group in study.design.zip
    ]


def shared_notes(cells: Sequence[BoundCell]) -> list[str]:
    """Returns notes on cells whose canonical configs are equal: they are trained once."""
    same: dict[tuple[str, str], list[str]] = {}
    for each in cells:
        same.setdefault((each.identity, each.digest), []).append(each.cell.name)
    shared = [names for names in same.values() if len(names) > 1]
    notes = []
    for names in shared[:_SHOWN]:
        listed = " and ".join(names[:_SHOWN]) + (
            f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        )
        notes.append(f"{len(names)} cells are the same computation and share one training a seed: {listed}")
    if len(shared) > _SHOWN:
        notes.append(f"{len(shared) - _SHOWN} more groups of cells share trainings")
    return notes
