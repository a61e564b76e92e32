"""The examples of the language's description, with cells and trials counted by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from small_workload import PATHS, SPEC, Plain, ResNet
from study_text import EXAMPLES

from orchestrator.model.plan import Plan
from orchestrator.model.study import ABSENT
from orchestrator.study.expand import cell_labels, count_cells, expand
from orchestrator.study.load import from_document, load
from orchestrator.study.plan import dimensions, plan


def planned(name: str) -> Plan:
    return plan(load(EXAMPLES / f"{name}.yaml"), SPEC)


def test_ensemble_study_trains_fifteen_components_a_seed() -> None:
    plan = planned("dfn_ensemble")
    counts = Counter((trial.stage, trial.family) for trial in plan.trials.values())
    # a seed: 8 + 8 components of which LLL coincides, 2 + 2 ensembles
    assert counts[("train", "")] == 3 * (15 + 4)
    # 2 ensembles of eight x 8 members; the same without one; a vote at each depth
    assert counts[("evaluate", "members")] == counts[("evaluate", "without")] == 3 * 2 * 8
    assert counts[("evaluate", "vote")] == 3 * 2
    assert len(plan.cells) == 20
    components = [t for t in plan.trials.values() if t.config.get("network", {}).get("name") == "component"]
    assert len(components) == 45
    assert any("depth=14,sharing=W/O,component=LLL and depth=26" in note for note in plan.notes)


def test_ensemble_study_dimensions_and_labels_follow_rule_8() -> None:
    plan = planned("dfn_ensemble")
    assert [(each.name, each.labels) for each in plan.dimensions] == [
        ("depth", ("14", "26")),
        ("sharing", ("W/O", "W/")),
        ("component", (*PATHS, "Overall")),
        ("ensemble", ("Ensemble-8", "Ensemble-7")),
        ("removed", (*PATHS, "nothing")),
    ]
    by = {
        (a.evaluation, a.cell, a.labels["component"], a.labels["removed"]): a.labels for a in plan.assignments
    }
    assert (
        by[("test", "depth=26,sharing=W/,ensemble=Ensemble-7", "Overall", "nothing")]["ensemble"]
        == "Ensemble-7"
    )
    # a component's cell has no ensemble: the factor's otherwise
    assert by[("test", "depth=14,sharing=W/O,component=RRR", "RRR", "nothing")]["ensemble"] == "Ensemble-8"
    # the vary's level comes before the cell's
    assert ("members", "depth=14,sharing=W/,ensemble=Ensemble-8", "LRL", "nothing") in by
    assert ("without", "depth=14,sharing=W/,ensemble=Ensemble-8", "Overall", "LRL") in by
    assert by[("vote", "depth=14,sharing=W/O", "Overall", "nothing")]["sharing"] == "W/O"


def test_gather_joins_the_eight_nets_of_a_seed_in_the_order_of_the_levels() -> None:
    plan = planned("dfn_ensemble")
    vote = next(
        t for t in plan.trials.values() if t.family == "vote" and "depth=26" in t.label and t.seed == 1
    )
    assert vote.gathers
    assert [plan.trials[key].config["network"]["path"] for key in vote.parents] == list(PATHS)
    assert {plan.trials[key].seed for key in vote.parents} == {1}


def test_table_4_counts_cells_and_patches_overrides() -> None:
    study = load(EXAMPLES / "table_4.yaml")
    assert count_cells(study) == 3 * 4 * 4 - 2 * 4
    assert len(cell_labels(study)) == 40
    # this workload has no dfn_il, so those levels are told, once each
    described = replace(SPEC, describe="m:f")
    kept = tuple(replace(f, levels=f.levels[:2]) if f.name == "network" else f for f in study.design.factors)
    plan_ = plan(replace(study, design=replace(study.design, factors=kept)), described)
    assert len(plan_.cells) == 3 * 4 * 2 - 2 * 4
    assert len(plan_.trials) == 16 * 5
    svhn = next(c for c in plan_.cells if c.labels["data"] == "SVHN")
    assert svhn.config["epochs"] == 40
    assert svhn.config["data"] == {"name": "svhn", "augmentation": "none"}
    other = next(c for c in plan_.cells if c.labels["data"] == "CIFAR-10")
    assert other.config["epochs"] == 10
    assert other.config["network"]["depth"] == 26  # canonical: plain_depth resolved


def test_lesion_study_counts_conditions_draws_and_seeds() -> None:
    plan = planned("lesion")
    counts = Counter(trial.family for trial in plan.trials.values())
    assert counts == {"": 2, "delete_one": 54 * 2, "delete_random": 4 * 20 * 2, "reorder": 4 * 20 * 2}
    modules = {t.parameters["module"] for t in plan.trials.values() if t.family == "delete_one"}
    assert modules == set(range(54))
    found = {each.name: each.labels for each in plan.dimensions}
    assert found["module"] == (*map(str, range(54)), ABSENT)
    assert {t.seed for t in plan.trials.values()} == {0, 3}
    draws = [
        t
        for t in plan.trials.values()
        if t.family == "reorder" and t.parameters == {"swaps": 10} and t.seed == 3
    ]
    assert sorted(t.draw for t in draws) == list(range(20))


def test_one_at_a_time_moves_one_factor_from_the_baseline() -> None:
    study = load(EXAMPLES / "one_at_a_time.yaml")
    cells = expand(study, SPEC)
    assert [each.labels["variant"] for each in cells] == [
        "baseline",
        "depth=14",
        "depth=38",
        "width=w2",
        "augmentation=no",
    ]
    assert cells[1].labels == {"variant": "depth=14", "depth": "14", "width": "w1", "augmentation": "yes"}
    assert cells[4].config["data"]["augmentation"] == "none"
    assert cells[0].name == "variant=baseline"
    assert count_cells(study) == 5
    assert dimensions(study)[0].labels == tuple(each.labels["variant"] for each in cells)


def test_leave_one_out_turns_each_factor_off() -> None:
    cells = expand(load(EXAMPLES / "leave_one_out.yaml"), SPEC)
    assert [each.labels["variant"] for each in cells] == ["all", "w/o drop-path", "w/o dropout"]
    assert cells[2].config["network"]["dropout"] == [0.0, 0.0, 0.0]
    assert cells[0].config["network"]["dropout"] == [0.0, 0.1, 0.2]
    assert cells[1].config["network"]["drop_path"] == "none"


def test_list_has_the_cells_it_names() -> None:
    plan = planned("list")
    assert [each.name for each in plan.cells] == ["variant=shallow plain", "variant=deep residual"]
    assert [each.config["network"]["name"] for each in plan.cells] == ["plain", "resnet"]
    assert len(plan.trials) == 2
    assert plan.cells[0].config["network"]["depth"] == Plain().depth == 14
    assert plan.cells[1].config["network"]["depth"] == 26 != ResNet().depth


def test_the_stored_document_is_the_same_study() -> None:
    for path in sorted(EXAMPLES.glob("*.yaml")):
        study = load(path)
        again = from_document(study.document)
        assert replace(again, places={}) == replace(study, places={}), path
