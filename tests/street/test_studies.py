"""Every shipped study: on digits, shortened, to its tables and plots; at its paper's scale, planned."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.app.enough import shortages
from orchestrator.study.load import load
from orchestrator.study.plan import plan
from orchestrator.study.workload import resolve
from tests.street.orch import ROOT, Orch

STUDIES = sorted((ROOT / "studies").glob("*.yaml"))
PAPER = sorted((ROOT / "studies" / "paper").glob("*.yaml"))
# one epoch, one seed, the smallest of each study's networks
SHORT = {
    "dfn_ensemble": ["--cells", "depth=14", "--set", "network.width=0.125"],
    "larsson_table_1": ["--cells", "augmentation=+", "--set", "network.width=0.5"],
    "larsson_table_2": ["--set", "network.width=0.0625"],
    "larsson_table_3": ["--cells", "columns=1", "--cells", "columns=4"],
    "larsson_table_4": ["--set", "probe_every=1", "--set", "network.width=0.5"],
    "smoke": [],
    "tuned_skips": ["--set", "network.width=0.125"],
    "veit_effective": ["--set", "network.width=0.125"],
    "veit_figure_4": ["--set", "network.width=0.0625"],
    "veit_lesions": [],
    "zagoruyko_figure_1": ["--cells", "depth=10,width=w0.5"],
    "zagoruyko_scalings": ["--set", "epochs=18", "--set", "network.width=0.125"],
    "zagoruyko_section_3_4": ["--cells", "initial=zeros"],
    "zagoruyko_table_2": ["--cells", "network=VGG"],
    "zagoruyko_table_3": ["--cells", "depth=18", "--set", "epochs=8", "--set", "network.width=0.0625"],
    "zhao_figure_4": ["--cells", "depth=14"],
    "zhao_table_4": ["--cells", "size=14/8", "--set", "epochs=4", "--set", "network.width=0.125"],
    "zhao_table_6": ["--set", "epochs=8", "--set", "network.width=0.0625"],
    "zhao_table_7": ["--set", "network.width=0.0625"],
}
# one of each paper and of what they have in common; the others are among the slow tests
QUICK = {
    *("dfn_ensemble", "larsson_table_3", "smoke"),
}
# and where a flag cannot reach, a study that extends it
FEWER = {
    "larsson_table_4": "tables: {figure_3_early: {at: step 1}, figure_3_half: {at: step 1}}",
    "tuned_skips": "search: {trials: 3}",
    "veit_lesions": """
evaluate:
  delete_random: {vary: {deleted: {levels: [1, 12]}}, draws: 2}
  reorder: {vary: {swaps: {levels: [1, 12]}}, draws: 2}
  effective_paths: {set: {samples: 2}}
claims:
  errors_grow_with_deletions: {where: {deleted: [1, 12]}}
  errors_grow_with_reordering: {where: {swaps: [1, 12]}}
""",
    "zagoruyko_scalings": "design: {factors: {depth: {levels: [10]}}}",
}


def test_every_study_is_in_this_test() -> None:
    assert sorted(SHORT) == [path.stem for path in STUDIES]
    assert len(PAPER) >= 6


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=() if path.stem in QUICK else pytest.mark.slow)
        for path in STUDIES
    ],
)
def test_a_study_on_digits_runs_to_its_tables_and_plots(path: Path, tmp_path: Path) -> None:
    orch, name = Orch(directory=tmp_path), path.stem
    if name in FEWER:
        text = f"extends: {path}\nstudy: {name}\n{FEWER[name]}"
        path = tmp_path / path.name
        path.write_text(text, encoding="utf-8")
    orch("submit", path, "--set", "epochs=1", "--seeds", "0", *SHORT[name])
    for table in load(path).tables:
        shown = orch("table", name, table.name, "--format", "csv").out.splitlines()
        assert len(shown) > 1
        # one epoch may be too little: then an entry says so
        entries = [line.split(",", 1)[1] for line in shown[1:]]
        assert any("fail" in entry or any(map(str.isdigit, entry)) for entry in entries)
    if claims := load(path).claims:
        judged = orch("claims", name, "--json", code=None)
        assert judged.code in (0, 6)  # cells that the shortened form leaves out are missing
        found = judged.json["claims"]
        assert [each["name"] for each in found] == [each.name for each in claims]
        # one seed shows nothing, and what is compared is there
        assert {each["verdict"] for each in found} <= {"unclear", "incomplete"}
        assert all(each["evidence"] for each in found)
    if plots := load(path).plots:
        orch("plot", name, "--format", "svg")
        assert {each.name for each in plots} == {each.stem for each in (tmp_path / "plots").iterdir()}


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_a_study_at_the_papers_scale_plans(path: Path) -> None:
    assert not list(shortages(load(path)))  # of seeds
    planned = plan(load(path, seeds=(0,)), resolve("classification"))
    assert len(planned.trials) >= 2
    assert all(cell.config["data"]["name"] != "digits" for cell in planned.cells)
    # a level that extends one on digits keeps what it does not take back
    assert all(cell.config["network"]["width"] >= 1 for cell in planned.cells)
    epochs = {cell.config["epochs"] for cell in planned.cells}
    assert min(epochs) >= 20  # of SVHN; others have more
