"""The frame against a loop over assignments and rows."""

from __future__ import annotations

import itertools
import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import Made, scan

from orchestrator.model.plan import Assignment, Dimension, State, TrialKey, TrialStatus
from orchestrator.model.result import ResultRow
from orchestrator.store.frame import frame

DIMENSIONS = [
    Dimension(name="network", labels=("plain", "resnet")),
    Dimension(name="removed", labels=("LLL", "–")),
]


def looped(rows, valid, assignments):
    """Slow reference of `Frame.observed`, as a list of tuples."""
    found = []
    for line, each in enumerate(assignments):
        for part, row in rows:
            if row.trial != each.trial or valid.get(row.trial) != part:
                continue
            evaluation = row.evaluation if each.evaluation == "test" else each.evaluation
            labels = [each.labels.get(dimension.name, "–") for dimension in DIMENSIONS]
            layer = str(row.coords.get("layer", "–"))
            place = (line, evaluation, each.cell, each.draw, each.seed, row.trial, row.outcome, row.step)
            found.append((*place, row.metric, row.value, *labels, layer))
    return found


@st.composite
def stores(draw):
    keys = [TrialKey(f"k{i}") for i in range(4)]
    assignments = [
        Assignment(
            study="s",
            cell=draw(st.sampled_from(["c1", "c2"])),
            evaluation=draw(st.sampled_from(["test", "lesion"])),
            labels=draw(st.sampled_from([{"network": "plain"}, {"network": "resnet", "removed": "LLL"}])),
            draw=draw(st.integers(0, 1)),
            seed=draw(st.integers(0, 2)),
            trial=draw(st.sampled_from(keys)),
        )
        for _ in range(draw(st.integers(1, 6)))
    ]
    row = st.builds(
        ResultRow,
        trial=st.sampled_from([*keys, TrialKey("other")]),
        evaluation=st.sampled_from(["train", "test", "network", "delete"]),
        coords=st.sampled_from([{}, {"layer": 2}, {"layer": 10}]),
        seed=st.just(0),
        step=st.integers(0, 2),
        metric=st.sampled_from(["test_error", "test_loss"]),
        value=st.sampled_from([0.5, -1.0, math.inf]),
        outcome=st.sampled_from(["succeeded", "diverged"]),
    )
    rows = draw(st.lists(st.tuples(st.sampled_from(["p1", "p2"]), row), max_size=12))
    valid = {
        key: draw(st.sampled_from(["p1", "p2"])) for key in draw(st.lists(st.sampled_from(keys), unique=True))
    }
    return rows, valid, assignments


@given(stores())
@settings(max_examples=80, deadline=None)
def test_observed_is_what_the_loop_finds(store):
    rows, valid, assignments = store
    layered = any(row.coords for _, row in rows)
    scanned = pl.concat([scan([row], part) for part, row in rows]) if rows else scan([])
    made = frame(scanned, valid, assignments, {}, DIMENSIONS)
    expected = looped(rows, valid, assignments)
    if not layered:
        expected = [line[:-1] for line in expected]
    assert sorted(made.observed.rows()) == sorted(expected)
    names = ["line", "evaluation", "cell", "draw", "seed", "trial", "outcome", "step", "metric", "value"]
    assert made.observed.columns == [*names, "@network", "@removed", *(["@layer"] if layered else [])]


def test_planned_has_a_curve_for_every_training():
    made = Made(DIMENSIONS)
    training = made.plan({"network": "plain"}, seed=3)
    lesion = made.plan({"network": "plain", "removed": "LLL"}, seed=3, draw=1, evaluation="lesion")
    made.state(training, State.SUCCEEDED)
    planned = made.frame().planned
    shown = planned.select("line", "evaluation", "draw", "seed", "trial", "state", "@network", "@removed")
    assert sorted(shown.rows()) == [
        (0, "test", 0, 3, training, "succeeded", "plain", "–"),
        (0, "train", 0, 3, training, "succeeded", "plain", "–"),
        (1, "lesion", 1, 3, lesion, "pending", "plain", "LLL"),
    ]


def test_rows_of_a_superseded_part_are_ignored():
    made = Made(DIMENSIONS)
    trial = made.plan({"network": "plain"})
    made.value(trial, 0.1)
    rows = pl.concat(
        [
            scan(made.rows, "old"),
            scan([ResultRow(trial=trial, evaluation="test", seed=0, metric="test_error", value=0.2)], "new"),
        ]
    )
    found = frame(rows, {trial: "new"}, made.assignments, made.statuses, DIMENSIONS).observed
    assert found.get_column("value").to_list() == [0.2]


def test_coordinates_become_dimensions_in_numeric_order_after_the_study_s():
    made = Made(DIMENSIONS)
    trial = made.plan({"network": "plain"})
    for layer in (10, 9, 100, "head"):
        made.value(trial, 0.1, coords={"layer": layer, "block": 1})
    dimensions = made.frame().dimensions
    assert [each.name for each in dimensions] == ["network", "removed", "block", "layer"]
    assert dimensions[-1].labels == ("9", "10", "100", "head")


def test_a_coordinate_that_bears_a_dimension_s_name_is_its_label():
    made = Made(DIMENSIONS)
    trial = made.plan({"network": "plain", "removed": "–"}, evaluation="columns")
    for removed, value in (("LLL", 0.1), ("RRR", 0.2)):
        made.value(trial, value, coords={"removed": removed})
    found = made.frame()
    assert found.dimensions[1].labels == ("LLL", "–", "RRR")
    assert found.observed.select("@removed", "value").rows() == [("LLL", 0.1), ("RRR", 0.2)]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (TrialStatus(state=State.FAILED, cause="out of memory", message="4 GB"), "out of memory: 4 GB"),
        (TrialStatus(state=State.FAILED, cause="error", message="ValueError: x"), "ValueError: x"),
        (TrialStatus(state=State.FAILED, cause="lost"), "lost"),
        (TrialStatus(state=State.BLOCKED, message="waits"), "waits"),
        (TrialStatus(), ""),
    ],
)
def test_messages_say_why(status, told):
    made = Made(DIMENSIONS)
    made.plan({"network": "plain"}, status=status)
    assert made.frame().planned.get_column("message").unique().to_list() == [told]


def test_an_empty_store_and_an_empty_study():
    made = frame(scan([]), {}, [], {}, DIMENSIONS)
    assert (made.planned.height, made.observed.height) == (0, 0)


def test_rows_without_a_column_are_refused():
    with pytest.raises(ValueError, match="lack the columns part"):
        frame(scan([]).drop("part"), {}, [], {}, DIMENSIONS)


def test_the_order_of_rows_does_not_depend_on_chance():
    made = Made(DIMENSIONS)
    for network, seed in itertools.product(("plain", "resnet"), range(40)):
        made.value(made.plan({"network": network}, seed=seed), seed, seed=seed)
    assert made.frame().observed.equals(made.frame().observed)
