"""Seeds as one network, from the study file to what is recorded: measured, kept, stopped, killed, resumed."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.execution.effort import Control, Site, Worker
from orchestrator.execution.processor import processor
from orchestrator.execution.worker import run_bundle
from orchestrator.model.plan import Trial, TrialKey
from orchestrator.model.run import Bundle, Cause, Claim, Event, Failed, Finished, Reported
from orchestrator.store.checkpoints import DirectoryCheckpoints
from tests.street.orch import Orch, until
from workloads.api import Placement, to_plain
from workloads.configs import TrainConfig, canonical
from workloads.data.configs import Synthetic
from workloads.networks.configs import ResNet

TOY = """
api_version: 1
study: toys
workload: tests.toy_workload:SPEC
config: {steps: 3}
design:
  type: factorial
  factors: {x: {path: x, levels: [0.5, 1, 60, 99]}}
seeds: 3
fuse: FUSE
tables: {errors: {rows: x, metric: test_error}}
"""
DIGITS = """
api_version: 1
study: digits
workload: classification
config: {network: {name: resnet, depth: 8, width: 0.125}, epochs: 4, batch_size: 256}
design: {type: factorial, factors: {rate: {path: optimizer.lr, levels: [0.05]}}}
seeds: 3
fuse: 3
tables: {errors: {rows: rate, metric: test_loss}}
"""


def trials(orch: Orch, study: str) -> dict[str, dict[int, Mapping[str, Any]]]:
    """Returns cell -> seed -> everything that is recorded of its training."""
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    for each in orch("show", study, "--json").json["trials"]:
        report = orch("show", each["trial"], "--json").json
        found.setdefault(each["cell"], {})[each["seed"]] = report
    return found


def fused(report: Mapping[str, Any]) -> list[int] | None:
    return report["attempts"][-1]["provenance"].get("fused")


def table(orch: Orch, study: str) -> str:
    return orch("table", study, "--format", "csv").out


def test_auto_trains_together_what_is_faster_together(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    orch = Orch(directory=tmp_path / "a")
    file = orch.study(TOY.replace("FUSE", "auto"))
    notes = orch("plan", file, "--json").json["notes"]
    assert "fuse: auto, measured by the first worker that comes to them: x=1 and x=60 and x=99" in notes
    assert "not fused: half of a toy is no toy: x=0.5" in notes
    orch("submit", file)
    found = trials(orch, "toys")
    assert [fused(each) for each in found["x=1"].values()] == [[0, 1, 2]] * 3
    assert len({each["group"] for each in found["x=1"].values()}) == 1
    for cell in ("x=0.5", "x=60", "x=99"):
        assert [fused(each) for each in found[cell].values()] == [None] * 3
        assert [each["group"] for each in found[cell].values()] == [""] * 3
    # the first went on alone, the others were given back at no charge
    first, *others = found["x=60"].values()
    assert [each["outcome"] for each in first["attempts"]] == ["succeeded"]
    assert first["attempts"][0]["worker"]["fusing"]["fused"] is False
    assert first["attempts"][0]["worker"]["fusing"]["device"] == f"{processor()}, 1 threads"
    for each in others:
        assert [attempt["outcome"] for attempt in each["attempts"]] == ["interrupted", "succeeded"]
        assert "not fused: 3 seeds together were 0.5 times as fast" in each["attempts"][0]["message"]
    assert "trying it failed" in found["x=99"][1]["attempts"][0]["message"]
    # the plan says what was found, and other studies follow it without trying again
    notes = orch("plan", file, "--json").json["notes"]
    assert any(note.startswith("fused: 3 seeds together were 2.5 times as fast") for note in notes)
    other = orch.study(TOY.replace("FUSE", "auto").replace("toys", "more").replace("steps: 3", "steps: 4"))
    notes = orch("plan", other, "--json").json["notes"]
    assert any(note.startswith("fused: 3 seeds together") and note.endswith(": x=1") for note in notes)
    assert any(note.startswith("not fused: 3 seeds together") and note.endswith(": x=60") for note in notes)
    orch("submit", other, "--cells", "x=1", "--cells", "x=60")
    again = trials(orch, "more")
    assert [fused(each) for each in again["x=1"].values()] == [[0, 1, 2]] * 3
    assert [len(each["attempts"]) for each in again["x=60"].values()] == [1, 1, 1]
    # and the numbers are those of seeds that were never together
    never = Orch(directory=tmp_path / "b")
    never("submit", never.study(TOY.replace("FUSE", "never")))
    assert table(orch, "toys") == table(never, "toys")


@pytest.mark.parametrize(
    ("executor", "signals"),
    [
        pytest.param("inline", [signal.SIGKILL], marks=pytest.mark.slow),
        pytest.param("inline", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], marks=pytest.mark.slow),
        pytest.param("ray", [signal.SIGKILL], marks=pytest.mark.slow),
    ],
    ids=["inline killed", "inline stopped", "ray"],
)
def test_what_is_killed_or_stopped_comes_to_the_same_bits(
    tmp_path: Path, executor: str, signals: list[signal.Signals]
) -> None:
    often = {"ORCH_CHECKPOINT_INTERVAL_S": "0"}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    undisturbed = Orch(directory=tmp_path / "a", environment=often)
    undisturbed("submit", undisturbed.study(DIGITS))
    orch = Orch(directory=tmp_path / "b", executor=executor, environment=often)
    file = orch.study(DIGITS)

    def saved() -> set[Path]:
        return set((orch.directory / "store" / "checkpoints").glob("*/[!.]*"))

    for number in signals:
        before = saved()
        with orch.start("submit", file) as driver:
            until(lambda before=before: bool(saved() - before), what="a checkpoint")
            os.kill(driver.pid, number)
            driver.wait()
    orch("resume", "digits")
    (found,) = trials(orch, "digits").values()
    (expected,) = trials(undisturbed, "digits").values()
    assert [fused(each) for each in found.values()] == [[0, 1, 2]] * 3
    assert {len(each["attempts"]) for each in found.values()} == {1 + len(signals)}
    for seed, report in expected.items():
        assert found[seed]["rows"] == report["rows"]
    again = undisturbed("reproduce", expected[1]["trial"], "--check", "--json").json
    assert again["equal"] is True


@pytest.mark.parametrize("text", ["fuse: 1", "fuse: often", "fuse: true", "fuse: 1.5"])
def test_what_fuse_may_be(tmp_path: Path, text: str) -> None:
    orch = Orch(directory=tmp_path)
    done = orch("validate", orch.study(TOY.replace("fuse: FUSE", text)), code=2)
    assert "study.yaml:10:7: error[bad-value]: expected auto, never, or" in done.out + done.err


def test_a_cancelled_seed_leaves_the_bits_of_the_others(tmp_path: Path) -> None:
    config = canonical(
        TrainConfig(network=ResNet(depth=8, width=0.125), data=Synthetic(images=64), epochs=2, batch_size=32)
    )
    trials = [
        Trial(
            key=TrialKey(f"{seed:032x}"),
            stage="train",
            workload="classification",
            config=to_plain(config),
            seed=seed,
            group="fused-x",
        )
        for seed in (0, 1, 2)
    ]
    bundle = Bundle(id="b", stage="train", claims=tuple(Claim(trial=each, epoch=1) for each in trials))
    ends: list[dict[TrialKey, Event]] = []
    for name, cancelled in (("whole", frozenset[TrialKey]()), ("less", frozenset([trials[1].key]))):
        events: list[Event] = []

        def control(cancelled: frozenset[TrialKey] = cancelled, events: list[Event] = events) -> Control:
            begun = any(isinstance(each, Reported) and each.trial == trials[1].key for each in events)
            return Control(cancelled=cancelled if begun else frozenset())

        worker = Worker(checkpoints=DirectoryCheckpoints(tmp_path / name))
        run_bundle(bundle, worker, site=Site(placement=Placement()), emit=events.append, control=control)
        ends.append({each.trial: each for each in events if isinstance(each, Finished | Failed)})
    whole, less = ends
    assert isinstance(whole[trials[1].key], Finished)
    gone = less[trials[1].key]
    assert isinstance(gone, Failed)
    assert gone.failure.cause is Cause.CANCELLED
    for trial in (trials[0], trials[2]):
        found, expected = less[trial.key], whole[trial.key]
        assert isinstance(found, Finished)
        assert isinstance(expected, Finished)
        assert found.rows == expected.rows
