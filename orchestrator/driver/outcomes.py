"""From the end of an attempt to the outcome that is committed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from orchestrator.driver.retry import LIMITS, next_state
from orchestrator.model.plan import State, TrialKey
from orchestrator.model.run import Cause, Failed, Failure, Finished, Outcome
from orchestrator.ports import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What follows the end of an attempt.

    Attributes:
        registry: Knows the earlier attempts.
        needed: Trainings whose checkpoint somebody reads.
        limits: Attempts by cause.
        stamp: Added to every result's provenance (code digest, git commit, submission).
    """

    registry: Registry
    needed: Collection[TrialKey]
    limits: dict[Cause, int] = field(default_factory=lambda: dict(LIMITS))
    stamp: Mapping[str, str] = field(default_factory=dict)

    def of(self, event: Finished | Failed, *, since: int) -> Outcome:
        """Returns the outcome of an attempt.

        Args:
            event: Its end.
            since: Epoch of the trial's first attempt by this driver. Earlier ones are not counted
                against it: what took them may have been the driver's own end, and who resumes a
                failed trial wants it tried in full.
        """
        if isinstance(event, Failed):
            return self._failed(event, since)
        if event.checkpoint is None and event.trial in self.needed and event.state is State.SUCCEEDED:
            message = "its last report offered no checkpoint (`save`), which evaluations of it need"
            failure = Failure(cause=Cause.ERROR, message=message)
            return self._failed(Failed(trial=event.trial, epoch=event.epoch, failure=failure), since)
        return Outcome(
            trial=event.trial,
            epoch=event.epoch,
            state=event.state,
            checkpoint=event.checkpoint,
            duration_s=event.duration_s,
            provenance={**event.provenance, **self.stamp},
        )

    def _failed(self, event: Failed, since: int) -> Outcome:
        earlier = [each for each in self.registry.attempts(event.trial) if since <= each.epoch < event.epoch]
        state = next_state(event.failure, earlier, limits=self.limits)
        return Outcome(
            trial=event.trial,
            epoch=event.epoch,
            # A full disk is not the trial's fault, and the driver stops for it.
            state=State.PENDING if event.failure.cause is Cause.DISK else state,
            failure=event.failure,
            duration_s=event.duration_s,
            provenance=dict(self.stamp),
        )
