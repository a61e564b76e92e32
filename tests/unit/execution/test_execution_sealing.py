"""Large checkpoints become durable beside the training, and nothing of them is lost or told too early."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.execution.effort import Control, Site, Worker
from orchestrator.execution.sealing import LARGE_BYTES, Sealing
from orchestrator.execution.worker import run_trials
from orchestrator.model.plan import State, TrialKey
from orchestrator.model.run import (
    Bundle,
    Cause,
    CheckpointRef,
    Claim,
    Event,
    Failed,
    Finished,
    Saved,
    Started,
)
from orchestrator.store import digests
from orchestrator.store.checkpoints import DirectoryCheckpoints
from tests.contracts.execution_fixtures import training
from tests.toy_workload import SPEC
from workloads.api import Placement, Report, Spec

SITE = Site(placement=Placement())
TIMEOUT_S = 30.0


@dataclass
class Gated:
    """A real store that seals the checkpoint of one step only when it is let; a fault for a slow disk.

    Attributes:
        inner: The store.
        step: Which checkpoint waits.
        error: Raised in its sealing, in place of success.
    """

    inner: DirectoryCheckpoints
    step: int = 1
    error: Exception | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    begun: list[int] = field(default_factory=list)
    home: threading.Thread = field(default_factory=threading.current_thread)
    threads: list[threading.Thread] = field(default_factory=list)

    def save(
        self, trial: TrialKey, *, serial: int, step: int, write: Callable[[Path], None]
    ) -> CheckpointRef:
        self.begun.append(step)
        if threading.current_thread() is not self.home:
            self.threads.append(threading.current_thread())

        def written(folder: Path) -> None:
            write(folder)
            if step == self.step:
                assert self.gate.wait(TIMEOUT_S), "nobody opened the gate"
                if self.error is not None:
                    raise self.error

        return self.inner.save(trial, serial=serial, step=step, write=written)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass
class Scripted:
    """A workload of equal reports with checkpoints, then the test's; tells when it is asked for each."""

    seeds: int = 1
    steps: int = 4
    size: int = LARGE_BYTES
    before: Callable[[int], None] = lambda step: None
    raises_at: int = 0
    unwritable_at: int = 0

    def train(
        self, config: Any, *, seeds: Sequence[int], resume: Mapping[int, Path], **_: Any
    ) -> Iterator[Report]:
        def write(folder: Path) -> None:
            assert threading.current_thread() is main, "written in another thread than the training's"
            if step == self.unwritable_at:
                raise ValueError("cannot be written")
            (folder / "weights").write_bytes(bytes(self.size))

        main = threading.current_thread()
        for step in range(1, self.steps + 1):
            self.before(step)
            if step == self.raises_at:
                raise ValueError("no more")
            for index in range(len(seeds)):
                yield Report(index=index, step=step, metrics={"error": 1 / step}, save=write)
        for index in range(len(seeds)):
            yield Report(
                index=index, evaluation="test", step=self.steps, metrics={"test_error": 0.5}, save=write
            )


PLAYED = Scripted()


def spec(name: str, *, modules: Any = ()) -> Spec:
    return replace(SPEC, runtime=f"{__name__}:PLAYED", describe="")


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[Scripted], None]:
    return lambda played: monkeypatch.setitem(globals(), "PLAYED", played)


def events_of(store: Gated, *, seeds: int = 1, control: Callable[[], Control] = Control) -> Iterator[Event]:
    worker = Worker(checkpoints=store, resolve=spec)  # type: ignore[arg-type]
    trials = [training(seed, group="g" if seeds > 1 else "") for seed in range(seeds)]
    work = Bundle(
        id="b",
        stage="train",
        claims=tuple(Claim(trial=trial, epoch=1) for trial in trials),
        checkpoint_interval_s=0.0,
    )
    for events in run_trials(work, worker, site=SITE, control=control):
        yield from events


def steps_of(events: Sequence[Event]) -> list[int]:
    return [event.checkpoint.step for event in events if isinstance(event, Saved)]


def unsealed(store: Gated) -> list[Path]:
    root = store.inner.root / digests.FOLDER
    return [path for path in root.glob("*/*") if not (path / digests.DIGESTS).exists()]


def test_the_training_goes_on_while_its_checkpoint_is_sealed(
    play: Callable[[Scripted], None], tmp_path: Path
) -> None:
    store = Gated(DirectoryCheckpoints(tmp_path))
    seen: dict[int, list[int]] = {}
    events: list[Event] = []

    def before(step: int) -> None:
        seen[step] = steps_of(events)
        if step == 4:
            assert store.begun == [1]  # no other one is begun while this is not durable
            assert len(unsealed(store)) == 1
            store.gate.set()
            store.threads[0].join(TIMEOUT_S)

    play(Scripted(before=before, steps=5))
    for event in events_of(store):
        events.append(event)
        if isinstance(event, Saved):
            assert store.check(event.checkpoint) is None  # durable and whole by the time that it is told
    assert seen == {1: [], 2: [], 3: [], 4: [], 5: [1]}
    # Of step 5 there is one more if that of step 4 was durable by then.
    assert steps_of(events) in ([1, 4], [1, 4, 5])
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.checkpoint is not None
    assert (finished.checkpoint.step, store.check(finished.checkpoint)) == (5, None)
    assert not any(thread.is_alive() for thread in store.threads)
    assert unsealed(store) == []


def test_results_do_not_depend_on_it(play: Callable[[Scripted], None], tmp_path: Path) -> None:
    rows = []
    for name, size in (("small", 1), ("large", LARGE_BYTES)):
        store = Gated(DirectoryCheckpoints(tmp_path / name), step=0)
        play(Scripted(size=size))
        events = list(events_of(store))
        last = events[-1]
        assert isinstance(last, Finished)
        rows.append(last.rows)
        if name == "small":  # told at once, each
            assert steps_of(events) == [1, 2, 3, 4]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("how", ["stop", "cancel", "error", "early end"])
