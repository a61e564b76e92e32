"""Rules 8 to 10 of the study language, case by case, counted by hand."""

from __future__ import annotations

import math
import re
from typing import get_args

import pytest
from makers import NETWORKS, Made, grid, one, spec, texts, zhao

from orchestrator.errors import StudyError
from orchestrator.model.plan import Dimension, State, TrialStatus
from orchestrator.model.study import Axis, FailWhen
from orchestrator.model.table import Entry
from orchestrator.stats import estimate
from orchestrator.study import schema
from orchestrator.tables.build import build

DEPTHS = ("14", "26")


def alone(*errors: float) -> Made:
    return grid({"network": ["plain"]}, {("plain",): errors})


def waiting(made: Made, state: State, seed: int, **told: object) -> None:
    status = TrialStatus(state=state, **told)  # type: ignore[arg-type]
    made.plan({"network": "plain"}, seed=seed, status=status)


def test_mean_and_standard_deviation_over_seeds():
    made = alone(0.07, 0.08, 0.12)  # mean 0.09; squared deviations 4e-4, 1e-4, 9e-4
    assert one(made).text == "0.0900 ± 0.0265"
    assert one(made, std="population").text == "0.0900 ± 0.0216"
    assert one(made, percent=True).text == "9.00 ± 2.65"
    assert one(made, percent=True, digits=1).text == "9.0 ± 2.6"
    assert one(made, show="std", std="population").text == "0.0216"
    assert one(made, show="median", percent=True).text == "8.00"
    assert one(made, show="min").text == "0.0700"
    assert one(made, show="n").text == "3"
    # t of two degrees of freedom: 4.30265; half-width 4.30265 * 0.0264575 / sqrt(3) = 0.065725
    assert one(made, show="mean [ci95]").text == "0.0900 [0.0243, 0.1557]"
    entry = one(made)
    assert entry.values == ((0, 0.07), (1, 0.08), (2, 0.12))
    assert entry.spread == pytest.approx(math.sqrt(14e-4 / 2))


def test_one_seed_prints_no_spread():
    assert one(alone(0.07)).text == "0.0700 ± –"
    assert one(alone(0.07), show="mean [ci95]").text == "0.0700 [–]"
    undefined = one(alone(0.07), show="std", best="min")
    assert (undefined.text, undefined.estimate, undefined.best) == ("–", None, False)
    notes = build(spec(), alone(0.07).frame()).notes
    assert "n = 1 seed." in notes
    assert any("– where there is one seed" in note for note in notes)


def test_the_study_language_offers_what_tables_can_show():
    assert set(get_args(schema.TableFile.model_fields["show"].annotation)) == set(estimate.SHOWS)


def test_pending_seeds_show_as_n_of_planned():
    made = alone(0.07, 0.09)
    waiting(made, State.PENDING, 2)
    waiting(made, State.RUNNING, 3)
    waiting(made, State.CANCELLED, 4)
    entry = one(made, percent=True)
    assert (entry.text, entry.status, entry.n, entry.planned) == ("8.00 ± 1.41 (n=2/5)", "partial", 2, 5)


def test_missing_is_for_planned_entries_without_a_result():
    made = alone()
    waiting(made, State.PENDING, 0)
    assert (one(made).text, one(made).status) == ("–", "pending")
    assert one(made, missing="n/a").text == "n/a"


def test_fails_are_left_out_until_half_of_the_seeds_failed():
    def judged(*errors: float) -> Entry:
        return one(alone(*errors), fail_when=FailWhen(metric="test_error", comparison=">", threshold=0.5))

    assert judged(0.1, 0.1, 0.9).text == "0.1000 ± 0.0000 (1 fail)"
    assert judged(0.1, 0.9).text == "fail"
    assert judged(0.5, 0.5).text == "0.5000 ± 0.0000"  # beyond, not at
    assert judged(0.9, 0.9, 0.1).status == "fail"
    assert (judged(0.9, 0.9, 0.1).estimate, judged(0.9, 0.9, 0.1).failures) == (None, 2)
    assert judged(math.nan, 0.1, 0.1).text == "0.1000 ± 0.0000 (1 fail)"
    assert judged(math.inf, 0.1, 0.1).failures == 1


