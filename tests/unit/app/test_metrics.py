"""What a scraper is given."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from orchestrator.app.metrics import METRICS, Sample, exposition, samples, text
from orchestrator.app.session import open_session
from orchestrator.model.plan import State
from orchestrator.model.run import Cause, Failure, Outcome
from orchestrator.settings import Settings
from tests.contracts.storage_fixtures import evaluation, key, owner, part, plan_of, submission, training


def busy(root: Path) -> Settings:
    """Returns the settings of a store with a study that has of everything something."""
    settings = Settings(store=str(root / "store"), mlflow_uri="off")
    with open_session(settings, create=True) as session:
        registry = session.registry
        registry.record(submission("s"), plan_of("s", training("a"), training("b"), evaluation("e", "a")))
        lease = registry.acquire("s", owner("d"), 60)
        for name, state, cause in (("a", State.PENDING, Cause.OUT_OF_MEMORY), ("b", State.SUCCEEDED, None)):
            (claim,) = registry.claim(lease, [key(name)])
            failure = Failure(cause=cause, message="m") if cause else None
            done = Outcome(trial=key(name), epoch=claim.epoch, state=state, failure=failure, duration_s=3.0)
            registry.commit(lease, outcomes=[done], part=None if cause else part("p"))
    return settings


def read(exposed: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Returns what a client reads: name and sorted labels -> value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposed)
        for sample in family.samples
    }


def test_every_metric_is_exposed_and_read_back(tmp_path: Path) -> None:
    exposed = exposition(busy(tmp_path))
    found = read(exposed)
    own = ("study", "s")
    assert found["orch_up", ()] == 1
    assert found["orch_trials", (("stage", "train"), ("state", "pending"), own)] == 1
    assert found["orch_trials", (("stage", "train"), ("state", "succeeded"), own)] == 1
    assert found["orch_trials", (("stage", "train"), ("state", "running"), own)] == 0
    assert found["orch_trials", (("stage", "evaluate"), ("state", "pending"), own)] == 1
    assert found["orch_trial_failures_total", (("cause", "out of memory"), own)] == 1
    assert found["orch_trial_seconds_sum", (("stage", "train"), own)] == 3.0
    assert found["orch_trial_seconds_count", (("stage", "train"), own)] == 1
    assert 0 < found["orch_lease_remaining_seconds", (own,)] <= 60
    assert found["orch_store_free_bytes", ()] > 0
    told = {line.split()[2] for line in exposed.splitlines() if line.startswith("# TYPE")}
    assert told == set(METRICS)


def test_a_store_that_does_not_answer_is_down_and_nothing_else(tmp_path: Path) -> None:
    settings = Settings(store=str(tmp_path / "none"))
    assert read(exposition(settings)) == {("orch_up", ()): 0}
    assert not (tmp_path / "none").exists()


def test_labels_of_any_text_stay_one_label() -> None:
    name = 'a"b\\c\nd} 1\n# TYPE x'
    exposed = text([Sample(metric="orch_outbox_items", value=2, labels={"study": name})])
    assert len(exposed.splitlines()) == 3
    assert read(exposed) == {("orch_outbox_items", (("study", name),)): 2}


def test_the_state_of_an_open_store_is_read_anew_each_time(tmp_path: Path) -> None:
    settings = busy(tmp_path)
    with open_session(settings) as session:
        before = {each.metric for each in samples(session)}
        session.registry.request_cancel([key("a")])
        after = [each for each in samples(session) if each.labels.get("state") == "cancelled"]
    assert before == set(METRICS)
    assert {(each.labels["stage"], each.value) for each in after} == {("train", 1), ("evaluate", 0)}