def test_what_is_on_its_way_is_told_before_any_end(
    play: Callable[[Scripted], None], tmp_path: Path, how: str
) -> None:
    store = Gated(DirectoryCheckpoints(tmp_path))
    wanted = Control()

    def before(step: int) -> None:
        nonlocal wanted
        if step == 3:
            if how == "stop":
                wanted = Control(stopping=True)
            elif how == "cancel":
                wanted = Control(cancelled={training(0).key})
            store.gate.set()

    played = Scripted(before=before, raises_at=3 if how == "error" else 0)
    play(replace(played, steps=2) if how == "early end" else played)
    if how == "early end":
        store.gate.set()
    events = list(events_of(store, control=lambda: wanted))
    causes = {
        "stop": [Cause.INTERRUPTED],
        "cancel": [Cause.CANCELLED],
        "error": [Cause.ERROR],
        "early end": [],
    }
    assert [event.failure.cause for event in events if isinstance(event, Failed)] == causes[how]
    assert isinstance(events[-1], Failed | Finished)
    assert steps_of(events)[0] == 1
    # A stop saves once more, by itself and to the end.
    assert steps_of(events)[-1] == {"stop": 3, "early end": steps_of(events)[-1]}.get(how, 1)
    assert unsealed(store) == []
    assert not any(thread.is_alive() for thread in store.threads)


def test_a_disk_that_is_full_then_fails_the_training_and_leaves_nothing(
    play: Callable[[Scripted], None], tmp_path: Path
) -> None:
    store = Gated(DirectoryCheckpoints(tmp_path), error=OSError(errno.ENOSPC, "No space left on device"))

    def before(step: int) -> None:
        if step == 3:
            store.gate.set()
            store.threads[0].join(TIMEOUT_S)

    play(Scripted(before=before))
    *others, failed = events_of(store)
    assert isinstance(failed, Failed)
    assert "No space left on device" in failed.failure.message
    assert steps_of(others) == []
    assert unsealed(store) == []


def test_what_became_durable_is_told_though_the_same_report_fails(
    play: Callable[[Scripted], None], tmp_path: Path
) -> None:
    store = Gated(DirectoryCheckpoints(tmp_path), step=0)
    play(
        Scripted(
            before=lambda step: [each.join(TIMEOUT_S) for each in store.threads] and None, unwritable_at=2
        )
    )
    *others, failed = events_of(store)
    assert isinstance(failed, Failed)
    assert "cannot be written" in failed.failure.message
    assert steps_of(others) == [1]
    assert store.begun == [1, 2]


def test_seeds_of_one_network_are_saved_at_the_same_steps(
    play: Callable[[Scripted], None], tmp_path: Path
) -> None:
    store = Gated(DirectoryCheckpoints(tmp_path))

    def before(step: int) -> None:
        if step == 3:
            store.gate.set()
            for thread in store.threads:
                thread.join(TIMEOUT_S)

    play(Scripted(before=before))
    events = list(events_of(store, seeds=2))
    assert store.begun[:2] == [1, 1]
    saved: dict[TrialKey, list[int]] = {}
    for event in events:
        if isinstance(event, Saved):
            saved.setdefault(event.trial, []).append(event.checkpoint.step)
    assert len(saved) == 2
    first, second = saved.values()
    assert first == second
    assert first[0] == 1
    assert [event.state for event in events if isinstance(event, Finished)] == [State.SUCCEEDED] * 2


def test_a_caller_who_leaves_waits_for_it(play: Callable[[Scripted], None], tmp_path: Path) -> None:
    store = Gated(DirectoryCheckpoints(tmp_path))
    play(Scripted(before=lambda step: store.gate.set() if step == 2 else None))
    events = events_of(store)
    assert isinstance(next(events), Started)
    while store.begun != [1]:
        next(events)
    store.gate.set()
    events.close()  # type: ignore[attr-defined]
    assert not any(thread.is_alive() for thread in store.threads)
    assert unsealed(store) == []


def test_files_that_cannot_be_written_leave_nothing(tmp_path: Path) -> None:
    store, key = DirectoryCheckpoints(tmp_path), training(0).key

    def write(folder: Path) -> None:
        (folder / "half").write_bytes(b"1")
        raise RuntimeError("no weights")

    with pytest.raises(RuntimeError, match="no weights"):
        Sealing(lambda each: store.save(key, serial=1, step=1, write=each), write=write, check=len)
    assert list((tmp_path / digests.FOLDER / key).iterdir()) == []


def test_a_store_without_room_for_a_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / digests.FOLDER).write_text("a file")
    store, key = DirectoryCheckpoints(tmp_path), training(0).key
    written: list[Path] = []
    with pytest.raises(OSError, match="checkpoints"):
        Sealing(lambda each: store.save(key, serial=1, step=1, write=each), write=written.append, check=len)
    assert written == []


def test_what_must_not_be_in_a_store_is_refused_to_the_end(tmp_path: Path) -> None:
    store, key = DirectoryCheckpoints(tmp_path), training(0).key

    def check(folder: Path) -> None:
        raise ValueError(f"{next(folder.iterdir()).name} holds a secret")

    sealing = Sealing(
        lambda each: store.save(key, serial=1, step=1, write=each),
        write=lambda folder: (folder / "weights").write_bytes(b"1") and None,
        check=check,
    )
    with pytest.raises(ValueError, match="weights holds a secret"):
        sealing.result()
    assert not sealing.large
    assert list((tmp_path / digests.FOLDER / key).iterdir()) == []
