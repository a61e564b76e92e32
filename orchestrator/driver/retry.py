"""What follows a failed attempt: each cause has its own rule."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.model.plan import State
from orchestrator.model.run import Attempt, Cause, Failure

# Attempts that a trial may lose to one cause before it fails; lost workers are not the trial's fault, but a
# trial that has taken this many workers with it is. Nodes that go, for whatever reason, are nobody's fault.
LIMITS: dict[Cause, int] = {
    Cause.ERROR: 2,
    Cause.OUT_OF_MEMORY: 3,
    Cause.HUNG: 2,
    Cause.CORRUPT: 3,
    Cause.DISK: 3,
    Cause.LOST: 5,
}


def next_state(failure: Failure, earlier: Sequence[Attempt], *, limits: dict[Cause, int] = LIMITS) -> State:
    """Returns the state after a failed attempt: PENDING for another try, FAILED or CANCELLED.

    Args:
        failure: Of the attempt that has just ended.
        earlier: The attempts before it.
        limits: Attempts by cause; 1 means that nothing is retried, a cause without a number always is.
    """
    if failure.cause is Cause.CANCELLED:
        return State.CANCELLED
    if failure.cause is Cause.INTERRUPTED:
        return State.PENDING
    if failure.cause not in limits:
        return State.PENDING
    same_cause = 1 + sum(attempt.outcome == failure.cause.value for attempt in earlier)
    return State.FAILED if same_cause >= limits[failure.cause] else State.PENDING