def test_a_diverged_training_fails_without_any_row():
    made = alone(0.1, 0.1)
    waiting(made, State.DIVERGED, 2)
    waiting(made, State.PENDING, 3)
    assert one(made).text == "0.1000 ± 0.0000 (1 fail, n=2/4)"


def test_fail_is_judged_over_the_seeds_that_came_to_an_outcome():
    made = alone(0.1)
    waiting(made, State.DIVERGED, 1)
    waiting(made, State.PENDING, 2)
    waiting(made, State.PENDING, 3)
    assert (one(made).text, one(made).status) == ("fail (n=1/4)", "fail")


def test_a_diverged_network_fails_its_evaluations_and_blocks_its_gathers():
    made = Made([Dimension(name="network", labels=NETWORKS)])
    for name in NETWORKS:
        trial = made.plan({"network": name}, key=f"net {name}")
        if name == "plain":
            made.state(trial, State.DIVERGED)
        else:
            made.value(trial, 0.1)
    blocked = {"blocked_by": "net plain"}
    lesion = made.plan({"network": "plain"}, evaluation="lesion")
    made.state(lesion, State.BLOCKED, **blocked)
    vote = made.plan({"network": "–"}, evaluation="vote", cell="")
    made.state(vote, State.BLOCKED, **blocked)
    assert one(made, evaluations=("lesion",)).text == "fail"
    entry = one(made, evaluations=("vote",))
    assert (entry.text, entry.status) == ("blocked", "blocked")
    assert "network=plain seed 0" in entry.message
    assert "diverged" in entry.message


def test_a_failed_trial_prints_its_message_below():
    made = alone(0.1, 0.1)
    waiting(made, State.FAILED, 2, cause="error", message="RuntimeError: no space")
    table = build(spec(), made.frame())
    assert table.entries[0][0].text == "0.1000 ± 0.0000 (1 error, n=2/3)"
    assert table.entries[0][0].status == "error"
    assert table.notes[-1] == "plain, test_error: error: RuntimeError: no space"
    nothing = alone()
    waiting(nothing, State.FAILED, 0, message="out of luck")
    assert one(nothing).text == "error"


def test_draws_are_averaged_within_a_net_first():
    made = Made([Dimension(name="network", labels=NETWORKS)])
    for seed, values in enumerate([(0.1, 0.3), (0.3, 0.5)]):
        for draw, value in enumerate(values):
            trial = made.plan({"network": "plain"}, seed=seed, draw=draw, evaluation="lesion")
            made.value(trial, value, evaluation="delete", seed=seed, draw=draw)
    table = build(spec(evaluations=("lesion",)), made.frame())
    entry = table.entries[0][0]
    assert [value for _, value in entry.values] == pytest.approx([0.2, 0.4])
    assert (entry.n, len(entry.trials)) == (2, 4)
    assert entry.text == "0.3000 ± 0.1414"
    assert "Values are averaged over 2 draws within a net first." in table.notes
    # One draw over the limit does not fail a net whose average is below.
    limit = FailWhen(metric="test_error", comparison=">=", threshold=0.45)
    assert build(spec(evaluations=("lesion",), fail_when=limit), made.frame()).entries[0][0].failures == 0
    # A net without all its draws has no value yet.
    made.plan({"network": "plain"}, seed=1, draw=2, evaluation="lesion")
    assert build(spec(evaluations=("lesion",)), made.frame()).entries[0][0].n == 1


def test_labels_that_are_averaged_weigh_the_same_whatever_their_draws():
    made = alone(0.1)
    for draw, value in enumerate((0.4, 0.6)):
        trial = made.plan({"network": "plain"}, draw=draw, evaluation="lesion")
        made.value(trial, value, evaluation="delete", draw=draw)
    entry = one(made, evaluations=("test", "lesion"), average_over=("evaluation",))
    assert entry.estimate == pytest.approx((0.1 + 0.5) / 2)


