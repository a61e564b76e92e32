"""Checkpoints: what durability adds to a plain write, and how much of the disk they hold."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.load_measure import Figure, Sizes
from benchmarks.load_stores import settings_of
from benchmarks.trivial import SPEC, Config, Trivial
from orchestrator.driver.superseded import KEPT
from workloads.api import Placement, Report

_BLOCK = 4 * 2**20
STUDY = """\
api_version: 1
study: retained
workload: benchmarks.load_checkpoints:SAVING
config: {{y: {saved_mb}}}
design:
  type: factorial
  factors:
    x: {{path: x, levels: [{saves}]}}
seeds: 1
"""


def durability(sizes: Sizes) -> Iterator[Figure]:
    """Yields what digests and our order of writing add to a plain durable write."""
    name = f"checkpoint of {sizes.checkpoint_mb:,} MiB over a plain write and fsync"
    needed_mb = 3 * sizes.checkpoint_mb
    with tempfile.TemporaryDirectory(prefix="orch-load-") as folder:
        free_mb = shutil.disk_usage(folder).free // 2**20
        if free_mb < needed_mb:
            yield Figure(
                name=name, value=None, unit="%", goal=15, note=f"{free_mb} of {needed_mb} MiB are free"
            )
            return
        over, unsynced, plain, cpu, waited = [], [], [], [], []
        for number in range(sizes.repeats):
            # Neighbours in time, in turns: a disk has good and bad minutes.
            order = (_plain, _saved, _beside) if number % 2 else (_beside, _saved, _plain)
            spent = {}
            for each in order:
                began = time.process_time()
                spent[each] = each(Path(folder), sizes.checkpoint_mb)
                if each is _saved:
                    cpu.append(time.process_time() - began)
            over.append(100 * (spent[_saved][0] / spent[_plain][0] - 1))
            unsynced.append(100 * (spent[_saved][0] / spent[_plain][1] - 1))
            plain.append(spent[_plain][0])
            waited.append(100 * (spent[_beside][1] / spent[_plain][0] - 1))
    told = (
        f"pairs {', '.join(f'{each:.0f}' for each in over)}; {statistics.median(cpu):.2f} s of CPU; "
        f"the plain one takes "
        f"{statistics.median(plain):.2f} s; over a write without fsync {statistics.median(unsynced):.0f} %"
    )
    yield Figure(name=name, value=statistics.median(over), unit="%", goal=15, note=told)
    told = f"pairs {', '.join(f'{each:.0f}' for each in waited)}; the rest is done beside it"
    yield Figure(
        name=f"what a training waits for one of {sizes.checkpoint_mb:,} MiB, over the same",
        value=statistics.median(waited),
        unit="%",
        goal=15,
        note=told,
    )


def _blocks(size_mb: int) -> Iterator[bytes]:
    block = os.urandom(_BLOCK)
    written = 0
    while written < size_mb * 2**20:
        yield block[: size_mb * 2**20 - written]
        written += len(block)


def _plain(folder: Path, size_mb: int) -> tuple[float, float]:
    """Returns the seconds of a write with and without its fsync."""
    path = folder / "plain"
    blocks = list(_blocks(min(size_mb, 4)))
    began = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(max(1, size_mb // 4)):
            file.write(blocks[0])
        written_s = time.perf_counter() - began
        os.fsync(file.fileno())
    spent_s = time.perf_counter() - began
    path.unlink()
    return spent_s, written_s


def _saved(folder: Path, size_mb: int) -> tuple[float, float]:
    """Returns the seconds of a checkpoint, twice."""
    from orchestrator.model.plan import TrialKey
    from orchestrator.store.checkpoints import DirectoryCheckpoints

    store, write = DirectoryCheckpoints(folder), _writer(size_mb)
    began = time.perf_counter()
    made = store.save(TrialKey("0" * 32), serial=1, step=1, write=write)
    spent_s = time.perf_counter() - began
    store.delete(made)
    return spent_s, spent_s


def _beside(folder: Path, size_mb: int) -> tuple[float, float]:
    """Returns the seconds until a checkpoint is durable, and those that a training waits for it."""
    from orchestrator.execution.sealing import Sealing
    from orchestrator.model.plan import TrialKey
    from orchestrator.store.checkpoints import DirectoryCheckpoints

    store, write = DirectoryCheckpoints(folder), _writer(size_mb)
    began = time.perf_counter()
    sealing = Sealing(
        lambda write: store.save(TrialKey("0" * 32), serial=1, step=1, write=write),
        write=write,
        check=lambda folder: None,
    )
    waited_s = time.perf_counter() - began
    made = sealing.result()
    spent_s = time.perf_counter() - began
    store.delete(made)
    return spent_s, waited_s


def _writer(size_mb: int) -> Callable[[Path], None]:
    block = next(_blocks(min(size_mb, 4)))

    def write(target: Path) -> None:
        with (target / "state").open("wb", buffering=0) as file:
            for _ in range(max(1, size_mb // 4)):
                file.write(block)

    return write


# --- retention --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Saving(Trivial):
    """Saves `x` checkpoints of `y` MiB, as fast as it can."""

    def train(
        self,
        config: Config,
        *,
        seeds: Sequence[int],
        data: Path,
        resume: Mapping[int, Path],
        placement: Placement,
    ) -> Iterator[Report]:
        """Yields a report with a checkpoint a step, and the test's."""

        def save(directory: Path) -> None:
            (directory / "state").write_bytes(os.urandom(config.y * 2**20))

        for step in range(1, config.x):
            yield Report(index=0, evaluation="train", step=step, metrics={"loss": 1 / step}, save=save)
        yield Report(index=0, evaluation="test", metrics={"test_error": 0.0}, save=save)


SAVED = Saving()
SAVING = replace(SPEC, name="saving", runtime="benchmarks.load_checkpoints:SAVED")


def retention(sizes: Sizes) -> Iterator[Figure]:
    """Yields the most disk that the checkpoints of one running training held, in checkpoints."""
    from orchestrator.app.planning import Request
    from orchestrator.app.run import Running
    from orchestrator.app.submit import submit
    from orchestrator.app.view import Silent
    from orchestrator.store.durable import size_of

    with tempfile.TemporaryDirectory(prefix="orch-load-") as name:
        folder = Path(name)
        file = folder / "retained.yaml"
        file.write_text(STUDY.format(saves=sizes.saves, saved_mb=sizes.saved_mb))
        settings = settings_of(folder / "store").model_copy(update={"checkpoint_interval_s": 0.0})
        most, ended = 0, threading.Event()

        def watch() -> None:
            nonlocal most
            while not ended.wait(0.002):
                with suppress(FileNotFoundError):  # a folder was renamed while we looked: look again
                    most = max(most, size_of(folder / "store" / "checkpoints"))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            finish = submit(Request(file=file, patches={}), Running(), settings, Silent())
        finally:
            ended.set()
            watcher.join()
        assert finish.exit_code == 0, finish.summary
    yield Figure(
        name="checkpoints of a running training on the disk, at most",
        value=round(most / 2**20 / sizes.saved_mb, 2),
        unit="",
        goal=KEPT + 1.01,
        note=f"{sizes.saves} of {sizes.saved_mb} MiB saved in a row; looked at all the while",
    )
