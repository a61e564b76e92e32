"""What every registry does for searches: candidates, chosen configs, and a database of Optuna's beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from orchestrator.errors import LeaseLostError
from orchestrator.model.plan import State, Trial
from orchestrator.model.search import Candidate, Parameter, Search
from orchestrator.registry.beside import beside
from orchestrator.registry.registry import SqlRegistry
from orchestrator.search.optuna import OptunaSearcher
from tests.contracts.storage_fixtures import (
    Place,
    key,
    owner,
    place,
    plan_of,
    postgres,
    registry,
    submission,
    training,
)

__all__ = ["place", "postgres", "registry"]


def search(name: object) -> Trial:
    return training(name, stage="search", config={}, parameters={"trials": 3})


def candidate(search: object, number: int) -> Trial:
    values = {"values": {"lr": 0.1 * number}, "position": 0}
    return training(
        f"{search}/{number}", stage="tune", draw=number, parents=(key(search),), parameters=values, order=9
    )


def test_candidates_come_back_by_their_numbers(registry: SqlRegistry) -> None:
    decided = training("a", parents=(key("x"),))
    registry.record(submission("s"), plan_of("s", search("x"), search("y"), decided))
    lease = registry.acquire("s", owner("d"), 60)
    tried = [candidate("x", number) for number in (1, 0, 2)]
    new = plan_of("s", *tried, candidate("y", 0))
    registry.extend(lease, new.trials, new.assignments)
    assert list(registry.candidates([key("x")]).values()) == [tried[1], tried[0], tried[2]]
    assert len(registry.candidates([key("x"), key("y"), key("a")])) == 4
    assert registry.candidates([]) == {}
    assert key("x/2") in registry.keys("s")
    assert registry.counts("s")["s"]["tune", State.PENDING] == 4


def test_what_was_chosen_is_what_a_claim_trains(registry: SqlRegistry) -> None:
    decided = training("a", parents=(key("x"),))
    registry.record(submission("s"), plan_of("s", search("x"), decided))
    lease = registry.acquire("s", owner("d"), 60)
    chosen = {"network": {"name": "plain"}, "lr": 0.03}
    registry.decide(lease, {decided.key: chosen})
    (claim,) = registry.claim(lease, [decided.key])
    assert claim.trial == replace(decided, config=chosen)
    # Recording the plan again, which knows no choice, keeps it.
    registry.record(submission("s"), plan_of("s", search("x"), decided))
    assert registry.trials("s")[decided.key].config == chosen
    with pytest.raises(LeaseLostError):
        registry.decide(replace(lease, epoch=lease.epoch + 1), {decided.key: {}})
    assert registry.trials("s")[decided.key].config == chosen


def test_what_waits_takes_the_config_that_is_recorded_last(registry: SqlRegistry) -> None:
    decided = training("a", parents=(key("x"),))
    registry.record(submission("s"), plan_of("s", search("x"), decided))
    brought = replace(decided, config={"lr": 0.5})
    registry.record(submission("t"), plan_of("t", search("x"), brought))
    assert registry.trials("s")[decided.key] == brought


def test_a_database_beside_the_registry_is_apart_from_it(place: Place, registry: SqlRegistry) -> None:
    url = beside(place.url, "optuna")
    assert beside(place.url, "optuna") == url
    space = (Parameter(path="lr", low=0.0, high=1.0),)
    declared = Search(space=space, trials=1, metric="error")
    tried = Candidate(number=0, values={"lr": 0.5}, curve=((1, 0.25),), ended="complete")
    OptunaSearcher(lambda: url).show(declared, key("x"), "depth=26", [tried])
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM trials")) == 1
    engine.dispose()
    registry.record(submission("s"), plan_of("s", training("a")))  # which is as it was
    assert [each.study for each in registry.studies()] == ["s"]
    ours = sa.create_engine(place.url.replace("postgresql://", "postgresql+psycopg://"))
    names = sa.inspect(ours).get_table_names()
    ours.dispose()
    assert "orch_trials" in names
    assert "trials" not in names
