"""The mirror's thread: takes the outbox's items, composes their runs, applies them to the tracker.

Nothing waits for it. It has a registry connection of its own, so that a mirror that is down, slow or
locked never delays a commit; items it cannot apply stay in the outbox for the next process.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import final

from orchestrator.app.mirror_facts import read_facts
from orchestrator.app.mirror_lock import held
from orchestrator.app.mirror_picture import Facts, Picture, picture
from orchestrator.app.mirror_runs import compose
from orchestrator.app.mirror_submission import experiment_note, submission_run
from orchestrator.errors import IncompleteError, TargetError
from orchestrator.model.mirror import MirrorRun, OutboxItem
from orchestrator.ports import Registry, ResultStore, Tracker

BATCH = 200  # items whose rows are read together
ACKNOWLEDGE = 20  # applied items removed from the outbox in one transaction
ROUND_S = 1.0  # between two looks at the outbox: repeats of one training's item collapse meanwhile
LOOK_S = 0.2  # how often a wait for an empty outbox asks whether it is to end
BACK_OFF_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
ENDED = "|ended"  # suffix of the remembered key that says a submission's run has been ended

Texts = Callable[[str], Mapping[str, str]]  # study -> artifact path -> text

_logger = logging.getLogger(__name__)


def _no_texts(study: str) -> Mapping[str, str]:
    return {}


@final
@dataclass(slots=True, kw_only=True)
class Mirror:
    """Drains the outbox into a tracker, in the background.

    Attributes:
        registry: Opens a connection for the mirror's thread.
        results: Where rows are read.
        tracker: Opens the tracker; called in the thread, since importing MLflow takes a second.
        lock: File that one process at a time holds while it mirrors (two would both create a run that
            neither found); None where only one process can be.
        texts: Tables and whatever else the submission's run should hold.
        round_s: Seconds between two looks at the outbox while nothing is being drained.
    """

    registry: Callable[[], Registry]
    results: ResultStore
    tracker: Callable[[], Tracker]
    lock: Path | None = None
    texts: Texts = _no_texts
    round_s: float = ROUND_S
    back_off_s: Sequence[float] = BACK_OFF_S

    _thread: threading.Thread | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _asked: int = 0  # how often somebody asked for an empty outbox
    _answered: int = 0  # the request up to which it has been found empty
    _stopping: bool = False
    _failures: int = 0  # in a row
    _aside: set[tuple[int, int]] = field(default_factory=set)  # (id, revision) of what cannot be applied
    _pictures: dict[str, Picture] = field(default_factory=dict)
    _ids: dict[str, dict[str, str]] = field(default_factory=dict)
    _shown: dict[tuple[str, str], bytes] = field(default_factory=dict)  # digests of what we applied

    def start(self) -> None:
        """Starts the thread; it ends with the process."""
        assert self._thread is None, "the mirror has been started already"
        self._thread = threading.Thread(target=self._run, name="orch-mirror", daemon=True)
        self._thread.start()

    def drain(self, timeout_s: float, *, enough: Callable[[], bool] = lambda: False) -> int:
        """Waits until the outbox is empty, at most `timeout_s`, or until `enough` says so.

        Returns:
            The number of items that remain.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._asked += 1
            mine = self._asked
            self._changed.notify_all()
            while self._answered < mine and self._thread is not None and self._thread.is_alive():
                left = deadline - time.monotonic()
                if left <= 0 or enough():
                    break
                self._changed.wait(min(left, LOOK_S))
            emptied = self._answered >= mine and not self._aside
        if emptied:
            return 0
        registry = self.registry()
        try:
            return len(registry.outbox(limit=1_000_000))
        finally:
            registry.close()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Ends the thread after the item it is at; one that hangs is left to die with the process."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def __enter__(self) -> Mirror:
        """Starts the thread."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the thread."""
        self.stop()

    # --- the thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            try:
                with held(self.lock) as ours:
                    if ours:
                        self._work()
                    else:
                        self._watch()
            except Exception as error:
                # The registry may be as unreachable as the mirror: whatever it is, it is tried again.
                if self._failures == 0:
                    _logger.warning("the mirror waits (results are safe, it catches up by itself): %s", error)
                self._failures += 1
                self._pause(self.back_off_s[min(self._failures, len(self.back_off_s)) - 1])

    def _work(self) -> None:
        """Mirrors until it is told to stop or something fails."""
        registry = self.registry()
        tracker: Tracker | None = None
        self._ids.clear()  # another process may have mirrored since
        self._shown.clear()
        try:
            while not self._stopping:
                asked = self._asked
                limit = BATCH + len(self._aside)
                waiting = registry.outbox(limit=limit)
                items = [item for item in waiting if (item.id, item.revision) not in self._aside]
                if items:
                    tracker = tracker or self.tracker()
                    self._apply_all(registry, tracker, items)
                    if self._failures:
                        _logger.warning("the mirror is up again")
                        self._failures = 0
                else:
                    self._answer(asked)
        finally:
            if tracker is not None:
                tracker.close()
            registry.close()

    def _watch(self) -> None:
        """Waits while another process mirrors, and sees what it has left."""
        asked = self._asked
        registry = self.registry()
        try:
            empty = not registry.outbox(limit=1)
        finally:
            registry.close()
        if empty:
            self._answer(asked)
        else:
            self._pause(self.round_s)

    def _answer(self, asked: int) -> None:
        """Tells those who wait that the outbox is empty, then waits for the next look."""
        with self._changed:
            self._answered = max(self._answered, asked)
            self._changed.notify_all()
            if self._asked == asked and not self._stopping:
                self._changed.wait(self.round_s)

    def _pause(self, seconds: float) -> None:
        with self._changed:
            if not self._stopping:
                self._changed.wait(seconds)

    # --- items --------------------------------------------------------------------------------------

    def _apply_all(self, registry: Registry, tracker: Tracker, items: Sequence[OutboxItem]) -> None:
        for study, group in groupby(items, key=lambda item: item.study):
            batch = list(group)
            shown = self._picture(registry, study)
            if study not in self._ids:
                self._ids[study] = dict(registry.mirror_ids(study))
            facts = None
            if shown is not None:
                with suppress(IncompleteError):  # one lost part must not hold the others back
                    facts = read_facts(registry, self.results, shown, batch)
            done: list[OutboxItem] = []
            ids: dict[tuple[str, str], str] = {}
            try:
                for item in batch:
                    if self._stopping:
                        break
                    if self._apply(registry, tracker, shown, item, facts, ids):
                        done.append(item)
                    if len(done) >= ACKNOWLEDGE:
                        registry.mirrored(done, ids)
                        done, ids = [], {}
            finally:
                if done or ids:
                    registry.mirrored(done, ids)

    def _apply(
        self,
        registry: Registry,
        tracker: Tracker,
        shown: Picture | None,
        item: OutboxItem,
        facts: Facts | None,
        ids: dict[tuple[str, str], str],
    ) -> bool:
        """Applies an item; False puts it aside for this process."""
        if shown is None:
            return True  # the study is gone
        try:
            if facts is None:
                facts = read_facts(registry, self.results, shown, [item])
            if item.kind == "study":
                note, tags = experiment_note(shown, facts, self.texts(item.study))
                tracker.describe(item.study, note=note, tags=tags)
                return True
            texts = self.texts(item.study) if item.kind == "closing" else {}
            run = compose(shown, facts, item.kind, item.key, texts)
            if run is None:
                return True  # no longer planned
            if item.kind == "submission":
                self._end_previous(registry, tracker, shown, ids)
            parent_id = self._parent(tracker, shown, ids) if run.parent else ""
            self._show(tracker, run, ids, parent_id)
            if item.kind in ("submission", "closing"):
                ended = self._ids[item.study][item.key] if item.kind == "closing" else ""
                self._remember(item.study, item.key + ENDED, ended, ids)
        except TargetError:
            raise
        except Exception as error:
            self._aside.add((item.id, item.revision))
            _logger.warning("the mirror cannot show %s %s of %s: %s", item.kind, item.key, item.study, error)
            return False
        return True

    def _show(
        self, tracker: Tracker, run: MirrorRun, ids: dict[tuple[str, str], str], parent_id: str = ""
    ) -> str:
        known = self._ids[run.study].get(run.key, "")
        # The end of a submission asks for everything once more: what has not changed costs no call.
        digest = blake2b(repr(run).encode(), digest_size=16).digest()
        if known and self._shown.get((run.study, run.key)) == digest:
            return known
        run_id = tracker.apply(replace(run, run_id=known), parent_id=parent_id)
        self._shown[run.study, run.key] = digest
        self._remember(run.study, run.key, run_id, ids)
        return run_id

    def _remember(self, study: str, key: str, run_id: str, ids: dict[tuple[str, str], str]) -> None:
        if self._ids[study].get(key, "") != run_id:
            self._ids[study][key] = ids[study, key] = run_id

    def _parent(self, tracker: Tracker, shown: Picture, ids: dict[tuple[str, str], str]) -> str:
        """Returns the run of the latest submission, made if its item has not come yet."""
        submission = shown.submission
        known = self._ids[submission.study].get(submission.id, "")
        if known:
            return known
        # Its own item says RUNNING when there is a driver; without one nobody would end it.
        return self._show(tracker, submission_run(shown, Facts(), ended=True, texts={}), ids)

    def _end_previous(
        self, registry: Registry, tracker: Tracker, shown: Picture, ids: dict[tuple[str, str], str]
    ) -> None:
        """Ends the run of the submission before, which a killed driver left RUNNING."""
        known = self._ids[shown.submission.study]
        for earlier in registry.submissions(shown.submission.study)[:-1]:
            if known.get(earlier.id) and not known.get(earlier.id + ENDED):
                facts = Facts(statuses=registry.statuses(list(shown.trials)))
                run = submission_run(replace(shown, submission=earlier), facts, ended=True, texts={})
                self._remember(run.study, run.key + ENDED, self._show(tracker, run, ids), ids)

    def _picture(self, registry: Registry, study: str) -> Picture | None:
        """Returns the study as recorded, read again only when it was submitted again or has grown."""
        submissions = registry.submissions(study)
        if not submissions:
            return None
        known = self._pictures.get(study)
        if known is None or known.submission != submissions[-1] or _has_grown(registry, known):
            known = picture(submissions[-1], registry.trials(study), registry.assignments(study))
            self._pictures[study] = known
        return known


def _has_grown(registry: Registry, known: Picture) -> bool:
    """Returns whether seeds were added by the study's rule since it was read."""
    if not isinstance(known.submission.document.get("seeds"), Mapping):
        return False
    counts = registry.counts(known.submission.study).get(known.submission.study, {})
    return sum(counts.values()) != len(known.trials)
