"""Lanes: how many, for whom, and what becomes of their trials. No Ray in here."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from orchestrator.errors import TargetError
from orchestrator.execution.ray_fleet import CANCEL_S, STILLBORN_LIMIT, STOP_S, Fleet, LaneState
from orchestrator.execution.ray_messages import Flags, Joined, Lost, Message, Order, Told
from orchestrator.model.groups import node_groups
from orchestrator.model.plan import Resources, State, Trial
from orchestrator.model.run import Cause, Event, Failed, Finished, Started
from tests.contracts.execution_fixtures import ListWork, evaluation, training

ONE, TWO, GPU = Resources(cpu=1), Resources(cpu=2), Resources(cpu=1, gpu=1)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Rig:
    """A fleet, its work, and workers that are played by hand."""

    def __init__(self, work: ListWork, *nodes: Resources, max_concurrent: int | None = None) -> None:
        self.clock = Clock()
        self.work = work
        self.gone: set[str] = set()  # nodes that do not answer any more
        self.fleet = Fleet(
            nodes or (TWO,),
            max_concurrent=max_concurrent,
            clock=self.clock,
            hang_s=600,
            node_gone=self.gone.__contains__,
        )
        self.lives = 0

    def turn(self) -> tuple[list[Order], list[LaneState]]:
        return self.fleet.orders(self.work), self.fleet.wanted(self.work)

    def hear(self, *messages: Message) -> list[Event]:
        events = list(self.fleet.take_in(messages))
        self.work.commit(events)
        return events

    def join(self, *lanes: LaneState) -> None:
        for lane in lanes:
            self.lives += 1
            self.hear(Joined(lane=lane.name, life=f"life-{self.lives}", node="node-1"))

    def finish(self, order: Order) -> list[Event]:
        assert order.bundle is not None
        events: list[Event] = []
        for claim in order.bundle.claims:
            key, epoch = claim.trial.key, claim.epoch
            events += [
                Started(trial=key, epoch=epoch),
                Finished(trial=key, epoch=epoch, state=State.SUCCEEDED, rows=()),
            ]
            self.work.saved.setdefault(key, None)  # type: ignore[arg-type]
        return self.hear(Told(lane=order.lane, life=order.life, events=events, done=order.bundle.id))

    def open(self, *, classes: Sequence[Resources] = ()) -> list[Order]:
        _, lanes = self.turn()
        self.join(*lanes)
        return self.turn()[0]


def trainings(count: int, resources: Resources = ONE) -> list[Trial]:
    return [training(seed, x=resources.cpu, resources=resources) for seed in range(count)]


@pytest.mark.parametrize(
    ("nodes", "resources", "slots"),
    [
        ([TWO], ONE, 2),
        ([TWO], Resources(cpu=0.1), 20),
        ([TWO, TWO], TWO, 2),
        ([Resources(cpu=3), Resources(cpu=3)], TWO, 2),  # not 3: no lane spans nodes
        ([TWO], GPU, 0),
        ([Resources(cpu=8, gpu=2, memory_gb=16)], Resources(cpu=1, gpu=0.5, memory_gb=6), 2),
        ([TWO], Resources(cpu=0), 1),
    ],
)
def test_slots(nodes: list[Resources], resources: Resources, slots: int) -> None:
    assert Fleet(nodes).slots(resources) == slots


def test_a_class_that_fits_no_node_is_refused_with_both_numbers() -> None:
    fleet = Fleet([TWO, ONE])
    fleet.check([ONE, TWO])
    with pytest.raises(TargetError, match=r"no node can ever hold 64 CPU.*1 CPU, 2 CPU"):
        fleet.check([ONE, Resources(cpu=64)])


@pytest.mark.parametrize(
    ("ready", "limit", "lanes"), [(1, None, 1), (2, None, 2), (9, None, 2), (9, 1, 1), (0, None, 0)]
)
def test_lanes_wanted(ready: int, limit: int | None, lanes: int) -> None:
    rig = Rig(ListWork(trials=trainings(ready)), max_concurrent=limit)
    assert len(rig.turn()[1]) == lanes
    assert rig.turn()[1] == []  # they are on their way: nobody asks again


def test_an_idle_lane_gets_the_next_bundle_and_the_last_stays() -> None:
    rig = Rig(ListWork(trials=trainings(3)))
    first, second = rig.open()
    assert first.bundle is not None
    rig.finish(first)
    (third,), _ = rig.turn()
    assert third.lane == first.lane
    assert third.bundle is not None
    rig.finish(second)
    (end,), _ = rig.turn()  # what is left is in the other lane's hands
    assert (end.lane, end.bundle) == (second.lane, None)
    rig.finish(third)
    assert rig.turn() == ([], [])
    assert not rig.fleet.busy


def test_a_lost_lane_gives_up_only_what_is_open_and_late_news_is_dropped() -> None:
    parent = training(0)
    children = [evaluation(parent, by=float(by)) for by in range(3)]
    work = ListWork(trials=[parent, *children])
    rig = Rig(work)
    rig.finish(rig.open()[0])
    (order,), _ = rig.turn()
    assert order.bundle is not None
    first = order.bundle.claims[0]
    done = Finished(trial=first.trial.key, epoch=first.epoch, state=State.SUCCEEDED, rows=())
    assert rig.hear(Told(lane=order.lane, life=order.life, events=[done])) == [done]
    events = rig.hear(Lost(lane=order.lane, life=order.life, reason="gone"))
    assert [event.trial for event in events] == [c.trial.key for c in order.bundle.claims[1:]]
    assert {event.failure.cause for event in events if isinstance(event, Failed)} == {Cause.LOST}
    late = Finished(trial=children[1].key, epoch=1, state=State.SUCCEEDED, rows=())
    assert rig.hear(Told(lane=order.lane, life=order.life, events=[late])) == []
    assert rig.hear(Lost(lane=order.lane, life=order.life)) == []
    assert rig.turn() == ([], [])  # the lane is being restarted: no new one is asked for
    rig.join(rig.fleet.lanes[order.lane])
    (again,), _ = rig.turn()
    assert again.bundle is not None
    assert [claim.epoch for claim in again.bundle.claims] == [2, 2]


def test_a_worker_goes_with_its_node() -> None:
    rig = Rig(ListWork(trials=trainings(1)))
    (order,) = rig.open()
    (event,) = rig.hear(Lost(lane=order.lane, life=order.life, reason="The actor is unavailable"))
    assert isinstance(event, Failed)
    assert event.failure.cause is Cause.LOST
    rig.join(rig.fleet.lanes[order.lane])
    (order,), _ = rig.turn()
    rig.gone.add("node-1")
    (event,) = rig.hear(Lost(lane=order.lane, life=order.life, reason="The actor is unavailable"))
    assert isinstance(event, Failed)
    assert event.failure.cause is Cause.NODE_LOST


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("killed due to the node running low on memory", Cause.OUT_OF_MEMORY),
        (
            "The actor died because its node has died. Node Id: 1f the actor's node was terminated "
            "unexpectedly: health check failed due to missing too many heartbeats",
            Cause.NODE_LOST,
        ),
        (
            "The actor died because its node has died. Node Id: 1f the actor's node was preempted: reclaimed",
            Cause.PREEMPTED,
        ),
        ("Worker unexpectedly exits with a connection error code 2. End of file.", Cause.LOST),
    ],
)
def test_what_ended_a_worker_is_told_as_such(reason: str, cause: Cause) -> None:
    rig = Rig(ListWork(trials=trainings(1)))
    (order,) = rig.open()
    (event,) = rig.hear(Lost(lane=order.lane, life=order.life, reason=reason))
    assert isinstance(event, Failed)
    assert event.failure.cause is cause


def test_workers_that_cannot_begin_end_the_run_with_the_reason() -> None:
    rig = Rig(ListWork(trials=trainings(1)))
    _, (lane,) = rig.turn()
    for _ in range(STILLBORN_LIMIT - 1):
        rig.hear(Lost(lane=lane.name, life="", reason="No module named 'mine'"))
    with pytest.raises(TargetError, match="No module named 'mine'"):
        rig.hear(Lost(lane=lane.name, life="", reason="No module named 'mine'"))


def test_a_class_without_room_follows_when_another_has_nothing_to_do() -> None:
    wide = trainings(1, TWO)
    narrow = [evaluation(wide[0], resources=ONE)]
    rig = Rig(ListWork(trials=[*wide, *narrow]))
    (order,) = rig.open()
    rig.finish(order)
    orders, lanes = rig.turn()
    assert [(o.lane, o.bundle) for o in orders] == [(order.lane, None)]
    assert [lane.resources for lane in lanes] == [ONE]


def test_an_idle_lane_gives_way_to_one_that_finds_no_room() -> None:
    first, second = training(0, resources=ONE), training(1, resources=TWO)
    child = evaluation([first, second], "vote", resources=ONE)  # keeps class ONE unfinished
    rig = Rig(ListWork(trials=[first, second, child]), Resources(cpu=3))
    _, lanes = rig.turn()
    one, two = sorted(lanes, key=lambda lane: lane.resources)
    rig.join(one)  # the other finds no room: somebody else uses the cluster
    (order,), _ = rig.turn()
    rig.finish(order)
    assert rig.turn()[0] == []
    rig.clock.now += 60
    assert [(o.lane, o.bundle) for o in rig.turn()[0]] == [(one.name, None)]
    assert two.name in rig.fleet.lanes


def test_an_idle_lane_stays_when_its_room_would_help_nobody() -> None:
    first = training(0, resources=ONE)
    wide = trainings(3, TWO)
    child = evaluation([first, wide[0]], "vote", resources=ONE)
    rig = Rig(ListWork(trials=[first, *wide, child]), Resources(cpu=3))
    orders = rig.open()
    assert len(orders) == 2
    rig.finish(next(order for order in orders if order.bundle and order.bundle.resources == ONE))
    assert rig.turn() == ([], [])  # one CPU more would not hold a second wide lane


def test_stopping_starts_nothing_and_keeps_what_runs() -> None:
    rig = Rig(ListWork(trials=trainings(3)))
    rig.open()
    rig.work.stop = True
    assert rig.turn() == ([], [])
    assert rig.fleet.busy


def test_deaf_silent_and_stubborn_workers_are_ended() -> None:
    trials = [training(seed, group="g") for seed in range(2)]
    other = training(5)
    rig = Rig(ListWork(trials=[*trials, other]))
    orders = rig.open()
    fused = next(o for o in orders if o.bundle and len(o.bundle.claims) == 2)
    cancelled = Flags(cancelled=frozenset({trials[0].key}))
    assert rig.fleet.overdue(cancelled) == []
    rig.clock.now += CANCEL_S + 1
    (lane,) = rig.fleet.overdue(cancelled)
    assert lane.name == fused.lane
    assert rig.fleet.overdue(cancelled) == []  # once
    events = rig.hear(Lost(lane=fused.lane, life=fused.life))
    causes = {event.trial: event.failure.cause for event in events if isinstance(event, Failed)}
    assert causes == {trials[0].key: Cause.CANCELLED, trials[1].key: Cause.LOST}

    (alone,) = (o for o in orders if o is not fused)
    rig.clock.now += 601
    (lane,) = rig.fleet.overdue(Flags())
    assert lane.name == alone.lane
    (event,) = rig.hear(Lost(lane=alone.lane, life=alone.life))
    assert isinstance(event, Failed)
    assert event.failure.cause is Cause.HUNG

    rig.join(rig.fleet.lanes[alone.lane])
    (order,), _ = rig.turn()
    stopping = Flags(stopping=True)
    assert rig.fleet.overdue(stopping) == []
    rig.clock.now += STOP_S + 1
    assert [lane.name for lane in rig.fleet.overdue(stopping)] == [order.lane]
    events = rig.hear(Lost(lane=order.lane, life=order.life))
    assert {e.failure.cause for e in events if isinstance(e, Failed)} == {Cause.INTERRUPTED}


def test_new_nodes_make_room() -> None:
    rig = Rig(ListWork(trials=trainings(4)))
    assert len(rig.turn()[1]) == 2
    rig.fleet.resize([TWO, TWO])
    assert len(rig.turn()[1]) == 2


def test_nodes_that_an_autoscaler_may_add_are_asked_for_by_lanes() -> None:
    groups = node_groups("3 x 2 CPU, 1 x 1 CPU + 1 GPU")
    fleet = Fleet([TWO], groups=groups)
    assert (fleet.slots(ONE), fleet.slots(GPU)) == (3 * 2 + 1, 1)
    fleet.check([GPU])
    with pytest.raises(TargetError, match="scales_to"):
        fleet.check([Resources(cpu=4)])
    fleet.resize([TWO, TWO, GPU])  # some came: there are no more than before
    assert (fleet.slots(ONE), fleet.slots(GPU)) == (3 * 2 + 1, 1)
    fleet.resize([TWO] * 5)  # more than were told
    assert (fleet.slots(ONE), fleet.slots(GPU)) == (5 * 2 + 1, 1)
    fleet.resize([])
    assert fleet.slots(TWO) == 3
