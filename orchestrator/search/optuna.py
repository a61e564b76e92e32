"""Searches by Optuna's own samplers and pruners, asked and told.

Nothing of a search is kept here: the candidates that are recorded are, and a search that goes on is asked
and told the same again. So a search needs no storage of Optuna's; `show` fills one for its dashboard.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from orchestrator.model.plan import TrialKey
from orchestrator.model.search import Candidate, Parameter, Pruner, Search, Values
from orchestrator.ports.search import Curve, Sampling, Searcher

_logger = logging.getLogger(__name__)
LEAST_FOR_IMPORTANCE = 4  # complete candidates; of fewer nothing can be said
_LONGEST = 400  # of a name of a study there, 512 at most
_ENDED: Final[Mapping[str, TrialState]] = MappingProxyType(
    {
        "complete": TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
        # without a value it counts as worse than any that has one, so that its like is avoided
        "diverged": TrialState.PRUNED,
        "failed": TrialState.FAIL,
    }
)


class OptunaSearcher:
    """Begins searches, and shows them in an Optuna storage."""

    def __init__(self, storage: Callable[[], str] | None = None) -> None:
        """Takes where Optuna's dashboard looks.

        Args:
            storage: Returns the address of a database, called once something is shown; None for none.
        """
        self._storage = storage
        self._opened: optuna.storages.RDBStorage | None = None
        self._written: dict[TrialKey, int] = {}  # what this process has shown: not read back each time
        optuna.logging.set_verbosity(optuna.logging.WARNING)

    def begin(self, search: Search, key: TrialKey) -> Sampling:
        """Returns a search of which nothing was asked."""
        return _OptunaSampling(search=search, name=key)

    def importance(self, search: Search, candidates: Sequence[Candidate]) -> Mapping[str, float]:
        """Returns path -> how much of what makes values good it explains, in all 1 (PED-ANOVA).

        Source: Watanabe, Bansal, Hutter 2023, as in `optuna.importance`.
        """
        complete = [each for each in candidates if each.value is not None]
        if len(complete) < LEAST_FOR_IMPORTANCE or len({each.value for each in complete}) < 2:
            return {}
        study = _study(search, NopPruner(), "importance", RandomSampler(seed=0))
        study.add_trials([_frozen(search, each) for each in complete])
        try:
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        except Exception as error:  # of a space that it cannot handle: a column of a table is all it costs
            _logger.warning("how much each parameter matters cannot be said: %s", error)
            return {}
        return {each.path: found[each.path] for each in search.space if each.path in found}

    def show(self, search: Search, key: TrialKey, label: str, candidates: Sequence[Candidate]) -> None:
        """Writes candidates into the storage as an Optuna study, named by the search's cells and key."""
        if self._storage is None:
            return
        if self._opened is None:
            self._opened = optuna.storages.RDBStorage(self._storage())
        name = f"{label[:_LONGEST]} {key[:8]}"
        study = optuna.create_study(
            storage=self._opened, study_name=name, direction=_direction(search), load_if_exists=True
        )
        if key not in self._written:
            there = study.get_trials(deepcopy=False)
            alike = all(_same(old, new) for old, new in zip(there, candidates, strict=False))
            if not alike or len(there) > len(candidates):
                optuna.delete_study(study_name=name, storage=self._opened)
                study = optuna.create_study(
                    storage=self._opened, study_name=name, direction=_direction(search)
                )
                there = []
            self._written[key] = len(there)
        study.add_trials([_frozen(search, each) for each in candidates[self._written[key] :]])
        self._written[key] = len(candidates)


def _same(old: FrozenTrial, new: Candidate) -> bool:
    return old.params == dict(new.values) and old.state is _ENDED[new.ended]


@dataclass(slots=True, kw_only=True)
class _Judged:
    """A candidate that runs, before a pruner: it sees the candidates that were told, and nothing else."""

    study: optuna.Study
    trial: optuna.Trial
    seen: list[tuple[int, float]] = field(default_factory=list)
    ended_after: int | None = None


