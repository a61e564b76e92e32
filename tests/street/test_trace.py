"""Where numbers come from: traced, run again in the code that made them, and compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator.execution import effort
from orchestrator.execution.processor import gpus, processor
from tests import toy_workload
from tests.street.orch import ROOT, Orch
from tests.toy_workload import value
from workloads.api import Placement

STUDY = """
api_version: 1
study: traced
workload: MODULE:SPEC
config: {steps: 2}
design:
  type: factorial
  factors: {x: {path: x, levels: [1, 2]}}
seeds: 3
evaluate:
  scaled: {family: scale, vary: {by: {levels: [2, 3], otherwise: one}}}
  noise: {family: noise, draws: 2}
  vote: {family: vote, gather: x, as: {x: all}}
tables:
  scaled: {from: [test, scaled], rows: x, columns: by, metric: test_error}
  noise: {from: [noise], rows: x, metric: test_error}
  vote: {from: [vote], rows: x, metric: test_error}
"""


def submitted(orch: Orch, module: str = "tests.toy_workload") -> Path:
    """Returns the file of a study that has run."""
    file = orch.study(STUDY.replace("MODULE", module))
    orch("submit", file)
    return file


def entries(orch: Orch, table: str) -> list[dict[str, Any]]:
    """Returns every entry of a table with its sources."""
    return list(orch("trace", "traced", table, "--all", "--json").json["entries"])


@pytest.mark.parametrize("table", ["scaled", "noise", "vote"])
def test_every_number_comes_from_the_rows_of_its_trials(tmp_path: Path, table: str) -> None:
    orch = Orch(directory=tmp_path)
    submitted(orch)
    found = entries(orch, table)
    assert len(found) == {"scaled": 6, "noise": 2, "vote": 1}[table]
    for entry in found:
        by_seed: dict[int, list[float]] = {}
        for source in entry["sources"]:
            shown = orch("show", source["trial"], "--json").json
            rows = [row["value"] for row in shown["rows"] if row["metric"] == "test_error"]
            by_seed.setdefault(source["seed"], []).extend(rows)
            made = source["provenance"]
            assert {"code", "tree", "python", "host", "submission"} <= made.keys()
            assert (tmp_path / "store" / "code" / made["tree"]).is_file()
            assert source["reproduce"].endswith(f"{source['trial']} --check")
            if source["stage"] == "train":
                assert len(source["checkpoint"]["sha256"]) == 64
            else:
                assert [parent["stage"] for parent in source["parents"]] == ["train"] * (
                    1 + (table == "vote")
                )
        means = {seed: sum(values) / len(values) for seed, values in by_seed.items()}
        assert means == {each["seed"]: pytest.approx(each["value"]) for each in entry["values"]}
        assert entry["estimate"] == pytest.approx(sum(means.values()) / len(means))


def test_an_entry_is_named_by_its_labels(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    submitted(orch)
    said = orch("trace", "traced", "scaled", "--row", "2", "--column", "3").out
    assert "scaled[by=3] of x=2 seed 1" in said
    assert "measured on" in said
    assert f"value       {3 * value(2.0, 1, 2):.9g}" in said
    several = orch("trace", "traced", "scaled", "--row", "2", code=2).err
    assert "3 entries fit" in several
    assert "'1', '2'" in orch("trace", "traced", "scaled", "--row", "7", code=3).err
    assert "no table" in orch("trace", "traced", "tabel", code=3).err


@pytest.mark.slow
def test_a_trial_runs_again_in_the_code_that_made_it(tmp_path: Path) -> None:
    """Also from a tree that nobody committed, and after it was edited."""
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").touch()
    text = (ROOT / "tests" / "toy_workload.py").read_text().replace("tests.toy_workload", "mine.toy")
    (package / "toy.py").write_text(text)
    # A process for each command: in one process the workload's code would be imported once.
    orch = Orch(
        directory=tmp_path,
        spawn=True,
        environment={"ORCH_WORKLOAD_MODULES": "mine", "PYTHONPATH": f"{ROOT}:{tmp_path}"},
    )
    submitted(orch, "mine.toy")
    condition, training = (
        next(
            each["trial"]
            for entry in entries(orch, table)
            for each in entry["sources"]
            if each["stage"] == stage
        )
        for table, stage in (("vote", "evaluate"), ("scaled", "train"))
    )
    (package / "toy.py").write_text(text.replace("return int.from_bytes(digest[:6]) / 2**48", "return 0.25"))
    shutil.rmtree(package / "__pycache__", ignore_errors=True)
    before = sorted(path.name for path in (tmp_path / "store").rglob("*"))
    for key in (training, condition):
        found = orch("reproduce", key, "--check", "--json").json
        assert (found["equal"], found["differences"]) == (True, [])
        assert found["values"] >= 1
    changed = orch("reproduce", training, "--present", "--check", "--json", code=1).json
    assert {each["again"] for each in changed["differences"]} == {0.25}
    assert {"test test_error step 2"} <= {each["place"] for each in changed["differences"]}
    assert sorted(path.name for path in (tmp_path / "store").rglob("*")) == before
    # What is missing is told: the code, and the checkpoint that an evaluation reads.
    for archive in (tmp_path / "store" / "code").iterdir():
        archive.unlink()
    assert "--present runs the code of now" in orch("reproduce", training, code=3).err
    assert "no trial" in orch("reproduce", "ffffffffffff", code=3).err


def test_another_processor_is_told_where_values_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orch = Orch(directory=tmp_path)
    monkeypatch.setattr(effort, "processor", lambda: "Another Processor")
    monkeypatch.setattr(toy_workload, "value_of", lambda config, seed, step: 0.25)
    submitted(orch)
    sources = [each for entry in entries(orch, "scaled") for each in entry["sources"]]
    source = next(each for each in sources if each["stage"] == "train")
    assert source["provenance"]["processor"] == "Another Processor"
    said = orch("trace", "traced", "scaled", "--all").out
    assert ", 1 threads, Another Processor" in said
    again = orch("reproduce", source["trial"], "--present", "--check", code=1).out
    assert f"processor: Another Processor then, {processor()} now" in again
    assert "equal bits are promised on the same kind" in again


def test_gpus_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU of {device}")
    assert gpus(("cpu",)) == ""
    assert gpus(("cuda:1", "cuda:0")) == "GPU of cuda:0 and GPU of cuda:1"
    site = effort.Site(placement=Placement(devices=("cuda:0",)))
    assert site.provenance()["gpu"] == "GPU of cuda:0"
    assert "gpu" not in effort.Site(placement=Placement()).provenance()


def test_differences_by_kind(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    file = submitted(orch)
    other = file.read_text().replace("study: traced", "study: other").replace("steps: 2", "steps: 3")
    orch("submit", orch.study(other, "other.yaml"))

    def lines(one: str, two: str) -> dict[tuple[str, str], tuple[str, str]]:
        found = orch("diff", one, two, "--json").json["differences"]
        return {(each["kind"], each["name"]): (each["one"], each["other"]) for each in found}

    studies = lines("traced", "other")
    assert studies["study", "config.steps"] == ("2", "3")
    assert {kind for kind, _ in studies} == {"study", "results"}
    cells = lines("traced:x=1", "traced:x=2")
    assert cells["config", "x"] == ("1.0", "2.0")
    assert {name for kind, name in cells if kind == "results"} >= {
        "test test_error",
        "scaled test_error by=3",
    }
    mean = sum(value(1.0, seed, 2) for seed in range(3)) / 3
    assert cells["results", "test test_error"][0] == f"{mean:.6g} (n = 3)"
    sources = entries(orch, "scaled")[0]["sources"]
    trials = lines(sources[0]["trial"], sources[1]["trial"])
    assert trials["config", "seed"] == ("0", "1")
    assert "no difference" in orch("diff", "traced", "traced").out
    assert "two of a kind" in orch("diff", "traced", sources[0]["trial"], code=2).err
    assert "2 cells" in orch("diff", "traced:x=*", "other:x=*", code=2).err


def test_json_of_a_diff_is_one_document(tmp_path: Path) -> None:
    orch = Orch(directory=tmp_path)
    submitted(orch)
    said = orch("diff", "traced:x=1", "traced:x=2", "--json").out
    assert json.loads(said)["kind"] == "diff"
