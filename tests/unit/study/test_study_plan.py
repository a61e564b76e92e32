"""Plans: labels, order, groups, conditions, gathers, resources, what is known, what is selected."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_workload import SPEC
from study_text import DEPTH, EXAMPLES, loaded, planned, problems

from orchestrator.errors import UsageError
from orchestrator.model.plan import Plan, Resources, State, TrialKey, TrialStatus
from orchestrator.model.study import ABSENT
from orchestrator.study.load import load, parse_patch, parse_seeds
from orchestrator.study.plan import know, plan, select, stale

DESIGN = "design:\n  type: factorial\n  factors:\n"
ENSEMBLE = DESIGN + (
    "    kind: {levels: {one: {network.name: component}, all: {network.name: path_ensemble}}}\n"
    "    path: {path: network.path, when: {kind: one}, levels: [LLL, RRR]}\n"
)


def test_first_seed_of_every_cell_runs_first_in_an_order_of_its_own(tmp_path: Path) -> None:
    text = DESIGN + "    e: {path: epochs, levels: {range: [1, 21]}}\nseeds: 3\n"
    found = planned(tmp_path, text)
    trials = list(found.trials.values())
    assert [trial.order for trial in trials] == list(range(60))
    assert [trial.seed for trial in trials] == [0] * 20 + [1] * 20 + [2] * 20
    first = [trial.config["epochs"] for trial in trials[:20]]
    assert first != sorted(first)
    assert list(planned(tmp_path, text).trials) == list(found.trials)
    # a study that grows keeps the order of what it had
    grown = planned(tmp_path, text.replace("21", "31"))
    assert [key for key in grown.trials if key in found.trials] == list(found.trials)


def test_evaluations_follow_their_last_parent() -> None:
    found = plan(load(EXAMPLES / "dfn_ensemble.yaml"), SPEC)
    seen: set[str] = set()
    for trial in found.trials.values():
        assert seen.issuperset(trial.parents)
        seen.add(trial.key)
    orders = [trial.order for trial in found.trials.values()]
    assert orders == list(range(len(orders)))


def test_seeds_are_fused_in_the_order_written(tmp_path: Path) -> None:
    found = planned(tmp_path, DEPTH + "seeds: 5\nfuse: 2\n")
    for cell in ("14", "26"):
        mine = [t for t in found.trials.values() if t.label.startswith(f"depth={cell} ")]
        by_seed = {trial.seed: trial.group for trial in mine}
        assert by_seed[0] == by_seed[1] != by_seed[2] == by_seed[3]
        assert by_seed[4] == ""
    groups = {trial.group for trial in found.trials.values() if trial.group}
    assert len(groups) == 4
    order = [trial.group for trial in found.trials.values() if trial.group]
    assert all(order.index(group) + 1 == len(order) - 1 - order[::-1].index(group) for group in groups)


def test_assignments_share_label_mappings_and_trials(tmp_path: Path) -> None:
    found = planned(tmp_path, DEPTH + "seeds: 3\n")
    assert len({id(each.labels) for each in found.assignments}) == 2
    assert found.assignments[0].labels is found.cells[0].labels


def test_test_time_factors_may_depend_on_the_cell_and_on_each_other(tmp_path: Path) -> None:
    text = DEPTH + (
        "evaluate:\n"
        "  reorder:\n"
        "    vary:\n"
        "      strength: {path: swaps, levels: {weak: 1, strong: 9}}\n"
        "      fine: {path: swaps, levels: [5, 6], when: {strength: strong, depth: 26}}\n"
    )
    found = planned(tmp_path, text)
    made = [
        (t.label.split("depth=")[1][:2], t.parameters["swaps"])
        for t in found.trials.values()
        if t.stage == "evaluate"
    ]
    assert sorted(made) == [("14", 1), ("14", 9), ("26", 1), ("26", 5), ("26", 6)]
    labels = {(a.labels["depth"], a.labels["strength"], a.labels["fine"]) for a in found.assignments}
    assert labels == {
        ("14", ABSENT, ABSENT),
        ("26", ABSENT, ABSENT),
        ("14", "weak", ABSENT),
        ("14", "strong", ABSENT),
        ("26", "weak", ABSENT),
        ("26", "strong", "5"),
        ("26", "strong", "6"),
    }


def test_equal_conditions_are_one_trial(tmp_path: Path) -> None:
    text = (
        DEPTH
        + "evaluate: {a: {family: delete_one, set: {module: 3}}, b: {family: delete_one, set: {module: 3}}}\n"
    )
    found = planned(tmp_path, text)
    assert len(found.trials) == 2 + 2
    assert len(found.assignments) == 2 + 2 + 2


def test_gather_in_other_designs_leaves_the_variant_open(tmp_path: Path) -> None:
    text = (
        "design: {type: list, factors: {n: {path: network.name, levels: [plain, resnet]},"
        " d: {path: network.depth, levels: [14, 26]}},"
        " cells: {A: {n: plain, d: 14}, B: {n: resnet, d: 14}, C: {n: plain, d: 26}}}\n"
        "seeds: 2\nevaluate: {vote: {gather: n, as: {n: both}}}\n"
    )
    found = planned(tmp_path, text)
    votes = [a for a in found.assignments if a.evaluation == "vote"]
    assert {(a.cell, a.labels["variant"], a.labels["n"], a.labels["d"]) for a in votes} == {
        ("d=14", ABSENT, "both", "14"),
        ("d=26", ABSENT, "both", "26"),
    }
    assert {len(found.trials[a.trial].parents) for a in votes if a.labels["d"] == "14"} == {2}
    assert ABSENT in found.dimensions[0].labels


def test_resources_follow_the_last_rule_and_the_parent(tmp_path: Path) -> None:
    text = DEPTH + (
        "resources: [{cpu: 2}, {when: {depth: 26}, gpu: 0.5, memory_gb: 4}]\n"
        "evaluate: {delete_one: {}, vote: {gather: depth, as: {depth: All}},"
        " reorder: {resources: {cpu: 4}}}\n"
    )
    found = planned(tmp_path, text)
    held = {t.label.split(" seed")[0]: t.resources for t in found.trials.values()}
    assert held["depth=14"] == held["delete_one of depth=14"] == Resources(cpu=2)
    assert held["depth=26"] == Resources(cpu=1, gpu=0.5, memory_gb=4)
    assert held["vote of depth=All"] == Resources(cpu=2, gpu=0.5, memory_gb=4)
    assert held["reorder of depth=26"] == Resources(cpu=4)


def test_zipped_factors_move_together_and_are_noted(tmp_path: Path) -> None:
    text = DEPTH + "    epochs: {path: epochs, levels: [3, 5]}\n  zip: [[depth, epochs]]\n"
    found = planned(tmp_path, text)
    assert [each.name for each in found.cells] == ["depth=14,epochs=3", "depth=26,epochs=5"]
    assert any("cannot be told apart" in note for note in found.notes)


def test_an_override_or_an_evaluation_that_fits_nothing_is_noted(tmp_path: Path) -> None:
    text = ENSEMBLE + (
        "  overrides: [{when: {kind: all, path: LLL}, set: {epochs: 3}}]\n"
        "evaluate: {members: {when: {kind: all, path: LLL}, set: {member: LLL}}}\n"
    )
    notes = planned(tmp_path, text).notes
    assert any("overrides: number 1 fits no cell" in note for note in notes)
    assert any("evaluation 'members' applies to no cell" in note for note in notes)


def test_tables_may_use_dimensions_that_the_workload_adds(tmp_path: Path) -> None:
    text = (
        DEPTH
        + "evaluate: {layers: {}}\n"
        + "tables: {t: {from: layers, rows: layer, columns: depth, metric: strength}}\n"
    )
    assert planned(tmp_path, text).trials
    (found,) = problems(tmp_path, DEPTH + "tables: {t: {rows: layer, metric: test_error}}\n")
    assert found.code == "unknown-dimension"


def test_an_entry_of_one_metric_is_not_ambiguous_for_evaluations_that_lack_it(tmp_path: Path) -> None:
    text = DEPTH + "evaluate: {reorder: {}}\ntables: {t: {from: [test, reorder], rows: depth, metric: %s}}\n"
    assert planned(tmp_path, text % "kendall_tau").trials
    (found,) = problems(tmp_path, text % "test_error")
    assert found.code == "ambiguous-entry"


def test_metric_and_evaluation_count_as_dimensions(tmp_path: Path) -> None:
    text = DEPTH + "evaluate: {delete_one: {}}\n"
    table = (
        "tables: {t: {from: [test, delete_one], metrics: [test_error, test_loss], rows: depth, columns: %s}}"
    )
    assert planned(tmp_path, text + table % "[evaluation, metric]").trials
    selections = "{before: {evaluation: test, metric: test_loss}, after: {evaluation: delete_one%s}}"
    assert planned(tmp_path, text + table % (selections % ", metric: test_error")).trials
    (found,) = problems(tmp_path, text + table % (selections % ""))
    assert "two labels of 'metric' fit one entry" in found.message
    (found,) = problems(tmp_path, text + table % "metric")
    assert "'evaluation' fit one entry of table 't': 'test' and 'delete_one'" in found.message
    (found,) = problems(tmp_path, text + table % "{a: {evaluation: tested}}")
    assert found.code == "unknown-label"


def test_average_over_permits_what_is_averaged(tmp_path: Path) -> None:
    text = DEPTH + "    e: {path: epochs, levels: [3, 5]}\ntables: {t: {rows: depth, metric: test_error%s}}\n"
    assert planned(tmp_path, text % ", average_over: e").trials
    assert problems(tmp_path, text % "")[0].code == "ambiguous-entry"


# --- known states -------------------------------------------------------------------------------------


def status(state: State, code: str = "") -> TrialStatus:
    return TrialStatus(state=state, code=code)


def test_know_counts_results_of_other_code(tmp_path: Path) -> None:
    fresh = planned(tmp_path, DEPTH + "seeds: 2\nevaluate: {delete_one: {}}\n")
    trainings = [key for key, trial in fresh.trials.items() if trial.stage == "train"]
    children = [key for key, trial in fresh.trials.items() if trial.parents == (trainings[0],)]
    statuses = {
        trainings[0]: status(State.SUCCEEDED, "old"),
        trainings[1]: status(State.DIVERGED, "new"),
        trainings[2]: status(State.FAILED, "old"),
        children[0]: status(State.SUCCEEDED, "new"),
        TrialKey("of another study"): status(State.SUCCEEDED, "old"),
    }
    warned = know(fresh, statuses, code="new", rule="warn")
    assert set(warned.known) == {*trainings[:3], children[0]}
    assert warned.state(trainings[0]) is State.SUCCEEDED
    assert warned.state(trainings[3]) is State.PENDING
    # the evaluation read a network that other code trained
    assert stale(fresh, statuses, code="new") == {trainings[0], children[0]}
    assert warned.notes[-1] == "2 cached trials came from other code"
    assert know(fresh, statuses, code="new", rule="reuse").notes == fresh.notes
    assert "run again" in know(fresh, statuses, code="new", rule="rerun").notes[-1]
    assert len(warned.pending()) == 8 - 3


# --- --cells, --set, --seeds ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ensemble() -> Plan:
    return plan(load(EXAMPLES / "dfn_ensemble.yaml"), SPEC)


def counted(found: Plan, filters: list[str]) -> tuple[int, int]:
    chosen = [found.trials[key] for key in select(found, filters)]
    return sum(t.stage == "train" for t in chosen), sum(t.stage == "evaluate" for t in chosen)


@pytest.mark.parametrize(
    ("filters", "trainings", "evaluations"),
    [
        ([], 57, 102),
        (["depth=26,sharing=W/"], 6, 48),
        (["depth=26,sharing=W/O"], 24, 3),  # the eight, and their vote
        (["depth=26,component=RRR"], 3, 0),  # half of a gather is none
        (["sharing=W/O"], 45, 6),
        (["depth=*,ensemble=Ensemble-7"], 6, 0),
        (["depth=14,ensemble=Ensemble-8", "depth=26,ensemble=Ensemble-8"], 6, 96),
    ],
)
def test_select_takes_cells_and_whole_gathers(
    ensemble: Plan, filters: list[str], trainings: int, evaluations: int
) -> None:
    assert counted(ensemble, filters) == (trainings, evaluations)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dept=26", "unknown factor 'dept'; did you mean 'depth'\\?; known: depth, sharing"),
        ("depth=27", "depth: unknown label '27'.*known: 14, 26"),
        ("depth", "expected FACTOR=LABEL"),
        ("depth=14,depth=26", "named twice"),
        ("sharing=W/,component=LLL", "no cell fits"),
    ],
)
def test_select_names_what_is_known(ensemble: Plan, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        select(ensemble, [text])


def test_variants_are_selected_by_their_label() -> None:
    found = plan(load(EXAMPLES / "one_at_a_time.yaml"), SPEC)
    assert counted(found, ["variant=depth=14"]) == (1, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("network.depth=56", ("network.depth", 56)),
        ("optimizer.lr=1e-3", ("optimizer.lr", 0.001)),
        ("data.name=no", ("data.name", "no")),
        ("network.dropout=[0, 0.1]", ("network.dropout", [0, 0.1])),
        ("network={name: plain}", ("network", {"name": "plain"})),
        ("note='a=b'", ("note", "a=b")),
        ("note=null", ("note", None)),
    ],
)
def test_patches_are_yaml_values(text: str, expected: tuple[str, object]) -> None:
    found = parse_patch(text)
    assert found == expected
    assert type(found[1]) is type(expected[1])


@pytest.mark.parametrize(
    "text", ["a", "=3", "a=", "a.=3", "a=[1", "a=!!x 1", "a=1\nb: 2", "a=${HOME}", "a b=1", "token=abc"]
)
def test_bad_patches_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        parse_patch(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", (0,)), ("3", (0, 1, 2)), ("0-4", (0, 1, 2, 3, 4)), ("0,2,5", (0, 2, 5)), ("1, 7-8", (1, 7, 8))],
)
def test_seeds_of_the_command_line(text: str, expected: tuple[int, ...]) -> None:
    assert parse_seeds(text) == expected


@pytest.mark.parametrize("text", ["", "-1", "a", "4-0", "1,1", "0-9999999999", "1.5", f"0,{2**63}", "9" * 30])
def test_bad_seeds_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        parse_seeds(text)


def test_a_patch_that_the_workload_does_not_take_is_told(tmp_path: Path) -> None:
    from orchestrator.errors import StudyError

    study = loaded(tmp_path, DEPTH, patches={"network.dept": 3, "epochs": "x"}, seeds=(4,))
    with pytest.raises(StudyError) as caught:
        plan(study, SPEC)
    assert [each.file for each in caught.value.problems] == ["--set", "--set"]
    assert "did you mean 'depth'" in str(caught.value)
