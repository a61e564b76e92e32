"""Fused trainings that are continued: all from the same step, or apart.

Trainings that are computed as one are saved one after another, and a machine may die in between. Each
checkpoint of a round has the round's mark, and the newest mark that all have is where all go on: so the bits
are those of a group that nothing disturbed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.errors import CorruptError
from orchestrator.execution.effort import Effort
from orchestrator.execution.history import History
from orchestrator.model.run import CheckpointRef
from orchestrator.ports import CheckpointStore


def abreast(efforts: Sequence[Effort], store: CheckpointStore) -> list[list[Effort]]:
    """Returns the trainings that are not over, those that go on together in one list, and notes who does.

    Args:
        efforts: Of one bundle's fused trainings, each set to continue from its newest whole checkpoint.
        store: Where checkpoints are.
    """
    efforts = [effort for effort in efforts if not effort.over]
    if len({_mark(effort) for effort in efforts}) > 1:
        _align(efforts, store)
    found: dict[str, list[Effort]] = {}
    for effort in efforts:
        # written by itself: nothing says that another's is of the same step
        alone = effort.resume is not None and not effort.history.mark
        found.setdefault(effort.key if alone else _mark(effort), []).append(effort)
    for together in found.values():
        for effort in together if len(together) > 1 else ():
            effort.notes["fused"] = [each.claim.trial.seed for each in together]
    return list(found.values())


def _mark(effort: Effort) -> str:
    return effort.history.mark if effort.resume is not None else ""


def _align(efforts: Sequence[Effort], store: CheckpointStore) -> None:
    """Sets all back to where all have been, if there is such a place near enough."""
    earlier = [_earlier(effort, store) for effort in efforts]
    goal = _goal(
        [
            [_mark(effort), *marks] if effort.resume is not None else []
            for effort, marks in zip(efforts, earlier, strict=True)
        ]
    )
    for effort, marks in zip(efforts, earlier, strict=True):
        checkpoint, folder = marks.get(goal or "", (None, None))
        if goal is not None and _mark(effort) != goal:
            _back(effort, store, checkpoint, folder)
        for _, other in marks.values():
            if other != effort.resume:
                store.done(other)


def _goal(marks: Sequence[Sequence[str]]) -> str | None:
    """Returns the mark that all go back to, "" for the start; None where each goes on from where it is.

    Args:
        marks: Of each training's checkpoints, the newest first.
    """
    for mark in marks[0]:
        if mark and all(mark in others for others in marks):
            return mark
    first_saves = any(not others for others in marks) and all(len(others) <= 1 for others in marks)
    return "" if first_saves else None


def _earlier(effort: Effort, store: CheckpointStore) -> dict[str, tuple[CheckpointRef, Path]]:
    """Returns the marks of a training's earlier whole checkpoints, the newest first."""
    found: dict[str, tuple[CheckpointRef, Path]] = {}
    for checkpoint in effort.claim.older:
        try:
            folder = store.open(checkpoint)
        except (CorruptError, OSError):
            continue
        try:
            found[History.read(folder).mark] = checkpoint, folder
        except (OSError, ValueError, KeyError, TypeError):
            store.done(folder)
    return found


def _back(
    effort: Effort, store: CheckpointStore, checkpoint: CheckpointRef | None, folder: Path | None
) -> None:
    """Sets a training to continue from an earlier checkpoint, or from the start."""
    if effort.resume is None:
        return
    store.done(effort.resume)
    effort.resume = folder
    effort.history = History.read(folder) if folder is not None else History()
    effort.claim = replace(effort.claim, resume=checkpoint, older=())
    effort.notes.pop("resumed_at_step", None)
    if checkpoint is not None:
        effort.notes["resumed_at_step"] = checkpoint.step
    where = f"step {checkpoint.step}" if checkpoint is not None else "the start"
    effort.notes["restarted"] = (
        f"not all seeds of its group have its newest checkpoint; all went on from {where}"
    )
