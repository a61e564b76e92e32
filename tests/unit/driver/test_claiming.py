"""Which trainings travel in one bundle, over a real registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.driver.claiming import BUNDLE_LIMIT, BUNDLE_S, Claims
from orchestrator.driver.progress import Meter
from orchestrator.driver.schedule import LOOK, Schedule
from orchestrator.model.plan import Resources, State, Trial
from orchestrator.registry.registry import SqlRegistry, open_registry
from tests.contracts.storage_fixtures import evaluation, owner, plan_of, submission, training

ONE = Resources(cpu=1)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[SqlRegistry]:
    found = open_registry(str(tmp_path / "registry.db"))
    yield found
    found.close()


def trial(name: str, order: int) -> Trial:
    return replace(training(name), label=f"{name} seed 0", order=order, resources=ONE)


def bundles(
    registry: SqlRegistry, trials: list[Trial], past: Callable[[Trial], float | None], **finished_s: float
) -> list[list[str]]:
    """Returns what each bundle holds when one after the other is claimed."""
    registry.record(submission("s"), plan_of("s", *trials))
    by_key = {each.key: each for each in trials}
    meter = Meter(past=past)
    for name, duration_s in finished_s.items():
        meter.finished(trial(name, 0), duration_s)
    claims = Claims(
        registry=registry,
        schedule=Schedule(by_key, {}),
        lease=registry.acquire("s", owner("d"), 60),
        meter=meter,
        study="s",
        data="",
        checkpoint_interval_s=30,
    )
    found = []
    while bundle := claims.next_bundle(ONE):
        found.append([claim.trial.label.removesuffix(" seed 0") for claim in bundle.claims])
    return found


def by_name(seconds: Mapping[str, float]) -> Callable[[Trial], float | None]:
    return lambda trial: seconds.get(trial.label[0])


def test_short_trainings_travel_together_and_long_ones_alone(registry: SqlRegistry) -> None:
    trials = [trial(f"{'sl'[number % 2]}{number}", number) for number in range(40)]
    found = bundles(registry, trials, by_name({"s": 0.01, "l": 30.0}))
    assert sorted(name for bundle in found for name in bundle) == sorted(
        each.label.removesuffix(" seed 0") for each in trials
    )
    assert all(len(bundle) == 1 for bundle in found if bundle[0].startswith("l"))
    assert all(name.startswith("s") for bundle in found if len(bundle) > 1 for name in bundle)
    # half of what is ready is left for the other slots; order holds within a bundle
    assert found[0] == [f"s{number}" for number in range(0, 40, 2)]
    assert [bundle[0] for bundle in found[1:]] == [f"l{number}" for number in range(1, 40, 2)]


def test_a_bundle_is_full_when_its_time_is(registry: SqlRegistry) -> None:
    found = bundles(registry, [trial(f"a{number}", number) for number in range(60)], by_name({"a": 0.09}))
    assert len(found[0]) == int(BUNDLE_S / 0.09)
    many = [trial(f"b{number}", 100 + number) for number in range(4 * BUNDLE_LIMIT)]
    found = bundles(registry, many, by_name({"b": 1e-6}))
    assert len(found[0]) == 1 + BUNDLE_LIMIT


def test_what_nothing_is_known_of_travels_alone_until_recent_ones_were_short(registry: SqlRegistry) -> None:
    found = bundles(registry, [trial(f"a{number}", number) for number in range(6)], lambda trial: None)
    assert [len(bundle) for bundle in found] == [1] * 6
    found = bundles(registry, [trial(f"b{n}", 10 + n) for n in range(6)], lambda trial: None, x=0.01, y=0.02)
    assert [len(bundle) for bundle in found] == [3, 2, 1]


def test_this_submissions_own_time_goes_before_the_past(registry: SqlRegistry) -> None:
    trials = [replace(trial("a", number), key=trial(f"a{number}", 0).key) for number in range(6)]
    found = bundles(registry, trials, by_name({"a": 0.01}), a=5.0)
    assert [len(bundle) for bundle in found] == [1] * 6


def test_a_training_is_found_behind_evaluations() -> None:
    child = replace(evaluation("x", "a"), resources=ONE, order=2)
    schedule = Schedule({each.key: each for each in (trial("a", 0), trial("b", 1), child)}, {})
    (first,) = schedule.take(ONE)
    schedule.update(first.key, State.SUCCEEDED)
    assert schedule.take(ONE, lambda group: group[0].stage == "train")[0].label == "b seed 0"
    assert schedule.take(ONE)[0].key == child.key


def test_no_more_than_some_groups_are_looked_at_and_all_stay_in_order() -> None:
    trials = [trial(f"t{number:03}", number) for number in range(2 * LOOK)]
    schedule = Schedule({each.key: each for each in trials}, {})
    seen: list[str] = []

    def never(group: object) -> bool:
        seen.append(str(group))
        return False

    assert schedule.take(ONE, never) == []
    assert len(seen) == LOOK
    assert schedule.demand() == {ONE: 2 * LOOK}
    assert [schedule.take(ONE)[0].order for _ in trials] == list(range(2 * LOOK))


def test_the_past_is_asked_once_for_a_config() -> None:
    asked: list[str] = []

    def past(trial: Trial) -> float | None:
        asked.append(trial.label)
        return 2.0 if trial.label.startswith("a") else None

    meter = Meter(past=past)
    a, b = trial("a", 0), trial("b", 0)
    assert [meter.predicted_s(each) for each in (a, b, a, b)] == [2.0, None, 2.0, None]
    assert asked == ["a seed 0", "b seed 0"]
    meter.finished(a, 4.0)
    assert (meter.predicted_s(a), meter.predicted_s(b)) == (4.0, 4.0)
