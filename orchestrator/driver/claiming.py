"""From what is ready to claimed bundles, and what of it runs at this moment."""

from __future__ import annotations

import itertools
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.driver.progress import Meter
from orchestrator.driver.schedule import Schedule
from orchestrator.model.fusing import UNDECIDED, Verdict
from orchestrator.model.plan import Resources, State, Trial, TrialKey
from orchestrator.model.run import Bundle, Cause, Claim, Event, Failed, Lease, Outcome, Started
from orchestrator.ports import CheckpointStore, Registry

# Trainings that will take no longer than SHORT_S travel several to a bundle, of BUNDLE_S at most: claiming
# and ordering each by itself would take longer than training it. Longer ones travel alone.
SHORT_S = 0.1
BUNDLE_S = 0.5
BUNDLE_LIMIT = 64
LEAST_S = 1e-3  # what the shortest training counts
_logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Claims:
    """Claims bundles for one submission and remembers them until their trials end.

    Attributes:
        registry: Where trials are claimed.
        schedule: What may run next.
        lease: The right to drive the study.
        meter: How long trainings took lately.
        study: The study's name.
        data: Directory of the data sets.
        checkpoint_interval_s: Least time between two checkpoints of a running training.
        running: Trial -> epoch of what runs now.
        since: Trial -> epoch of its first attempt here: what came before is not charged to it again.
        slots: The most bundles that were seen at work at once.
        decided: Fills in what searches have chosen.
    """

    registry: Registry
    schedule: Schedule
    lease: Lease
    meter: Meter
    study: str
    data: str
    checkpoint_interval_s: float
    running: dict[TrialKey, int] = field(default_factory=dict)
    since: dict[TrialKey, int] = field(default_factory=dict)
    slots: int = 1
    decided: Callable[[Sequence[Claim]], Sequence[Claim]] = lambda claims: claims

    _bundles: dict[TrialKey, str] = field(default_factory=dict)  # running trial -> its bundle
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def next_bundle(self, resources: Resources) -> Bundle | None:
        """Claims and returns the next ready bundle of a class, None when there is none."""
        while group := self.schedule.take(resources):
            parents = {key: self.registry.checkpoint(key) for key in group[0].networks}
            succeeded = {key for key in parents if self.schedule.state(key) is State.SUCCEEDED}
            if lost := [key for key in succeeded if parents[key] is None]:
                self.remake(lost)
            if any(self.schedule.state(key) is not State.SUCCEEDED for key in parents):
                for trial in group:  # which became ready before a parent had to be made again
                    self.schedule.update(trial.key, State.PENDING)
                continue
            group += self._more_like(group, resources)
            claims = self.registry.claim(self.lease, [trial.key for trial in group])
            taken = {claim.trial.key for claim in claims}
            self.schedule.refused(trial.key for trial in group if trial.key not in taken)
            if not claims:
                continue
            claims = self.decided(claims)
            number = f"{self.lease.owner.driver}-{next(self._numbers)}"
            for claim in claims:
                self.running[claim.trial.key] = claim.epoch
                self.since.setdefault(claim.trial.key, claim.epoch)
                self._bundles[claim.trial.key] = number
            self.slots = max(self.slots, len(set(self._bundles.values())))
            first = group[0]
            return Bundle(
                id=number,
                stage=first.stage,
                claims=tuple(claims),
                parents=tuple(each for each in parents.values() if each is not None),
                resources=resources,
                study=self.study,
                data=self.data,
                checkpoint_interval_s=self.checkpoint_interval_s,
            )
        return None

    def remake(self, keys: Collection[TrialKey]) -> None:
        """Lets parents be trained again whose checkpoint is gone, whatever result they have."""
        outcomes = [Outcome(trial=key, epoch=None, state=State.PENDING) for key in keys]
        accepted = self.registry.commit(self.lease, outcomes=outcomes)
        _logger.warning("%d trainings are made again: their checkpoints are gone", len(accepted))
        self.schedule.remake(accepted)
        self.schedule.refused(key for key in keys if key not in accepted)

    def forget_damaged(
        self, batch: Sequence[Event], trials: Mapping[TrialKey, Trial], checkpoints: CheckpointStore
    ) -> None:
        """Forgets parents' checkpoints that an evaluation could not read; those parents are made again."""
        for event in batch:
            trial = trials.get(event.trial)
            failed = isinstance(event, Failed) and event.failure.cause is Cause.CORRUPT
            if trial is None or not failed:
                continue
            damaged = []
            for parent in trial.networks:
                checkpoint = self.registry.checkpoint(parent)
                if checkpoint is not None and checkpoints.check(checkpoint) is not None:
                    # An older one is where the training goes on from, not what it came to.
                    self.registry.drop_checkpoint(checkpoint)
                    damaged.append(parent)
            if damaged:
                self.remake(damaged)

    def tried(self, event: Started) -> None:
        """Records the groups that follow where a worker tried to train seeds as one network."""
        if (plain := event.worker.get("fusing")) is not None:
            groups = self.schedule.regroup(event.trial, Verdict.from_plain(plain))
            if groups:
                self.registry.regroup(self.lease, groups)

    def over(self, key: TrialKey) -> None:
        """Forgets a trial whose attempt has ended."""
        self.running.pop(key, None)
        self._bundles.pop(key, None)

    def by_class(self, trials: Mapping[TrialKey, Trial]) -> Mapping[Resources, int]:
        """Returns the number of trials that run now, by class."""
        found: dict[Resources, int] = defaultdict(int)
        for key in self.running:
            found[trials[key].resources] += 1
        return found

    def _more_like(self, group: Sequence[Trial], resources: Resources) -> list[Trial]:
        """Takes further trainings along when they are short and enough is left for the other slots."""
        left_s = BUNDLE_S - self._predicted_s(group)
        if group[0].stage != "train" or left_s < BUNDLE_S - SHORT_S:
            return []
        fair = self.schedule.demand().get(resources, 0) // (2 * self.slots)
        more: list[Trial] = []
        for _ in range(min(fair, BUNDLE_LIMIT)):

            def fits(others: Sequence[Trial], room_s: float = left_s) -> bool:
                return others[0].stage == "train" and self._predicted_s(others) <= min(SHORT_S, room_s)

            others = self.schedule.take(resources, fits)
            if not others:
                break
            left_s -= self._predicted_s(others)
            more += others
        return more

    def _predicted_s(self, group: Sequence[Trial]) -> float:
        """Returns how long a group will take; fused seeds end together, of unknown ones nobody can say."""
        if group[0].group.startswith(UNDECIDED):
            return math.inf  # its seeds are tried first
        predicted = [self.meter.predicted_s(trial) for trial in group]
        return max(math.inf if each is None else max(each, LEAST_S) for each in predicted)
