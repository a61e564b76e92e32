"""Runs everything in this process and thread: breakpoints work, the order is the same every time."""

from __future__ import annotations

import glob
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from orchestrator.errors import TargetError
from orchestrator.execution.effort import Control, Site, Worker, placement_of
from orchestrator.execution.worker import run_trials
from orchestrator.model.run import Bundle, Event
from orchestrator.ports import Executor, Work

GROUP_S = 0.05  # events that come so close together are committed together
IDLE_S = 0.05  # how often work that is not ready yet is asked for


class InlineExecutor:
    """Runs bundles one after another in the calling thread."""

    def __init__(
        self,
        worker: Worker,
        *,
        gpus: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Takes what workers need.

        Args:
            worker: Checkpoints, logs, and how to find workloads.
            gpus: How many this machine has; None looks.
            clock: Seconds that never go back.
            pause: Waits for seconds while nothing is ready.
        """
        self._worker = worker
        self._gpus = visible_gpus() if gpus is None else gpus
        self._clock = clock
        self._pause = pause

    def run(self, work: Work) -> Iterator[Sequence[Event]]:
        """Yields what happened, until no work is left (see `ports.Executor`).

        Raises:
            TargetError: A class asks for more GPUs than this machine has.
        """
        for resources in work.unfinished():
            if resources.gpu > self._gpus:
                raise TargetError(
                    f"{resources} is asked for, this machine has {self._gpus} GPUs; lower `resources` of the "
                    "study or run it on a cluster"
                )
        yield ()
        while not work.stopping() and any(work.unfinished().values()):
            bundle = self._next(work)
            if bundle is None:
                yield ()
                self._pause(IDLE_S)
                continue
            yield from self._run(bundle, work)

    def _next(self, work: Work) -> Bundle | None:
        for resources in sorted(resources for resources, count in work.demand().items() if count):
            bundle = work.next_bundle(resources)
            if bundle is not None:
                return bundle
        return None

    def _run(self, bundle: Bundle, work: Work) -> Iterator[Sequence[Event]]:
        def control() -> Control:
            return Control(stopping=work.stopping(), cancelled=work.cancelled())

        site = Site(placement=placement_of(bundle.resources), lane="inline")
        waiting: list[Event] = []
        yielded = float("-inf")
        for events in run_trials(bundle, self._worker, site=site, control=control, echo=sys.stderr):
            waiting += events
            now = self._clock()
            # Trainings are long: what they tell is passed on at once. Evaluations come by the dozen.
            if bundle.stage != "evaluate" or now - yielded >= GROUP_S:
                yield tuple(waiting)
                waiting, yielded = [], self._clock()
        if waiting:
            yield tuple(waiting)


def visible_gpus() -> int:
    """Returns the number of NVIDIA devices that this process may use."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return len([name for name in chosen.split(",") if name.strip() not in ("", "-1")])
    return len(glob.glob("/dev/nvidia[0-9]*"))


def _fits(executor: InlineExecutor) -> Executor:
    return executor
