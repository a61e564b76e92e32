"""What may run next: a pure bookkeeping of trials, their parents and their states.

Evaluations go before trainings; within a stage the plan's order holds. Trials that fit in one process
leave as one group: fused seeds of a cell, or conditions on the same checkpoints.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.model.fusing import Verdict
from orchestrator.model.plan import Resources, State, Trial, TrialKey

# Conditions evaluated in one process on one set of checkpoints, at most; the rest forms the next group,
# so that a long list of conditions spreads over the free slots.
GROUP_LIMIT = 64
LOOK = 64  # groups that are looked at for one that fits into a bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A trial that cannot run because of a parent."""

    trial: TrialKey
    by: TrialKey
    because: State
    message: str = ""


class Schedule:
    """Ready, waiting and running trials of one submission."""

    def __init__(
        self,
        trials: Mapping[TrialKey, Trial],
        states: Mapping[TrialKey, State],
        *,
        wanted: Collection[TrialKey] | None = None,
    ) -> None:
        """Starts from recorded states.

        Args:
            trials: Every trial of the plan.
            states: Their states; RUNNING means that another driver runs it (see `elsewhere`).
            wanted: The trials that this submission runs, None for all.
        """
        self._trials = dict(trials)
        self._states: dict[TrialKey, State] = {key: states.get(key, State.PENDING) for key in trials}
        self._wanted = frozenset(trials if wanted is None else wanted)
        self._children: dict[TrialKey, list[TrialKey]] = defaultdict(list)
        self._open: dict[Resources, int] = defaultdict(int)
        # class -> heap of (stage rank, order, group id); group id -> its ready trials
        self._queues: dict[Resources, list[tuple[int, int, str]]] = defaultdict(list)
        self._groups: dict[tuple[Resources, str], list[TrialKey]] = {}
        self._demand: dict[Resources, int] = defaultdict(int)  # counted on: it is asked for at each bundle
        self._ready: set[TrialKey] = set()
        self._blocked: list[Blocked] = []
        self.elsewhere: set[TrialKey] = set()
        self._searches: list[TrialKey] = []
        self._asked: set[TrialKey] = set()  # candidates
        for key, trial in trials.items():
            for parent in trial.parents:
                self._children[parent].append(key)
            if key in self._wanted and not self._states[key].final:
                self._open[trial.resources] += 1
                if self._states[key] is State.RUNNING:
                    self.elsewhere.add(key)
        for key in trials:
            self._consider(key)

    # --- questions ----------------------------------------------------------------------------------

    def state(self, key: TrialKey) -> State:
        """Returns the state of a trial as this schedule knows it."""
        return self._states[key]

    def states(self) -> Mapping[TrialKey, State]:
        """Returns all states."""
        return self._states

    @property
    def wanted(self) -> frozenset[TrialKey]:
        """The trials that this submission runs."""
        return self._wanted

    def demand(self) -> dict[Resources, int]:
        """Returns the number of groups that are ready now, by class."""
        return {resources: count for resources, count in self._demand.items() if count}

    def unfinished(self) -> dict[Resources, int]:
        """Returns the number of wanted trials that are not final, by class."""
        return {resources: count for resources, count in self._open.items() if count}

    # --- changes ------------------------------------------------------------------------------------

    def take(
        self, resources: Resources, fits: Callable[[Sequence[Trial]], bool] | None = None
    ) -> list[Trial]:
        """Removes and returns the next ready group of a class; empty when there is none.

        Args:
            resources: The class.
            fits: Which group will do, among the first `LOOK` in order; None for any.
        """
        queue = self._queues[resources]
        passed: list[tuple[int, int, str]] = []
        try:
            return self._taken(resources, queue, fits, passed)
        finally:
            for each in passed:
                heapq.heappush(queue, each)

    def _taken(
        self,
        resources: Resources,
        queue: list[tuple[int, int, str]],
        fits: Callable[[Sequence[Trial]], bool] | None,
        passed: list[tuple[int, int, str]],
    ) -> list[Trial]:
        while queue and len(passed) < LOOK:
            rank, order, group = queue[0]
            keys = self._groups.get((resources, group))
            if not keys:
                heapq.heappop(queue)
                continue
            keys.sort(key=lambda key: self._trials[key].order)
            taken = keys[:GROUP_LIMIT] if rank == 0 else list(keys)
            heapq.heappop(queue)
            if fits is not None and not fits([self._trials[key] for key in taken]):
                passed.append((rank, order, group))
                continue
            rest = keys[len(taken) :]
            self._regroup((resources, group), rest)
            if rest:
                heapq.heappush(queue, (rank, order, group))
            self._ready.difference_update(taken)
            for key in taken:
                self._states[key] = State.RUNNING
            return [self._trials[key] for key in taken]
        return []

    def searches(self, limit: int) -> list[TrialKey]:
        """Removes and returns so many of the searches that are ready: the driver itself runs them."""
        self._searches.sort(key=lambda key: self._trials[key].order)
        ready, self._searches = self._searches[:limit], self._searches[limit:]
        for key in ready:
            self._ready.discard(key)
            self._states[key] = State.RUNNING
        return ready

    def add(self, trials: Mapping[TrialKey, Trial], states: Mapping[TrialKey, State]) -> None:
        """Takes in candidates that a search has asked for, in the states that they are found in."""
        for key, trial in trials.items():
            if key not in self._trials:
                self._trials[key] = trial
                self._states[key] = State.PENDING
                for parent in trial.parents:
                    self._children[parent].append(key)
            self._asked.add(key)
        self.want(states)
        self.found(states)

    def found(self, states: Mapping[TrialKey, State]) -> None:
        """Notes wanted trials in the states that the registry has, should that be another than is known."""
        for key, state in states.items():
            if state is self._states[key]:
                self._consider(key)
            elif state is State.RUNNING:
                self.update(key, State.PENDING)
                self._unready(key)
                self.refused([key])
            else:
                self.update(key, state)

    def update(self, key: TrialKey, state: State) -> None:
        """Notes a new state; children become ready or blocked, a PENDING trial ready again."""
        before = self._states[key]
        self._states[key] = state
        self.elsewhere.discard(key)
        if key in self._wanted and before.final != state.final:
            self._open[self._trials[key].resources] += 1 if before.final else -1
        if state is State.PENDING:
            self._consider(key)
        elif state.final:
            for child in self._children[key]:
                self._consider(child)

    def remake(self, keys: Iterable[TrialKey]) -> None:
        """Notes parents whose checkpoint is gone: they run again, and what reads them waits."""
        for key in keys:
            self._wanted |= {key}
            self.update(key, State.PENDING)

    def want(self, states: Mapping[TrialKey, State]) -> None:
        """Notes trials that are to run after all, in the states that they are found in."""
        for key, state in states.items():
            if key in self._wanted:
                continue
            self._wanted |= {key}
            self._states[key] = State.PENDING
            self._open[self._trials[key].resources] += 1
            if state is State.RUNNING:
                self.refused([key])
            elif state is not State.PENDING:
                self.update(key, state)
        for key in states:
            self._consider(key)

    def regroup(self, key: TrialKey, verdict: Verdict) -> dict[TrialKey, str]:
        """Changes the groups of trainings that waited for a measurement of one's; returns them."""
        groups = verdict.groups(self._trials[key], self._trials.values())
        for each, group in groups.items():
            waiting = each in self._ready
            if waiting:
                slot = _slot(self._trials[each])
                self._regroup(slot, [other for other in self._groups[slot] if other != each])
                self._ready.discard(each)
            self._trials[each] = replace(self._trials[each], group=group)
            if waiting:
                self._consider(each)
        return groups

    def refused(self, keys: Iterable[TrialKey]) -> None:
        """Notes taken trials whose claim was refused: another driver runs them."""
        for key in keys:
            self._states[key] = State.RUNNING
            self.elsewhere.add(key)

    def hold(self, keys: Iterable[TrialKey], *, by: TrialKey, message: str) -> None:
        """Notes trials that wait and are not to be tried, because of another that failed."""
        for key in keys:
            if self._states[key] is State.PENDING and key in self._wanted:
                self._unready(key)
                self._blocked.append(Blocked(trial=key, by=by, because=State.FAILED, message=message))

    def newly_blocked(self) -> Sequence[Blocked]:
        """Returns, once each, the trials found blocked since the last call, parents first."""
        found = []
        while self._blocked:
            blocked = self._blocked.pop(0)
            if self._states[blocked.trial] is not State.PENDING:
                continue
            found.append(blocked)
            self.update(blocked.trial, State.BLOCKED)
        return found

    # --- inside -------------------------------------------------------------------------------------

    def _unready(self, key: TrialKey) -> None:
        if key not in self._ready:
            return
        self._ready.discard(key)
        if key in self._searches:
            self._searches.remove(key)
        for slot, keys in list(self._groups.items()):
            if key in keys:
                self._regroup(slot, [each for each in keys if each != key])
                return

    def _consider(self, key: TrialKey) -> None:
        trial = self._trials[key]
        if key not in self._wanted or self._states[key] is not State.PENDING or key in self._ready:
            return
        parents = trial.parents
        if trial.stage == "tune" and key in self._asked:
            parents = ()  # it runs before its search ends, and once that has asked for it
        for parent in parents:
            state = self._states.get(parent, State.PENDING)
            if state.final and state is not State.SUCCEEDED:
                self._blocked.append(Blocked(trial=key, by=parent, because=state))
                return
        if any(self._states.get(parent) is not State.SUCCEEDED for parent in parents):
            return
        self._ready.add(key)
        if trial.stage == "search":
            self._searches.append(key)
            return
        slot = _slot(trial)
        if slot not in self._groups:
            heapq.heappush(self._queues[trial.resources], (_rank(trial), trial.order, slot[1]))
            self._groups[slot] = []
        keys = self._groups[slot]
        self._demand[trial.resources] += _bundles(len(keys) + 1) - _bundles(len(keys))
        keys.append(key)

    def _regroup(self, slot: tuple[Resources, str], keys: list[TrialKey]) -> None:
        """Replaces the ready trials of a group."""
        self._demand[slot[0]] += _bundles(len(keys)) - _bundles(len(self._groups[slot]))
        if keys:
            self._groups[slot] = keys
        else:
            del self._groups[slot]


def _rank(trial: Trial) -> int:
    return 0 if trial.stage == "evaluate" else 1


def _slot(trial: Trial) -> tuple[Resources, str]:
    """Returns where a trial waits: its class, and the trials that leave together."""
    together = "+".join(trial.parents) if trial.stage == "evaluate" else trial.group
    # a training and what reads it may be ready at once, when it is made again
    return trial.resources, f"{_rank(trial)}:{together or trial.key}"


def _bundles(trials: int) -> int:
    return -(-trials // GROUP_LIMIT)
