"""What driver, hub and lanes say to each other; plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from orchestrator.model.plan import TrialKey
from orchestrator.model.run import Bundle, Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a lane is to do next: a bundle, or to end when there is none.

    Attributes:
        lane: The lane.
        life: The life of the lane that the driver knew; for another one the order is void.
        bundle: What to run.
    """

    lane: str
    life: str
    bundle: Bundle | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What lanes look at between reports.

    Attributes:
        stopping: Running trials are to save and end.
        cancelled: These are to end.
        void: The lane's life is over in the driver's eyes: nothing it sends counts any more.
    """

    stopping: bool = False
    cancelled: frozenset[TrialKey] = frozenset()
    void: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A lane began a life and waits for orders."""

    lane: str
    life: str
    identity: Mapping[str, Any] = field(default_factory=dict)
    node: str = ""  # Ray's id of the node that it is on
    actor: Any = None  # handle, to end a lane that does not listen; pickled while it is in the hub


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Events of a lane; with `done` its bundle is over."""

    lane: str
    life: str
    events: Sequence[Event] = ()
    done: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A life of a lane ended unasked ("" when it never joined)."""

    lane: str
    life: str
    reason: str = ""


Message: TypeAlias = Joined | Told | Lost
