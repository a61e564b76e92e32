"""The suite of benchmarks: what a row says, and that every part runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import gpu, rows, suite
from benchmarks.gpu import table
from benchmarks.rows import Paired, Row
from orchestrator.cli.main import run


@pytest.mark.parametrize(
    ("reached", "most", "verdict"),
    [(2.0, False, "reached"), (1.99, False, "MISSED"), (2.0, True, "reached"), (2.1, True, "MISSED")],
)
def test_a_row_says_whether_its_goal_was_reached(reached: float, most: bool, verdict: str) -> None:
    row = Row(name="step", against="plain", goal=2, reached=reached, most=most)
    assert row.verdict == verdict
    assert row.line().split("  ")[-1].startswith(verdict)


def test_what_was_not_run_is_neither_reached_nor_missed() -> None:
    row = rows.skipped("fused", "alone", 2, "no such part")
    assert row.verdict == "not run here"
    assert "no such part" in row.line()


def test_ratios_are_of_pairs_and_their_median_counts() -> None:
    row = Paired(ours=(1.0, 2.0, 1.0), peers=(3.0, 4.0, 9.0)).row("a", "b", 3)
    assert row.pairs == [3.0, 2.0, 9.0]
    assert (row.reached, row.verdict) == (3.0, "reached")


def test_pairs_take_turns() -> None:
    seen: list[str] = []
    found = rows.paired(lambda: seen.append("ours"), lambda: seen.append("peer"), repeats=3, warm=1)
    assert seen == ["ours", "peer", "peer", "ours"] * 2
    assert len(found.ours) == len(found.peers) == 3


def test_a_part_that_fails_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object) -> object:
        raise RuntimeError("benchmarks.x ended with 1: Traceback\nValueError: no room")

    monkeypatch.setattr(suite, "call", fails)
    row = suite.measured("mirror", True)[0]
    assert row.verdict == "not run here"
    assert row.note == "FAILED: ValueError: no room"
    monkeypatch.setattr(sys, "argv", ["suite", "--only", "mirror"])
    assert suite.main() == 1


def test_gpu_figures_stand_beside_the_plain_loop_and_the_best_single_network() -> None:
    own = {"network": "resnet", "batch": 64, "k": 1}
    found = list(
        table(
            [
                {**own, "what": "plain loop, DataLoader", "rate": 100.0},
                {**own, "what": "one network, float32", "rate": 200.0},
                {**own, "what": "one network, tf32, compiled", "rate": None, "why": "no compiler"},
                {**own, "what": "fused, float32", "k": 8, "rate": 800.0},
            ]
        )
    )
    assert found[-1].endswith("| 8 | 800 | 8.00 | 4.00 |")
    assert "no compiler" in found[-2]


@pytest.mark.slow
def test_the_gpu_script_runs_on_a_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", "--out", str(tmp_path), "--device", "cpu", "--small"])
    assert gpu.main() == 0
    found = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert all(row["rate"] for row in found), found
    assert {row["what"].partition(",")[0] for row in found} == {
        *("plain loop", "one network", "processes", "fused", "torch.func.vmap")
    }


@pytest.mark.slow
@pytest.mark.parametrize("part", suite.PARTS)
def test_every_part_gives_its_rows(part: str) -> None:
    found = suite.measured(part, True)
    assert found
    for row in found:
        assert not row.note.startswith("FAILED"), row.note
        if row.reached is None:
            print(f"{row.name}: not run here: {row.note}")


@pytest.mark.slow
def test_orch_bench_prints_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["bench", "--only", "pipeline", "--small", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "bench"
    verdicts = {row["verdict"] for row in document["rows"]}
    assert code == (1 if "MISSED" in verdicts else 0)
    assert document["machine"]["processor"]


def test_orch_bench_refuses_parts_that_there_are_not(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--only", "nothing"]) == 2
    assert "invalid choice: 'nothing'" in capfd.readouterr().err