def test_nothing_is_averaged_unasked():
    factors = {"network": NETWORKS, "depth": DEPTHS}
    made = grid(
        factors,
        {(n, d): (0.1 + 0.1 * i,) for i, (n, d) in enumerate((n, d) for n in NETWORKS for d in DEPTHS)},
    )
    places = {"tables.t": ("study.yaml", 40, 3)}
    with pytest.raises(StudyError) as caught:
        build(spec(), made.frame(), places=places)
    told = str(caught.value)
    assert told.startswith("study.yaml:40:3: error[ambiguous-entry]: table 't':")
    assert "depth: '14', '26'" in told
    assert "network=plain" in told
    assert "average_over: [depth]" in told
    table = build(spec(average_over=("depth",)), made.frame())
    assert [line[0].estimate for line in table.entries] == pytest.approx([0.15, 0.35])
    assert "Values are averaged over depth within a seed." in table.notes
    assert build(spec(where={"depth": ("26",)}), made.frame()).entries[1][0].estimate == pytest.approx(0.4)


def test_two_evaluations_with_equal_labels_are_not_averaged_either():
    made = alone(0.1)
    made.value(made.plan({"network": "plain"}, evaluation="vote"), 0.3)
    with pytest.raises(StudyError, match="evaluation: 'test', 'vote'"):
        build(spec(evaluations=("test", "vote")), made.frame())
    table = build(spec(evaluations=("vote", "test"), columns=Axis(dimensions=("evaluation",))), made.frame())
    assert table.columns == (("vote",), ("test",))


def test_rows_and_columns_without_a_planned_entry_are_dropped_and_holes_are_blank():
    factors = {"network": NETWORKS, "depth": ("14", "26", "38")}
    made = grid(factors, {("plain", "14"): (0.1,), ("resnet", "26"): (0.2,)})
    table = build(spec(columns=Axis(dimensions=("depth",)), show="mean"), made.frame())
    assert table.columns == (("14",), ("26",))
    assert texts(table) == [["0.1000", ""], ["", "0.2000"]]
    assert table.entries[0][1].status == "missing"


def test_metric_is_a_dimension():
    made = Made([Dimension(name="network", labels=NETWORKS)])
    for name, error, loss in (("plain", 0.1, 1.5), ("resnet", 0.2, 0.5)):
        trial = made.plan({"network": name})
        made.value(trial, error)
        made.value(trial, loss, metric="test_loss")
    two = ("test_loss", "test_error")
    with pytest.raises(StudyError, match="metric: 'test_error', 'test_loss'"):
        build(spec(metrics=two), made.frame())
    columns = Axis(dimensions=("metric",))
    table = build(spec(metrics=two, columns=columns, show="mean", percent=True, best="min"), made.frame())
    assert table.columns == (("test_loss",), ("test_error",))
    assert texts(table) == [["1.5000", "10.00"], ["0.5000", "20.00"]]  # a loss is no fraction
    assert [[entry.best for entry in line] for line in table.entries] == [[False, True], [True, False]]
    assert "test_error in per cent." in table.notes
    by_name = {"loss": {"metric": ("test_loss",)}, "error": {"metric": ("test_error",)}}
    assert texts(build(spec(metrics=two, columns=Axis(selections=by_name), show="mean"), made.frame()))[
        0
    ] == [
        "1.5000",
        "0.1000",
    ]


def test_fail_when_may_judge_by_another_metric():
    made = Made([Dimension(name="network", labels=NETWORKS)])
    for seed, (error, loss) in enumerate([(0.1, 1.0), (0.2, 2.0), (0.9, 9.0)]):
        trial = made.plan({"network": "plain"}, seed=seed)
        made.value(trial, error, seed=seed)
        made.value(trial, loss, metric="test_loss", seed=seed)
    limit = FailWhen(metric="test_error", comparison=">", threshold=0.5)
    entry = one(made, metrics=("test_loss",), fail_when=limit, show="mean")
    assert entry.text == "1.5000 (1 fail)"