@dataclass(slots=True, kw_only=True)
class _OptunaSampling:
    search: Search
    name: str

    _study: optuna.Study = field(init=False)
    _asked: list[optuna.Trial] = field(default_factory=list)
    _told: list[FrozenTrial] = field(default_factory=list)
    _judged: dict[int, _Judged] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._study = _study(self.search, NopPruner(), self.name, _sampler(self.search))

    def ask(self) -> Values:
        # in an order of their own: how a file orders its space decides nothing
        space = sorted(self.search.space, key=lambda each: each.path)
        trial = self._study.ask({each.path: _distribution(each) for each in space})
        self._asked.append(trial)
        return dict(trial.params)

    def pruned(self, number: int, curve: Curve) -> int | None:
        if self.search.pruner.name == "none":
            return None
        judged = self._before_pruner(number)
        for point in curve[len(judged.seen) :]:
            if judged.ended_after is not None:
                break
            step, value = point
            judged.trial.report(value, step)
            judged.seen.append(point)
            if judged.trial.should_prune():
                judged.ended_after = len(judged.seen)
        return judged.ended_after

    def tell(self, candidate: Candidate) -> None:
        trial, state = self._asked[candidate.number], _ENDED[candidate.ended]
        for step, value in candidate.curve:
            trial.report(value, step)
        self._study.tell(trial, candidate.value, state)
        judged = self._judged.pop(candidate.number, None)
        # what a pruner notes on a trial (its rung) is read when it judges later ones
        notes = (
            {} if judged is None else judged.study.get_trials(deepcopy=False)[candidate.number].system_attrs
        )
        self._told.append(_frozen(self.search, candidate, notes))

    def _before_pruner(self, number: int) -> _Judged:
        if number not in self._judged:
            study = _study(self.search, _pruner(self.search.pruner), self.name, RandomSampler(seed=0))
            study.add_trials(self._told)
            for _ in range(len(self._told), number):  # those beside it: a number of their own, no more
                study.add_trial(create_trial(state=TrialState.FAIL))
            self._judged[number] = _Judged(study=study, trial=study.ask())
        return self._judged[number]


def _study(search: Search, pruner: BasePruner, name: str, sampler: BaseSampler) -> optuna.Study:
    return optuna.create_study(direction=_direction(search), sampler=sampler, pruner=pruner, study_name=name)


def _direction(search: Search) -> StudyDirection:
    return StudyDirection.MINIMIZE if search.best == "min" else StudyDirection.MAXIMIZE


def _frozen(
    search: Search, candidate: Candidate, notes: Mapping[str, Any] = MappingProxyType({})
) -> FrozenTrial:
    diverged = {"diverged": True} if candidate.ended == "diverged" else {}
    return create_trial(
        state=_ENDED[candidate.ended],
        value=candidate.value,
        params=dict(candidate.values),
        distributions={each.path: _distribution(each) for each in search.space},
        intermediate_values=dict(candidate.curve),
        user_attrs={"trials": ",".join(candidate.trials), **diverged},
        system_attrs=dict(notes),
    )


def _distribution(each: Parameter) -> BaseDistribution:
    if each.choices:
        return CategoricalDistribution(each.choices)
    if each.whole:
        return IntDistribution(int(each.low), int(each.high), log=each.log, step=int(each.step or 1))
    return FloatDistribution(each.low, each.high, log=each.log, step=each.step)


def _sampler(search: Search) -> BaseSampler:
    match search.sampler:
        case "random":
            return RandomSampler(seed=search.seed)
        case "qmc":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return QMCSampler(scramble=True, seed=search.seed, warn_independent_sampling=False)
        case "tpe":
            return TPESampler(seed=search.seed)


def _pruner(pruner: Pruner) -> BasePruner:
    match pruner.name:
        case "none":
            return NopPruner()
        case "median":
            return MedianPruner(n_startup_trials=pruner.startup, n_warmup_steps=pruner.warmup)
        case "successive_halving":
            return SuccessiveHalvingPruner(min_resource=max(1, pruner.warmup))
        case "hyperband":
            return HyperbandPruner(min_resource=max(1, pruner.warmup))


def _fits(searcher: OptunaSearcher, sampling: _OptunaSampling) -> tuple[Searcher, Sampling]:
    return searcher, sampling
