"""Searches while they run: candidates are asked for, trained like any trial, and told; the best one decides.

Candidates are asked for some at once, and told together in the order of their numbers. So what is tried
follows from the search alone, never from which training ended first, and a search that was interrupted
goes on by asking and telling the same again: the results of its candidates are there already.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.driver.candidates import candidate_of, mean_curve, metric_curve
from orchestrator.driver.schedule import Schedule
from orchestrator.model.plan import Assignment, State, Trial, TrialKey
from orchestrator.model.result import PartRef, ResultRow
from orchestrator.model.run import (
    Cause,
    Claim,
    Event,
    Failed,
    Failure,
    Finished,
    Lease,
    Outcome,
    Reported,
    made_by,
)
from orchestrator.model.search import EVALUATION, Candidate, Search, Values, best_of
from orchestrator.ports import CheckpointStore, Clock, Registry
from orchestrator.ports.search import Sampling, Searcher

_logger = logging.getLogger(__name__)
BEGUN_AT_ONCE = 8  # searches: each costs some transactions, and the lease is to be renewed in between
SHOW_S = 5.0  # least time between two looks that people are given
SHOW_SHARE = 20  # one part in so many of the time goes there at most
_UNDONE = (State.CANCELLED, State.BLOCKED)

Make = Callable[[TrialKey, int, Values], tuple[Mapping[TrialKey, Trial], Sequence[Assignment]]]
Curves = Callable[[Collection[TrialKey]], Mapping[TrialKey, Mapping[int, float]]]


@dataclass(slots=True, kw_only=True)
class _Open:
    """A search that this driver runs."""

    epoch: int
    sampling: Sampling
    told: list[Candidate] = field(default_factory=list)
    asked: list[Candidate] = field(default_factory=list)  # and not told yet


@dataclass(slots=True, kw_only=True)
class Searches:
    """The searches of one submission.

    Attributes:
        search: As declared: one rule for all of them.
        registry: Where candidates and choices are recorded.
        schedule: Gets the candidates.
        checkpoints: Used to delete those of candidates.
        clock: Time.
        lease: The right to drive the study.
        trials: Every trial that the driver knows; candidates are added.
        searcher: Chooses values.
        make: The trainings of a candidate, and the observations that they are.
        decide: The config of a training by the values that were chosen.
        curves: What trainings with a result reported of the metric: step -> value.
        write: Writes rows as a part.
        stamp: Added to the provenance.
    """

    search: Search
    registry: Registry
    schedule: Schedule
    checkpoints: CheckpointStore
    clock: Clock
    lease: Lease
    trials: MutableMapping[TrialKey, Trial]
    searcher: Searcher
    make: Make
    decide: Callable[[Trial, Values], Mapping[str, Any]]
    curves: Curves
    write: Callable[[Sequence[ResultRow]], PartRef]
    stamp: Mapping[str, str] = field(default_factory=dict)

    _open: dict[TrialKey, _Open] = field(default_factory=dict)
    _curves: dict[TrialKey, dict[int, float]] = field(default_factory=dict)  # of candidates' trainings
    _finished: set[TrialKey] = field(default_factory=set)  # of these, whose curve is whole
    _ending: set[TrialKey] = field(default_factory=set)
    _chosen: dict[TrialKey, Values] = field(default_factory=dict)
    _shown: bool = True
    _show_at: float = 0.0

    # --- what the driver asks -----------------------------------------------------------------------

    def ending(self) -> Collection[TrialKey]:
        """Returns candidates that have been pruned and still run."""
        return self._ending

    def advance(self) -> None:
        """Begins searches that are ready, asks and tells, and ends those that are through."""
        for key in self.schedule.searches(BEGUN_AT_ONCE):
            self._begin(key)
        for key in list(self._open):
            self._go_on(key, self._open[key])

    def cancel(self, keys: Collection[TrialKey]) -> None:
        """Ends searches that somebody asked to cancel, and what they have asked for."""
        for key in self._open.keys() & keys:
            asked = [trial for each in self._open[key].asked for trial in each.trials]
            self.registry.request_cancel(asked)
            failure = Failure(cause=Cause.CANCELLED, message="cancelled on request")
            outcome = Outcome(trial=key, epoch=self._open[key].epoch, state=State.CANCELLED, failure=failure)
            self._end(key, outcome)
            statuses = self.registry.statuses(asked)
            waiting = {
                trial: statuses[trial].state for trial in asked if self.schedule.state(trial) is State.PENDING
            }
            self.schedule.found(waiting)

    def seen(self, event: Event) -> Event:
        """Takes in news of a candidate; returns them, the end of a pruned one as its result."""
        if event.trial not in self.trials or self.trials[event.trial].stage != "tune":
            return event
        metric = self.search.metric
        match event:
            case Reported() if metric in event.metrics:
                self._curves.setdefault(event.trial, {})[event.step] = event.metrics[metric]
                self._prune(self.trials[event.trial])
            case Finished():
                self._curves[event.trial] = metric_curve(event.rows, metric)
                self._finished.add(event.trial)
                self._ending.discard(event.trial)
            case Failed() if event.trial in self._ending:
                self._ending.discard(event.trial)
                if event.failure.cause is Cause.CANCELLED:
                    self._finished.add(event.trial)
                    return self._pruned(event)
        return event

    def without_failed(self, states: Mapping[TrialKey, State]) -> dict[TrialKey, State]:
        """Returns states of trials but for failed candidates of searches that have chosen all the same."""
        return {
            key: state
            for key, state in states.items()
            if state is not State.FAILED
            or self.trials[key].stage != "tune"
            or self.schedule.state(self.trials[key].parents[0]) is not State.SUCCEEDED
        }

    def decided(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """Returns claims of trainings with the config that their search has chosen, which is recorded."""
        configs: dict[TrialKey, Mapping[str, Any]] = {}
        for claim in claims:
            trial = claim.trial
            if trial.stage == "train" and trial.parents:
                configs[trial.key] = self.decide(trial, self._choice(trial.parents[0]))
        if configs:
            self.registry.decide(self.lease, configs)
        return [
            replace(claim, trial=replace(claim.trial, config=configs[claim.trial.key]))
            if claim.trial.key in configs
            else claim
            for claim in claims
        ]

    # --- one search ---------------------------------------------------------------------------------

    def _begin(self, key: TrialKey) -> None:
        claims = self.registry.claim(self.lease, [key])
        if not claims:
            self.schedule.refused([key])
            return
        sampling = self.searcher.begin(self.search, key)
        self._open[key] = _Open(epoch=claims[0].epoch, sampling=sampling)

    def _go_on(self, key: TrialKey, run: _Open) -> None:
        while all(self.schedule.state(trial).final for each in run.asked for trial in each.trials):
            if run.asked and not self._tell(run):
                return
            left = self.search.trials - len(run.told)
            self._show(key, run, last=not left)
            if not left:
                self._conclude(key, run)
                return
            self._ask(key, run, min(left, self.search.parallel))

    def _ask(self, key: TrialKey, run: _Open, count: int) -> None:
        trials: dict[TrialKey, Trial] = {}
        assignments: list[Assignment] = []
        for number in range(len(run.told), len(run.told) + count):
            values = run.sampling.ask()
            own, planned = self.make(key, number, values)
            run.asked.append(Candidate(number=number, values=values, trials=tuple(own)))
            trials.update(own)
            assignments += planned
        known = self.registry.statuses(list(trials))
        wanted = {each for each in trials if each not in known or known[each].state in _UNDONE}
        # Those that are there too become observations of this study, whoever tried them first.
        self.registry.extend(
            self.lease, {each: trials[each] for each in trials if each in wanted}, assignments
        )
        known = self.registry.statuses(list(trials)) if wanted else known
        self.trials.update(trials)
        self.schedule.add(trials, {each: known[each].state for each in trials})

    def _tell(self, run: _Open) -> bool:
        """Judges what was asked for, and returns True; False where something of it is tried again."""
        asked = [trial for each in run.asked for trial in each.trials]
        statuses = self.registry.statuses(asked)
        self.schedule.found({trial: statuses[trial].state for trial in asked})
        if not all(status.state.final for status in statuses.values()):
            return False
        elsewhere = [each for each in asked if statuses[each].state.has_result and each not in self._finished]
        if elsewhere:
            self._curves.update({each: dict(curve) for each, curve in self.curves(elsewhere).items()})
        found = []
        for each in run.asked:
            curves = [self._curves.get(trial, {}) for trial in each.trials]
            found.append(
                candidate_of(
                    each.number,
                    each.values,
                    each.trials,
                    [statuses[trial] for trial in each.trials],
                    curves,
                    points=run.sampling.pruned(each.number, mean_curve(curves)),
                    metric=self.search.metric,
                )
            )
        for candidate in found:  # after all were judged: none is judged by one beside it
            run.sampling.tell(candidate)
            for trial in candidate.trials:
                self._curves.pop(trial, None)
                for checkpoint in self.registry.checkpoints(trial):  # nobody reads a candidate's network
                    self.registry.drop_checkpoint(checkpoint)
                    self.checkpoints.delete(checkpoint)
        self._finished.difference_update(asked)
        run.told += found
        run.asked = []
        return True

    def _conclude(self, key: TrialKey, run: _Open) -> None:
        best = best_of(tuple(run.told), self.search.best)
        if best is None or best.value is None:
            first = next((f": {each.message}" for each in run.told if each.message), "")
            message = f"none of its {len(run.told)} candidates has a value{first}"
            failure = Failure(cause=Cause.ERROR, message=message)
            self._end(key, Outcome(trial=key, epoch=run.epoch, state=State.FAILED, failure=failure))
            return
        self._chosen[key] = best.values
        row = ResultRow(
            trial=key,
            evaluation=EVALUATION,
            seed=self.trials[key].seed,
            metric=self.search.metric,
            value=best.value,
        )
        found = {
            "chosen": dict(best.values),
            "candidate": best.number,
            "tried": [each.trials for each in run.told],
            # of what was pruned, after how many points of its curve
            "points": [len(each.curve) if each.ended == "pruned" else None for each in run.told],
            "importance": dict(self.searcher.importance(self.search, run.told)),
        }
        provenance = {EVALUATION: found, **self.stamp}
        outcome = Outcome(trial=key, epoch=run.epoch, state=State.SUCCEEDED, provenance=provenance)
        self._end(key, outcome, part=self.write([row]))

    def _end(self, key: TrialKey, outcome: Outcome, part: PartRef | None = None) -> None:
        del self._open[key]
        accepted = self.registry.commit(self.lease, outcomes=[outcome], part=part)
        if key in accepted:
            self.schedule.update(key, outcome.state)
        else:
            self.schedule.refused([key])

    # --- candidates ---------------------------------------------------------------------------------

    def _prune(self, trial: Trial) -> None:
        run = self._open.get(trial.parents[0])
        candidate = next((each for each in run.asked if each.number == trial.draw), None) if run else None
        if run is None or candidate is None:
            return
        if (
            run.sampling.pruned(
                candidate.number, mean_curve([self._curves.get(each, {}) for each in candidate.trials])
            )
            is not None
        ):
            self._ending.update(
                each for each in candidate.trials if self.schedule.state(each) is State.RUNNING
            )

    def _pruned(self, event: Failed) -> Finished:
        trial = self.trials[event.trial]
        rows = [
            ResultRow(
                trial=trial.key,
                evaluation="train",
                seed=trial.seed,
                draw=trial.draw,
                step=step,
                metric=self.search.metric,
                value=value,
            )
            for step, value in sorted(self._curves.get(trial.key, {}).items())
        ]
        return Finished(
            trial=trial.key,
            epoch=event.epoch,
            state=State.SUCCEEDED,
            rows=tuple(rows),
            duration_s=event.duration_s,
            provenance={"pruned": True},
        )

    def _choice(self, key: TrialKey) -> Values:
        if key not in self._chosen:
            self._chosen[key] = made_by(self.registry.attempts(key))[EVALUATION]["chosen"]
        return self._chosen[key]

    def _show(self, key: TrialKey, run: _Open, *, last: bool) -> None:
        now = self.clock.monotonic()
        if not self._shown or (now < self._show_at and not last) or not run.told:
            return
        try:
            self.searcher.show(self.search, key, self.trials[key].label, run.told)
        except Exception as error:  # a database of another library's, which shows and decides nothing
            self._shown = False
            _logger.warning("searches are not shown in Optuna's storage: %s", error)
        after = self.clock.monotonic()
        self._show_at = after + max(SHOW_S, SHOW_SHARE * (after - now))
