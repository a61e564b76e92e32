"""Which lanes there should be, and what each works on: bookkeeping without Ray.

A lane ends when its class has no more work. Classes that do not fit on the cluster together follow each
other: an idle lane gives way to a class that has bundles ready and finds no room.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import TargetError
from orchestrator.execution.ray_messages import Flags, Joined, Lost, Message, Order, Told
from orchestrator.model.groups import NodeGroup, grown
from orchestrator.model.plan import Resources, TrialKey
from orchestrator.model.run import Bundle, Cause, Event, Failed, Failure, Finished
from orchestrator.ports import Work

CANCEL_S = 12.0  # how long a worker may go on with a cancelled trial before it is ended
STOP_S = 25.0  # likewise after it was asked to save and stop
HANG_S = 600.0  # how long a worker may be silent; workloads report every 10 s
PLACED_S = 5.0  # a lane that finds no room for so long makes idle lanes give way
STILLBORN_LIMIT = 5  # workers that die before they join, in a row

# How Ray words the end of a worker: its memory monitor, and the head of a cluster whose node is gone.
_WORDS = (
    ("OutOfMemoryError", Cause.OUT_OF_MEMORY),
    ("low on memory", Cause.OUT_OF_MEMORY),
    ("node was preempted", Cause.PREEMPTED),
    ("its node has died", Cause.NODE_LOST),
)


@dataclass(slots=True, kw_only=True)
class LaneState:
    """What the driver knows of a lane.

    Attributes:
        name: Its name; resources: its class.
        life: Of the worker that has joined, "" while there is none.
        actor: That worker's handle; node: Ray's id of its node.
        bundle: What it works on; open: the trials of it that have no end yet, with their epochs.
        since: When it was asked for.
        heard: When its bundle last made progress.
        asked: Since when it should stop, or end a cancelled trial.
        ending: Why it is being ended by us: (cause, message).
        doomed: The cancelled trials that it is ended for.
    """

    name: str
    resources: Resources
    life: str = ""
    actor: Any = None
    node: str = ""
    identity: Mapping[str, Any] = field(default_factory=dict)
    bundle: Bundle | None = None
    open: dict[TrialKey, int] = field(default_factory=dict)
    since: float = 0.0
    heard: float = 0.0
    asked: float | None = None
    ending: tuple[Cause, str] | None = None
    doomed: frozenset[TrialKey] = frozenset()

    @property
    def idle(self) -> bool:
        """Whether it waits for an order."""
        return bool(self.life) and self.bundle is None and self.ending is None


class Fleet:
    """The lanes of one run."""

    def __init__(
        self,
        nodes: Sequence[Resources],
        *,
        groups: Sequence[NodeGroup] = (),
        max_concurrent: int | None = None,
        hang_s: float = HANG_S,
        clock: Callable[[], float] = time.monotonic,
        node_gone: Callable[[str], bool] = lambda node: False,
    ) -> None:
        """Starts without lanes.

        Args:
            nodes: What each node of the cluster has in all.
            groups: Nodes that its autoscaler may add: lanes that wait for room there are what it looks at.
            max_concurrent: Lanes at once, at most.
            hang_s: How long a worker with a bundle may be silent.
            clock: Seconds that never go back.
            node_gone: Whether a node, by its id, does not answer any more.
        """
        self.lanes: dict[str, LaneState] = {}
        self._groups = tuple(groups)
        self.nodes = grown(nodes, self._groups)
        self._limit = max_concurrent
        self._hang_s = hang_s
        self._clock = clock
        self._node_gone = node_gone
        self._numbers = itertools.count()
        self._stillborn = 0

    @property
    def busy(self) -> bool:
        """Whether any lane has a bundle."""
        return any(lane.bundle is not None for lane in self.lanes.values())

    def check(self, classes: Sequence[Resources]) -> None:
        """Refuses classes that no node can ever hold.

        Raises:
            TargetError: Names the class and the largest node.
        """
        for resources in classes:
            if not self.slots(resources):
                nodes = ", ".join(sorted({str(node) for node in self.nodes})) or "none"
                raise TargetError(
                    f"no node can ever hold {resources}; the cluster's nodes have: {nodes}. Lower "
                    "`resources` of the study, or run it on a cluster with larger nodes; those that an "
                    "autoscaler may add are named by the setting `scales_to`"
                )

    def slots(self, resources: Resources) -> int:
        """Returns how many lanes of a class the empty cluster holds."""
        return sum(_room(node, resources) for node in self.nodes)

    def resize(self, nodes: Sequence[Resources]) -> None:
        """Takes note of nodes that came or went."""
        self.nodes = grown(nodes, self._groups)

    # --- what came in ---------------------------------------------------------------------------------

    def take_in(self, messages: Sequence[Message]) -> Iterator[Event]:
        """Yields the events that count, and those that a lost lane can no longer send.

        Raises:
            TargetError: Worker after worker dies before it joins.
        """
        for message in messages:
            lane = self.lanes.get(message.lane)
            if lane is None:
                continue  # told to end already
            match message:
                case Joined():
                    self._stillborn = 0
                    lane.life, lane.actor, lane.identity = message.life, message.actor, message.identity
                    lane.node = message.node
                case Told() if message.life == lane.life:
                    yield from self._heard(lane, message)
                case Lost() if message.life == lane.life:
                    yield from self._lost(lane, message)

    def _heard(self, lane: LaneState, message: Told) -> Iterator[Event]:
        lane.heard = self._clock()
        for event in message.events:
            if lane.open.get(event.trial) == event.epoch:
                if isinstance(event, Finished | Failed):
                    del lane.open[event.trial]
                yield event
        if message.done and lane.bundle is not None and message.done == lane.bundle.id:
            # A worker ends each trial of its bundle; one that did not has a fault of ours.
            yield from self._give_up(lane, Cause.ERROR, "the worker ended without a result for it")

    def _lost(self, lane: LaneState, message: Lost) -> Iterator[Event]:
        reason = message.reason or "its worker died"
        if not lane.life:
            self._stillborn += 1
            if self._stillborn >= STILLBORN_LIMIT:
                raise TargetError(
                    f"{self._stillborn} workers in a row died before they could begin; the last: {reason}"
                )
        where = f"lane {lane.name}, pid {lane.identity.get('pid')} on {lane.identity.get('host')}"
        cause = next((cause for word, cause in _WORDS if word in reason), Cause.LOST)
        if lane.ending is not None:
            cause, reason = lane.ending
        elif cause is Cause.LOST and lane.node and self._node_gone(lane.node):
            # Ray notices a dead node later than that it cannot reach a worker there.
            cause, reason = Cause.NODE_LOST, f"its node does not answer any more ({reason})"
        yield from self._give_up(lane, cause, f"{where}: {reason}")
        lane.life, lane.actor, lane.ending, lane.since = "", None, None, self._clock()

    def _give_up(self, lane: LaneState, cause: Cause, message: str) -> Iterator[Event]:
        for trial, epoch in lane.open.items():
            its = Cause.CANCELLED if trial in lane.doomed else cause
            yield Failed(trial=trial, epoch=epoch, failure=Failure(cause=its, message=message))
        lane.open, lane.bundle, lane.asked, lane.doomed = {}, None, None, frozenset()

    def overdue(self, flags: Flags) -> list[LaneState]:
        """Returns lanes whose worker is to be ended: it does not listen, or is silent for too long.

        Args:
            flags: What workers have been asked.
        """
        now = self._clock()
        found: list[LaneState] = []
        for lane in self.lanes.values():
            if lane.bundle is None or lane.ending is not None:
                continue
            cancelled = flags.cancelled & lane.open.keys()
            if not (flags.stopping or cancelled):
                lane.asked = None
            elif lane.asked is None:
                lane.asked = now
            waited = 0.0 if lane.asked is None else now - lane.asked
            if cancelled and waited > CANCEL_S:
                # Its neighbours in the bundle were cancelled by nobody: they run again.
                lane.ending = (Cause.LOST, f"its worker did not end a cancelled trial within {CANCEL_S:g} s")
                lane.doomed = cancelled
            elif flags.stopping and waited > STOP_S:
                lane.ending = (Cause.INTERRUPTED, f"stopped on request; it did not save within {STOP_S:g} s")
            elif now - lane.heard > self._hang_s:
                lane.ending = (Cause.HUNG, f"no progress for {self._hang_s:g} s")
            if lane.ending is not None:
                found.append(lane)
        return found

    # --- what goes out --------------------------------------------------------------------------------

    def orders(self, work: Work) -> list[Order]:
        """Returns a bundle for each idle lane, as far as there are any, and the ends of lanes without use."""
        orders: list[Order] = []
        for lane in [lane for lane in self.lanes.values() if lane.idle]:
            bundle = work.next_bundle(lane.resources)
            if bundle is None:
                continue
            lane.bundle, lane.heard = bundle, self._clock()
            lane.open = {claim.trial.key: claim.epoch for claim in bundle.claims}
            orders.append(Order(lane=lane.name, life=lane.life, bundle=bundle))
        for lane in self._surplus(work):
            del self.lanes[lane.name]
            orders.append(Order(lane=lane.name, life=lane.life))
        return orders

    def _surplus(self, work: Work) -> list[LaneState]:
        idle = [lane for lane in self.lanes.values() if lane.idle]
        if not idle:
            return []
        if work.stopping():
            return []  # the end of the run ends them all
        left = Counter(work.unfinished())
        for lane in self.lanes.values():
            left[lane.resources] -= len(lane.open)
        surplus = [lane for lane in idle if left[lane.resources] <= 0]
        if len(surplus) == len(self.lanes):
            # Tune polls for new lanes slowly once it has none at all: the last one stays to the end.
            surplus.pop()
        return surplus or self._in_the_way(idle, work)

    def _in_the_way(self, idle: Sequence[LaneState], work: Work) -> list[LaneState]:
        """Returns one idle lane that keeps another class from its room, if there is one."""
        now = self._clock()
        starved = {
            lane.resources for lane in self.lanes.values() if not lane.life and now - lane.since > PLACED_S
        }
        for resources, ready in work.demand().items():
            if ready > self._starting(resources) and not self._fits(resources):
                others = [lane for lane in idle if lane.resources != resources]
                if others and self._fits(resources, without=others):
                    starved.add(resources)
        for lane in idle:
            if starved - {lane.resources}:
                return [lane]
        return []

    def wanted(self, work: Work) -> list[LaneState]:
        """Returns new lanes to start, and counts them as there."""
        if work.stopping():
            return []
        new: list[LaneState] = []
        for resources, ready in sorted(work.demand().items()):
            for _ in range(max(0, ready - self._starting(resources))):
                if not self._fits(resources):
                    break
                name = f"lane-{next(self._numbers):03d}"
                lane = LaneState(name=name, resources=resources, since=self._clock())
                self.lanes[lane.name] = lane
                new.append(lane)
        return new

    def _starting(self, resources: Resources) -> int:
        """Returns how many lanes of a class will take a bundle without being asked for."""
        return sum(
            lane.resources == resources and (not lane.life or lane.idle) for lane in self.lanes.values()
        )

    def _fits(self, resources: Resources, *, without: Sequence[LaneState] = ()) -> bool:
        """Returns whether one more lane of a class has room beside the others, packed first fit."""
        away = {lane.name for lane in without}
        lanes = [lane.resources for lane in self.lanes.values() if lane.name not in away]
        if self._limit is not None and len(lanes) >= self._limit:
            return False
        free = list(self.nodes)
        for each in [*sorted(lanes, reverse=True), resources]:
            place = next((i for i, node in enumerate(free) if _room(node, each)), None)
            if place is None:
                return False
            free[place] = _minus(free[place], each)
        return True


def _room(node: Resources, each: Resources) -> int:
    """Returns how many times a class fits into what a node has."""
    tolerance = 1e-9
    ratios = [
        (have + tolerance) // want
        for have, want in (
            (node.cpu, each.cpu),
            (node.gpu, each.gpu),
            (node.memory_gb, each.memory_gb),
        )
        if want
    ]
    return int(min(ratios)) if ratios else 1


def _minus(node: Resources, each: Resources) -> Resources:
    return Resources(
        cpu=node.cpu - each.cpu, gpu=node.gpu - each.gpu, memory_gb=node.memory_gb - each.memory_gb
    )