def test_best_goes_by_printed_values_within_groups():
    factors = {"network": NETWORKS, "depth": DEPTHS}
    made = grid(
        factors,
        {
            ("plain", "14"): (0.10004,),
            ("resnet", "14"): (0.10001,),
            ("plain", "26"): (0.3,),
            ("resnet", "26"): (0.2,),
        },
    )
    given = {"columns": Axis(dimensions=("depth",)), "show": "mean", "percent": True}

    def marks(**more: object) -> list[list[bool]]:
        table = build(spec(**given, **more), made.frame())
        return [[entry.best for entry in line] for line in table.entries]

    assert marks(best="min", within=("depth",)) == [[True, False], [True, True]]  # 10.00 twice
    assert marks(best="min", within=("depth",), digits=3) == [[False, False], [True, True]]
    assert marks(best="min") == [[True, False], [True, False]]
    assert marks(best="max", within=("depth",)) == [[True, True], [True, False]]
    assert marks() == [[False, False], [False, False]]


def test_a_failed_entry_is_never_best():
    made = grid({"network": NETWORKS}, {("plain",): (0.9, 0.9, 0.1), ("resnet",): (0.2, 0.2, 0.2)})
    limit = FailWhen(metric="test_error", comparison=">", threshold=0.5)
    table = build(spec(best="max", fail_when=limit), made.frame())
    assert [line[0].best for line in table.entries] == [False, True]


def test_selections_are_rows_in_the_order_written():
    rows = Axis(
        selections={"deep": {"depth": ("26",)}, "all plain": {"network": ("plain",), "depth": ("14",)}}
    )
    factors = {"network": NETWORKS, "depth": DEPTHS}
    made = grid(factors, {("plain", "14"): (0.1,), ("plain", "26"): (0.2,)})
    table = build(spec(rows=rows, show="mean"), made.frame())
    assert (table.row_names, table.rows) == (("",), (("deep",), ("all plain",)))
    assert texts(table) == [["0.2000"], ["0.1000"]]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"rows": Axis(dimensions=("netwrk",))}, "rows: unknown dimension 'netwrk'.*did you mean 'network'"),
        ({"where": {"network": ("resnt",)}}, "unknown label 'resnt'.*did you mean 'resnet'"),
        ({"where": {"dpth": ("14",)}}, "unknown dimension 'dpth'"),
        ({"within": ("size",)}, "within: unknown dimension 'size'"),
        ({"average_over": ("size",)}, "average_over: unknown dimension 'size'"),
        ({"metrics": ("test_eror",)}, "unknown metric 'test_eror'.*did you mean 'test_error'"),
        ({"show": "average"}, "unknown statistic 'average'; allowed are 'mean ± std'"),
    ],
)
def test_unknown_names_are_told_with_the_nearest(given, told):
    made = grid({"network": NETWORKS}, {("plain",): (0.1,), ("resnet",): (0.2,)})
    with pytest.raises(StudyError) as caught:
        build(spec(**given), made.frame())
    assert re.search(told, str(caught.value))


def test_one_trial_may_stand_in_several_rows():
    table = build(
        spec(
            where={"sharing": ("W/O",), "ensemble": ("Ensemble-8",), "component": ("LLL",)},
            rows=Axis(dimensions=("depth",)),
        ),
        zhao().frame(),
    )
    assert table.entries[0][0].trials == table.entries[1][0].trials == ("lll|0", "lll|1")


def test_a_selection_of_nothing_says_so():
    made = Made([Dimension(name="network", labels=NETWORKS)])
    made.value(made.plan({"network": "plain"}), 0.1)
    table = build(spec(where={"network": ("resnet",)}), made.frame())
    assert (table.rows, table.columns, table.entries) == ((), (), ())
    assert table.notes == ("Nothing is planned that this table selects.",)


def test_a_frame_without_anything_measured_is_all_pending():
    made = Made([Dimension(name="network", labels=NETWORKS)])
    for name in NETWORKS:
        made.plan({"network": name})
    table = build(spec(metrics=()), made.frame(), title="A title")
    assert texts(table) == [["–"], ["–"]]
    assert table.caption == "A title"
