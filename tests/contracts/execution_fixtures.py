"""A plain in-memory scheduler and helpers, for tests of executors."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.execution.effort import Worker
from orchestrator.model.plan import Resources, State, Trial, TrialKey
from orchestrator.model.run import (
    Bundle,
    Cause,
    CheckpointRef,
    Claim,
    Event,
    Failed,
    Finished,
    Reported,
    Saved,
    Started,
)
from orchestrator.ports import Executor
from orchestrator.store.checkpoints import DirectoryCheckpoints
from orchestrator.store.logs import DirectoryLogs
from tests.toy_workload import Config
from workloads.api import to_plain

TOY = "tests.toy_workload:SPEC"


def training(seed: int = 0, *, group: str = "", resources: Resources | None = None, **config: Any) -> Trial:
    plain = to_plain(Config(**config))
    return _trial(stage="train", config=plain, seed=seed, group=group, resources=resources or Resources())


def evaluation(
    parents: Trial | Sequence[Trial],
    family: str = "scale",
    *,
    draw: int = 0,
    resources: Resources | None = None,
    **parameters: Any,
) -> Trial:
    parents = [parents] if isinstance(parents, Trial) else list(parents)
    return _trial(
        stage="evaluate",
        family=family,
        parameters=parameters,
        draw=draw,
        seed=parents[0].seed,
        parents=tuple(parent.key for parent in parents),
        gathers=family == "vote",
        resources=resources or parents[0].resources,
    )


def _trial(**fields: Any) -> Trial:
    text = json.dumps({k: v for k, v in fields.items() if k != "resources"}, sort_keys=True)
    key = TrialKey(hashlib.sha256(text.encode()).hexdigest()[:32])
    return Trial(key=key, workload=TOY, label=f"{fields['stage']} {key[:6]}", **fields)


@dataclass(slots=True, kw_only=True)
class ListWork:
    """A `Work` over a list of trials; `commit` checks the rules that events must keep.

    Attributes:
        trials: All of them.
        again: Causes after which a trial is tried once more, from its newest checkpoint.
        interval_s: Least time between two checkpoints.
        group: Whether evaluations of equal parents go as one bundle.
    """

    trials: Sequence[Trial]
    again: Collection[Cause] = (Cause.LOST,)
    interval_s: float = 0.0
    group: bool = True
    states: dict[TrialKey, State] = field(default_factory=dict)
    epochs: Counter[TrialKey] = field(default_factory=Counter)
    finished: dict[TrialKey, Finished] = field(default_factory=dict)
    failed: dict[TrialKey, list[Failed]] = field(default_factory=lambda: defaultdict(list))
    saved: dict[TrialKey, CheckpointRef] = field(default_factory=dict)
    saves: Counter[TrialKey] = field(default_factory=Counter)
    started: list[Started] = field(default_factory=list)
    reported: Counter[TrialKey] = field(default_factory=Counter)
    bundles: list[Bundle] = field(default_factory=list)
    stop: bool = False
    cancel: set[TrialKey] = field(default_factory=set)
    _numbers: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        for trial in self.trials:
            self.states.setdefault(trial.key, State.PENDING)

    # --- Work ---------------------------------------------------------------------------------------

    def demand(self) -> Mapping[Resources, int]:
        if self.stop:
            return {}
        return Counter(group[0].resources for group in self._groups())

    def unfinished(self) -> Mapping[Resources, int]:
        return Counter(trial.resources for trial in self.trials if not self._settled(trial))

    def next_bundle(self, resources: Resources) -> Bundle | None:
        if self.stop:
            return None
        groups = [group for group in self._groups() if group[0].resources == resources]
        if not groups:
            return None
        trials = min(groups, key=lambda group: group[0].stage != "evaluate")
        for trial in trials:
            assert self.states[trial.key] is State.PENDING
            self.states[trial.key] = State.RUNNING
            self.epochs[trial.key] += 1
        bundle = Bundle(
            id=f"bundle-{next(self._numbers)}",
            stage=trials[0].stage,
            claims=tuple(
                Claim(trial=t, epoch=self.epochs[t.key], resume=self.saved.get(t.key)) for t in trials
            ),
            parents=tuple(self.saved[parent] for parent in trials[0].parents),
            resources=resources,
            study="toy",
            checkpoint_interval_s=self.interval_s,
        )
        self.bundles.append(bundle)
        return bundle

    def cancelled(self) -> Collection[TrialKey]:
        return {key for key in self.cancel if self.states[key] is State.RUNNING}

    def stopping(self) -> bool:
        return self.stop

    # --- the caller's side ----------------------------------------------------------------------------

    def commit(self, batch: Iterable[Event]) -> None:
        for event in batch:
            key = event.trial
            assert self.states[key] is State.RUNNING, f"an event of a trial that is not running: {event}"
            assert event.epoch == self.epochs[key], f"an event of another epoch: {event}"
            match event:
                case Started():
                    self.started.append(event)
                case Reported():
                    self.reported[key] += 1
                case Saved():
                    self._save(event.checkpoint)
                case Finished():
                    assert key not in self.finished
                    self.finished[key] = event
                    self.states[key] = event.state
                    if event.checkpoint is not None:
                        self._save(event.checkpoint)
                case Failed():
                    self.failed[key].append(event)
                    self.states[key] = self._after(event)

    def restarted(self) -> ListWork:
        """Returns the work that a later submission finds: what was interrupted is pending again."""
        states: dict[TrialKey, State] = {
            key: State.PENDING if state in (State.RUNNING, State.FAILED) else state
            for key, state in self.states.items()
        }
        return replace(
            self, states=states, stop=False, failed=defaultdict(list), finished=dict(self.finished)
        )

    def _save(self, checkpoint: CheckpointRef) -> None:
        before = self.saved.get(checkpoint.trial)
        assert before is None or before.serial < checkpoint.serial
        self.saved[checkpoint.trial] = checkpoint
        self.saves[checkpoint.trial] += 1

    def _after(self, event: Failed) -> State:
        if event.failure.cause is Cause.CANCELLED:
            return State.CANCELLED
        if event.failure.cause in self.again and len(self.failed[event.trial]) < 3 and not self.stop:
            return State.PENDING
        return State.FAILED

    def _settled(self, trial: Trial) -> bool:
        return self.states[trial.key].final or self._blocked(trial)

    def _blocked(self, trial: Trial) -> bool:
        return any(
            self.states[parent].final and self.states[parent] is not State.SUCCEEDED
            for parent in trial.parents
        )

    def _groups(self) -> list[list[Trial]]:
        groups: dict[Any, list[Trial]] = defaultdict(list)
        for trial in self.trials:
            if self.states[trial.key] is not State.PENDING:
                continue
            if any(self.states[parent] is not State.SUCCEEDED for parent in trial.parents):
                continue
            if trial.stage == "train":
                groups[trial.group or trial.key].append(trial)
            else:
                groups[(trial.parents if self.group else trial.key, trial.resources)].append(trial)
        return list(groups.values())


def drive(
    executor: Executor,
    work: ListWork,
    *,
    watch: Callable[[Sequence[Event]], None] = lambda batch: None,
    limit_s: float = 60.0,
) -> ListWork:
    """Runs the work to its end and commits every batch; `watch` sees each batch after its commit."""
    deadline = time.monotonic() + limit_s
    batches = iter(executor.run(work))
    try:
        for batch in batches:
            work.commit(batch)
            watch(batch)
            if time.monotonic() > deadline:
                running = [t.label for t in work.trials if work.states[t.key] is State.RUNNING]
                raise AssertionError(f"not done after {limit_s} s; running: {running}; {work.states}")
    finally:
        batches.close()  # type: ignore[attr-defined]
    assert State.RUNNING not in work.states.values()
    return work


def curve(finished: Finished) -> list[tuple[int, float]]:
    """Returns (step, error) of a training's curve."""
    return [(row.step, row.value) for row in finished.rows if row.evaluation == "train"]


def worker(root: Path) -> Worker:
    return Worker(checkpoints=DirectoryCheckpoints(root), logs=DirectoryLogs(root), modules=("tests",))
