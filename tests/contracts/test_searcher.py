"""The contract of `ports.search`, against Optuna."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.model.plan import TrialKey
from orchestrator.model.search import (
    Candidate,
    Parameter,
    Pruner,
    PrunerName,
    Sampler,
    Search,
    Values,
    best_of,
)
from orchestrator.search.optuna import OptunaSearcher

SPACE = (
    Parameter(path="lr", low=1e-4, high=10.0, log=True),
    Parameter(path="layers", low=1, high=9, step=2),
    Parameter(path="decay", low=0.0, high=1.0, step=0.25),
    Parameter(path="kind", choices=("a", None, True, 3)),
)
SEARCH = Search(space=SPACE, trials=24, metric="error")
KEY = TrialKey("0" * 32)


def error(values: Values) -> float:
    """Returns what a candidate comes to: least at lr = 0.1 of kind "a"."""
    lr = values["lr"]
    assert isinstance(lr, float)
    return (math.log10(lr) + 1) ** 2 + (values["kind"] != "a")


def curve(values: Values) -> tuple[tuple[int, float], ...]:
    return tuple((step, error(values) + 1 / step) for step in range(1, 7))


def run(search: Search, *, ends: dict[int, Candidate] | None = None) -> list[Candidate]:
    """Returns the candidates of a whole search."""
    sampling = OptunaSearcher().begin(search, KEY)
    found: list[Candidate] = []
    while len(found) < search.trials:
        asked = [(len(found) + n, sampling.ask()) for n in range(search.parallel)]
        round_ = []
        for number, values in asked:
            points = sampling.pruned(number, curve(values))
            ended = Candidate(number=number, values=values, curve=curve(values), ended="complete")
            if points is not None:
                ended = replace(ended, ended="pruned", curve=ended.curve[:points])
            round_.append((ends or {}).get(number, ended))
        for candidate in round_:
            sampling.tell(replace(candidate, values=asked[candidate.number - len(found)][1]))
        found += round_
    return found


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_who_asks_and_tells_the_same_is_given_the_same(sampler: Sampler) -> None:
    search = replace(SEARCH, sampler=sampler)
    assert run(search) == run(search)
    assert run(replace(search, seed=1)) != run(search)


def test_values_lie_in_the_space() -> None:
    for candidate in run(replace(SEARCH, sampler="random")):
        values = candidate.values
        assert isinstance(values["lr"], float)
        assert 1e-4 <= values["lr"] <= 10
        assert values["layers"] in (1, 3, 5, 7, 9)
        assert values["decay"] in (0.0, 0.25, 0.5, 0.75, 1.0)
        assert values["kind"] in ("a", None, True, 3)


def test_what_is_told_is_learnt_from() -> None:
    found = run(replace(SEARCH, trials=60))
    first, last = found[:20], found[-20:]
    assert sum(error(each.values) for each in last) < 0.5 * sum(error(each.values) for each in first)
    best = best_of(tuple(found), "min")
    assert best is not None
    assert best.values["kind"] == "a"


def test_the_largest_is_looked_for_where_that_is_best() -> None:
    best = best_of(tuple(run(replace(SEARCH, trials=40, best="max"))), "max")
    assert best is not None
    assert error(best.values) > 4


def test_what_diverged_or_failed_is_no_obstacle() -> None:
    ends = {
        0: Candidate(number=0, values={}, ended="diverged"),
        1: Candidate(number=1, values={}, ended="failed", message="raised"),
    }
    found = run(SEARCH, ends=ends)
    assert len(found) == 24
    assert [each.ended for each in found[:3]] == ["diverged", "failed", "complete"]


@pytest.mark.parametrize("name", ["median", "successive_halving", "hyperband"])
def test_pruning_follows_from_the_curve_alone(name: PrunerName) -> None:
    search = replace(SEARCH, pruner=Pruner(name=name, startup=2, warmup=1), trials=40)
    whole = run(search)
    assert any(each.ended == "pruned" for each in whole)
    assert not any(each.ended == "pruned" for each in whole[: search.parallel])  # there is nothing to compare
    # Fed point by point, in any rhythm, a candidate is ended at the same one.
    sampling = OptunaSearcher().begin(search, KEY)
    for start in range(0, search.trials, search.parallel):
        asked = [(start + n, sampling.ask()) for n in range(search.parallel)]
        for number, values in reversed(asked):
            points = None
            for length in range(1, 7):
                points = points or sampling.pruned(number, curve(values)[:length])
            known = whole[number]
            assert points == (len(known.curve) if known.ended == "pruned" else None)
        for number, _ in asked:
            sampling.tell(whole[number])


def test_importance_is_of_what_matters() -> None:
    searcher = OptunaSearcher()
    found = run(replace(SEARCH, trials=80, sampler="random"))
    shares = searcher.importance(SEARCH, found)
    assert set(shares) == {"lr", "layers", "decay", "kind"}
    assert shares["lr"] > 0.5
    assert math.isclose(sum(shares.values()), 1)
    assert searcher.importance(SEARCH, found[:3]) == {}


def test_shown_again_it_is_shown_once(tmp_path: Path) -> None:
    import optuna

    storage = f"sqlite:///{tmp_path}/optuna.db"
    searcher = OptunaSearcher(lambda: storage)
    found = run(SEARCH)
    for count in (4, 8, 8, 24):
        searcher.show(SEARCH, KEY, "depth=26", found[:count])
    (name,) = optuna.get_all_study_names(storage)
    assert name.startswith("depth=26")
    trials = optuna.load_study(study_name=name, storage=storage).trials
    assert [each.params for each in trials] == [dict(each.values) for each in found]
    other = run(replace(SEARCH, seed=3))  # as with another version of Optuna, in another process
    OptunaSearcher(lambda: storage).show(SEARCH, KEY, "depth=26", other)
    trials = optuna.load_study(study_name=name, storage=storage).trials
    assert [each.params for each in trials] == [dict(each.values) for each in other]
