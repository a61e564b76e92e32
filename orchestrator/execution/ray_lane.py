"""A lane: a Tune trial that is a long-lived worker of one resource class and pulls bundles from the hub."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from typing import Any

import ray
from ray import tune
from ray.tune import PlacementGroupFactory

from orchestrator.execution.effort import Control, Site, Worker, placement_of
from orchestrator.execution.ray_messages import Flags, Joined, Order
from orchestrator.execution.worker import run_bundle
from orchestrator.model.plan import Resources
from orchestrator.model.run import Bundle, Event, Failed, Finished

GATHER_S = 0.02  # events that come so close together travel together
FLAGS_S = 0.5  # how often a lane that has nothing to tell looks for flags
SHARED_S = 0.25  # bundles that end so soon after each other are one result for Tune
ORDER_WAIT_S = 5.0  # a long poll; an order that comes ends it
GB = 1024**3


class LifeOverError(Exception):
    """The driver has declared this worker lost; its trials belong to somebody else by now."""


class Outbox:
    """Sends a lane's events in the background and brings back the flags; the order is kept."""

    def __init__(self, hub: Any, lane: str, life: str) -> None:
        """Takes the hub's handle and the lane's name and life."""
        self._hub = hub
        self._lane = lane
        self._life = life
        self._waiting: list[Event] = []
        self._flags = Flags()
        self._sending = threading.Lock()
        self._some = threading.Event()
        self._closed = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._pump, name="orch-outbox", daemon=True)
        self._thread.start()

    def emit(self, event: Event) -> None:
        """Queues an event."""
        self._waiting.append(event)
        self._some.set()

    def control(self) -> Control:
        """Returns what the driver wants, as last heard.

        Raises:
            LifeOverError: The driver has given this lane up, or cannot be reached.
        """
        if self._error is not None or self._flags.void:
            raise LifeOverError(f"lane {self._lane} was given up") from self._error
        return Control(stopping=self._flags.stopping, cancelled=self._flags.cancelled)

    def finish(self, bundle: Bundle) -> None:
        """Sends what is left and that the bundle is over."""
        self.control()
        self._send(bundle.id)

    def close(self) -> None:
        """Ends the background thread."""
        self._closed.set()
        self._some.set()

    def refresh(self) -> None:
        """Fetches the flags now."""
        self._send("")

    def _pump(self) -> None:
        while not self._closed.is_set():
            self._some.wait(FLAGS_S)
            self._closed.wait(GATHER_S)
            if self._closed.is_set():
                return
            try:
                self._send("")
            except Exception as error:
                self._error = error
                return

    def _send(self, done: str) -> None:
        with self._sending:
            self._some.clear()
            count = len(self._waiting)  # `emit` may append meanwhile
            events = tuple(self._waiting[:count])
            del self._waiting[:count]
            self._flags = ray.get(self._hub.tell.remote(self._lane, self._life, events, done))


class Lane(tune.Trainable):  # type: ignore[misc]
    """Runs one bundle a step, until it is told to end."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
        """Returns what a lane of the config's class holds."""
        return PlacementGroupFactory([bundle_of(Resources(**config["resources"]))])

    def setup(self, config: dict[str, Any]) -> None:
        """Joins the hub and learns what all bundles need."""
        # Relative paths mean the same as in the driver, where that directory exists on this node.
        with contextlib.suppress(OSError):
            os.chdir(config["cwd"])
        self._lane: str = config["lane"]
        self._life = uuid.uuid4().hex
        self._hub = ray.get_actor(config["hub"])
        context = ray.get_runtime_context()
        accelerators = context.get_accelerator_ids().get("GPU", [])
        self._site = Site(
            placement=placement_of(Resources(**config["resources"])),
            lane=self._lane,
            accelerators=tuple(str(each) for each in accelerators),
        )
        joined = Joined(
            lane=self._lane,
            life=self._life,
            identity=self._site.identity(),
            node=context.get_node_id(),
            # the hub would import this module to read it
            actor=ray.cloudpickle.dumps(context.current_actor),
        )
        self._worker: Worker = ray.get(self._hub.join.remote(joined))

    def step(self) -> dict[str, Any]:
        """Runs the next bundle, and short ones that follow at once; returns what Tune shows of them.

        A result costs Tune's controller milliseconds, so bundles shorter than that share one.
        """
        began = time.monotonic()
        done: list[dict[str, Any]] = []
        while not done or time.monotonic() - began < SHARED_S:
            order = self._order(GATHER_S if done else None)
            if order is None:
                break
            if order.bundle is None:
                return {**(done[-1] if done else {}), "bundles": done, "done": True}
            done.append(self._run(order.bundle))
        return {**done[-1], "bundles": done, "done": False}

    def _run(self, bundle: Bundle) -> dict[str, Any]:
        """Runs one bundle and returns a line about it."""
        show(f"orch {bundle.study}: {bundle.label}")
        outbox = Outbox(self._hub, self._lane, self._life)
        states: list[str] = []

        def emit(event: Event) -> None:
            if isinstance(event, Finished):
                states.append(event.state.value)
            elif isinstance(event, Failed):
                states.append(event.failure.cause.value)
            outbox.emit(event)

        try:
            run_bundle(bundle, self._worker, site=self._site, emit=emit, control=outbox.control)
            outbox.finish(bundle)
        finally:
            outbox.close()
            show(f"orch {bundle.study}: idle")
        return {
            "study": bundle.study,
            "cell": bundle.label,
            "seed": bundle.claims[0].trial.seed,
            "state": ", ".join(sorted(set(states))),
            "trials": len(states),
        }

    def _order(self, patience_s: float | None) -> Order | None:
        """Returns the next order; None when none came in time.

        Args:
            patience_s: How long to wait, None for ever.

        Raises:
            LifeOverError: The driver has given this lane up: Tune starts it anew.
        """
        while True:
            wait_s = ORDER_WAIT_S if patience_s is None else patience_s
            order: Order | None = ray.get(self._hub.next_order.remote(self._lane, self._life, wait_s))
            if order is not None and order.life != self._life:
                raise LifeOverError(f"lane {self._lane} was given up")
            if order is not None or patience_s is not None:
                return order


def bundle_of(resources: Resources) -> dict[str, float]:
    """Returns what Ray is asked to reserve for one lane."""
    wanted = {"CPU": resources.cpu, "GPU": resources.gpu, "memory": resources.memory_gb * GB}
    found = {name: value for name, value in wanted.items() if value}
    return found or {"CPU": 0.001}  # Ray refuses an empty reservation


def show(title: str) -> None:
    """Makes `ps` and Ray's dashboard say what this process works on."""
    ray._raylet.setproctitle(f"ray::{title}")
