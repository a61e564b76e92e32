"""Runs bundles on Ray: one `Tuner.fit` a submission, whose trials are lanes that pull bundles from a hub.

Tune places lanes on the cluster, starts them and restarts lost ones; what must not be lost (what is ready,
claimed, committed) stays with the caller. A Tune trial for each bundle instead would cost a worker's
start each (about a second), or with reused actors a slot that does not come back after a worker was killed.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.errors import OrchError
from orchestrator.execution.effort import Worker
from orchestrator.execution.ray_cluster import Cluster, Join, connected, nodes
from orchestrator.execution.ray_fleet import HANG_S, Fleet
from orchestrator.execution.ray_head import SAFE, Head, node_gone, within
from orchestrator.execution.ray_messages import Flags, Joined, Message, Order
from orchestrator.model.run import Event
from orchestrator.ports import Executor, Work

POLL_S = 0.25  # a long poll of the hub; news end it
HUB_S = 60.0  # a hub that is silent for so long is gone
ASK_S = 2.0  # meanwhile it is looked whether the cluster's head is there
NODES_S = 5.0  # how often nodes are counted: they may come and go
END_S = 15.0  # how long lanes may take to end before they are killed


class RayTuneExecutor:
    """Runs bundles in lanes on a Ray cluster."""

    def __init__(
        self,
        worker: Worker,
        *,
        join: Join | None = None,
        max_concurrent: int | None = None,
        hang_s: float = HANG_S,
        cpus: int | None = None,
        gpus: int | None = None,
        dashboard: bool = False,
    ) -> None:
        """Connects to nothing yet.

        Args:
            worker: Checkpoints, logs, and how to find workloads; picklable.
            join: A cluster to join; None starts a local one that ends with the run.
            max_concurrent: Bundles at once, at most; None for what fits.
            hang_s: How long a worker with a bundle may make no progress before it is ended as HUNG.
            cpus: CPUs of the local cluster, None for this machine's.
            gpus: GPUs of the local cluster, None for this machine's.
            dashboard: Whether the local cluster serves Ray's dashboard.
        """
        self._worker = worker
        self._join = join
        self._max_concurrent = max_concurrent
        self._hang_s = hang_s
        self._cpus = cpus
        self._gpus = gpus
        self._dashboard = dashboard

    def run(self, work: Work) -> Iterator[Sequence[Event]]:
        """Yields what happened, until no work is left (see `ports.Executor`).

        Raises:
            TargetError: The cluster cannot be reached, or no node can ever hold a class of the work.
        """
        with connected(self._join, cpus=self._cpus, gpus=self._gpus, dashboard=self._dashboard) as cluster:
            groups = self._join.groups if self._join is not None else ()
            fleet = Fleet(
                cluster.nodes,
                groups=groups,
                max_concurrent=self._max_concurrent,
                hang_s=self._hang_s,
                node_gone=node_gone,
            )
            fleet.check([resources for resources, count in work.unfinished().items() if count])
            run = _Run(self._worker, cluster, fleet, work)
            try:
                yield ()
                yield from run.batches()
            finally:
                run.close()


class _Run:
    """One run: the hub, the lanes, and the loop between them and the caller."""

    def __init__(self, worker: Worker, cluster: Cluster, fleet: Fleet, work: Work) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from orchestrator.execution.ray_controller import Controller
        from orchestrator.execution.ray_hub import Hub

        self._ray = ray
        self._fleet = fleet
        self._work = work
        self._flags = Flags()
        self._head = Head(ray.get_runtime_context().gcs_address)
        hub_name = f"orch-hub-{uuid.uuid4().hex[:12]}"
        # Methods wait inside the hub for news, one for each lane and one for the driver.
        # It is on the driver's own node: another node's death must not end the run.
        here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
        actor = ray.remote(num_cpus=0, max_concurrency=100_000, scheduling_strategy=here)(Hub)
        self._hub = actor.options(name=hub_name).remote(worker)
        # Not waited for: lanes start meanwhile, and the first exchange finds out whether it runs.
        self._controller = Controller(
            hub=self._hub,
            common={"hub": hub_name, "cwd": os.getcwd()},
            directory=cluster.directory,
        )

    def batches(self) -> Iterator[Sequence[Event]]:
        fleet, work = self._fleet, self._work
        looked = time.monotonic()
        while True:
            stopping = work.stopping()
            if not fleet.busy and (stopping or not any(work.unfinished().values())):
                return
            orders = fleet.orders(work)
            for lane in fleet.wanted(work):
                self._controller.start(lane.name, lane.resources)
            self._flags = Flags(stopping=stopping, cancelled=frozenset(work.cancelled()))
            for lane in fleet.overdue(self._flags):
                self._ray.kill(lane.actor)
            if time.monotonic() - looked > NODES_S:
                fleet.resize(within(nodes, NODES_S) or fleet.nodes)
                looked = time.monotonic()
            self._head.check()
            yield tuple(fleet.take_in(self._exchange(orders, POLL_S)))
            self._controller.check()

    def close(self) -> None:
        """Ends all lanes, gently when they are idle, and the hub."""
        fleet = self._fleet
        self._controller.finish()
        if self._head.lost:
            return  # whatever is asked of the cluster waits for its head; lanes end without it
        try:
            self._exchange([Order(lane=name, life=lane.life) for name, lane in fleet.lanes.items()], 0.0)
        except Exception:
            # The cluster may be gone, which may be why we are here.
            logging.getLogger(__name__).debug("the hub did not answer at the end", exc_info=True)
        for lane in fleet.lanes.values():
            if lane.bundle is not None and lane.actor is not None:
                self._ray.kill(lane.actor)
        self._controller.join(END_S)
        self._ray.kill(self._hub)

    def _exchange(self, orders: Sequence[Order], wait_s: float) -> Sequence[Message]:
        messages: Sequence[Message] = self._ask(self._hub.exchange.remote(orders, self._flags, wait_s))
        return [self._read(each) if isinstance(each, Joined) else each for each in messages]

    def _read(self, joined: Joined) -> Joined:
        # Here and not when it is needed: Ray asks the head for it, which may be gone by then.
        return replace(joined, actor=self._ray.cloudpickle.loads(joined.actor))

    def _ask(self, reference: Any) -> Any:
        from ray.exceptions import GetTimeoutError, RayError

        until = time.monotonic() + HUB_S
        while True:
            try:
                return self._ray.get(reference, timeout=ASK_S)
            except GetTimeoutError as error:
                self._head.check()
                if time.monotonic() > until:
                    raise _lost_cluster(error) from error
            except RayError as error:
                raise _lost_cluster(error) from error


def _lost_cluster(error: Exception) -> OrchError:
    from orchestrator.errors import TargetError

    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return TargetError(f"the Ray cluster does not answer any more: {line}. {SAFE}")


def _fits(executor: RayTuneExecutor) -> Executor:
    return executor
