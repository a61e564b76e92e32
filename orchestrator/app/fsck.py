"""`orch fsck`: whether what is recorded is there and whole, and what can be done where it is not.

Nothing here guesses: a part or a checkpoint is whole when its bytes have the recorded digest. A damaged
part's trials are queued again (a training goes on from its checkpoint, which holds its history, so that
nothing is trained anew); a damaged checkpoint is set aside and forgotten. A training that has none left keeps
its result, and is made again when an evaluation needs it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from orchestrator.app.session import Session
from orchestrator.errors import CorruptError, HeldError
from orchestrator.model.plan import State, TrialKey
from orchestrator.model.result import PartRef
from orchestrator.model.run import CheckpointRef
from orchestrator.ports import CheckpointStore, ResultStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing that is not as recorded.

    Attributes:
        kind: What it is.
        place: Path within the store, or the trial's key.
        problem: What is wrong with it.
        trials: Whose results or checkpoint it holds.
        part: The part, of kind "part".
        checkpoint: The checkpoint, of kind "checkpoint".
    """

    kind: Literal["registry", "part", "rows", "checkpoint"]
    place: str
    problem: str
    trials: Sequence[TrialKey] = ()
    part: PartRef | None = None
    checkpoint: CheckpointRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was looked at and what was found.

    Attributes:
        parts: Parts whose bytes were compared.
        checkpoints: Checkpoints whose bytes were compared.
        damage: What is not as recorded.
    """

    parts: int
    checkpoints: int
    damage: Sequence[Damage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What a repair did.

    Attributes:
        waiting: Trials that wait to be computed again.
        studies: Studies that need them.
        forgotten: Checkpoints that are no longer recorded.
        left: What cannot be mended here.
    """

    waiting: Sequence[TrialKey]
    studies: Sequence[str]
    forgotten: int
    left: Sequence[Damage]


def examine(session: Session, results: ResultStore, checkpoints: CheckpointStore) -> Examined:
    """Returns everything that is not as recorded; changes nothing."""
    registry = session.registry
    parts = registry.parts()
    statuses = registry.statuses()
    where = registry.results(list(statuses))
    held: dict[str, list[TrialKey]] = {part.path: [] for part in parts}
    for key, path in where.items():
        if path in held:  # else it was listed a moment ago: drivers commit meanwhile
            held[path].append(key)
    damage = [Damage(kind="registry", place="registry", problem=text) for text in registry.damage()]
    for part in parts:
        damage += _of_part(part, sorted(held[part.path]), results)
    recorded = registry.all_checkpoints()
    for checkpoint in recorded:
        if (problem := checkpoints.check(checkpoint)) is not None:
            found = Damage(
                kind="checkpoint",
                place=checkpoint.path,
                problem=problem,
                trials=(checkpoint.trial,),
                checkpoint=checkpoint,
            )
            damage.append(found)
    for key, status in statuses.items():
        if status.state is State.SUCCEEDED and key not in where:
            damage.append(
                Damage(
                    kind="rows", place=key, problem="has a result and no part that holds it", trials=(key,)
                )
            )
    return Examined(parts=len(parts), checkpoints=len(recorded), damage=damage)


def repair(session: Session, found: Sequence[Damage], checkpoints: CheckpointStore) -> Repaired:
    """Lets what is lost be computed again and forgets what is damaged.

    Raises:
        HeldError: A study is being driven; nothing is changed.
    """
    registry = session.registry
    for submission in registry.studies():
        if (owner := registry.driver(submission.study)) is not None:
            raise HeldError(
                f"study {submission.study} is driven by process {owner.pid} on {owner.host}; end it first "
                f"(Ctrl-C there, or: orch cancel {submission.study}), then: orch fsck --repair"
            )
    waiting = set(registry.drop_parts([each.part for each in found if each.part is not None]))
    lost = {key for each in found if each.kind == "rows" for key in each.trials}
    registry.requeue(lost, [State.SUCCEEDED, State.DIVERGED])
    waiting |= lost
    damaged = [each.checkpoint for each in found if each.checkpoint is not None]
    for checkpoint in damaged:
        newest = registry.checkpoint(checkpoint.trial) == checkpoint
        registry.drop_checkpoint(checkpoint)
        with suppress(CorruptError):
            checkpoints.open(checkpoint)  # sets it aside
        if newest and registry.checkpoint(checkpoint.trial) is not None:
            # What is left is where the training goes on from, not what it came to.
            waiting.add(checkpoint.trial)
            registry.requeue([checkpoint.trial], [State.SUCCEEDED, State.DIVERGED])
    return Repaired(
        waiting=sorted(waiting),
        studies=_studies(session, waiting),
        forgotten=len(damaged),
        left=[each for each in found if each.kind == "registry"],
    )


def _of_part(part: PartRef, keys: Sequence[TrialKey], results: ResultStore) -> list[Damage]:
    try:
        there = {row.trial for row in results.read([part], keys)}
    except CorruptError as error:
        problem = str(error).split(": no number", maxsplit=1)[0].removeprefix(f"the part {part.path} ")
        return [Damage(kind="part", place=part.path, problem=problem, trials=keys, part=part)]
    return [
        Damage(
            kind="rows", place=key, problem=f"has no row in {part.path}, which is to hold it", trials=(key,)
        )
        for key in keys
        if key not in there
    ]


def _studies(session: Session, keys: Collection[TrialKey]) -> list[str]:
    return sorted({each.study for each in session.registry.assigned(keys)})


def labels(session: Session, keys: Collection[TrialKey]) -> Mapping[TrialKey, str]:
    """Returns trial -> where it belongs, such as "study depth=14 seed 0": one of several."""
    return {
        each.trial: f"{each.study} {each.cell} seed {each.seed}" for each in session.registry.assigned(keys)
    }
