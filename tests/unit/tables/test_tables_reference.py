"""Built tables against the slow reference, on drawn studies."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import Made
from reference import AmbiguousError, reference

from orchestrator.errors import StudyError
from orchestrator.model.plan import Dimension, State
from orchestrator.model.study import Axis, FailWhen, TableSpec
from orchestrator.tables.build import build

FACTORS = {"a": ("a1", "a2"), "b": ("b1", "b2", "b3"), "c": ("c1", "c2")}
STATES = [
    *[State.SUCCEEDED] * 12,
    State.DIVERGED,
    State.FAILED,
    State.BLOCKED,
    State.PENDING,
    State.RUNNING,
    State.CANCELLED,
]


@st.composite
def studies(draw):
    """A study with up to two evaluations, some cells left out, trials in any state."""
    made = Made([Dimension(name=name, labels=labels) for name, labels in FACTORS.items()])
    seeds = draw(st.integers(1, 4))
    draws = draw(st.integers(1, 2))
    combinations = list(itertools.product(*FACTORS.values()))
    kept = draw(st.lists(st.sampled_from(combinations), min_size=1, max_size=8, unique=True))
    for combination in kept:
        labels = dict(zip(FACTORS, combination, strict=True))
        for evaluation, number in (("test", 1), ("lesion", draws)):
            for seed, each in itertools.product(range(seeds), range(number)):
                trial = made.plan(labels, seed=seed, draw=each, evaluation=evaluation)
                state = draw(st.sampled_from(STATES))
                if state is State.SUCCEEDED:
                    for metric in ("test_error", "test_loss"):
                        value = draw(st.one_of(st.integers(0, 64).map(lambda k: k / 64), st.just(math.nan)))
                        made.value(trial, value, metric=metric, evaluation=evaluation, seed=seed, draw=each)
                elif state is not State.PENDING:
                    made.state(trial, state, message="told")
    return made


@st.composite
def specs(draw):
    dimensions = draw(st.permutations([*FACTORS, "metric", "evaluation"]))
    rows = draw(st.integers(0, 3))
    columns = draw(st.integers(0, 5 - rows))
    where = {
        name: tuple(draw(st.lists(st.sampled_from(FACTORS[name]), min_size=1, unique=True)))
        for name in draw(st.lists(st.sampled_from(list(FACTORS)), unique=True))
    }
    return TableSpec(
        name="drawn",
        evaluations=draw(st.sampled_from([("test",), ("lesion",), ("test", "lesion")])),
        metrics=draw(st.sampled_from([("test_error",), ("test_loss", "test_error")])),
        where=where,
        rows=Axis(dimensions=tuple(dimensions[:rows])),
        columns=Axis(dimensions=tuple(dimensions[rows : rows + columns])),
        digits=3,
        average_over=tuple(draw(st.lists(st.sampled_from(list(FACTORS)), unique=True, max_size=2))),
    )


@given(studies(), specs(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_entry_is_what_the_reference_says(made, spec, judged):
    if judged and len(spec.metrics) == 1:
        fail_when = FailWhen(metric=spec.metrics[0], comparison=">", threshold=0.75)
        spec = TableSpec(**{name: getattr(spec, name) for name in spec.__slots__} | {"fail_when": fail_when})
    ambiguous = None
    try:
        expected = reference(spec, made.assignments, made.statuses, made.rows)
    except AmbiguousError as error:
        ambiguous = error.dimensions
    if ambiguous is not None:
        with pytest.raises(StudyError, match="table 'drawn'") as caught:
            build(spec, made.frame())
        assert any(f"{name}: " in str(caught.value) for name in ambiguous)
        return
    table = build(spec, made.frame())
    found = {}
    for row, entries in zip(table.rows, table.entries, strict=True):
        for column, entry in zip(table.columns, entries, strict=True):
            place = (row, column if spec.columns.dimensions else ())
            if place in expected:
                found[place] = entry
            else:
                assert (entry.text, entry.status, entry.planned) == ("", "missing", 0)
    assert found.keys() == expected.keys()
    for place, entry in found.items():
        want = expected[place]
        assert entry.text == want.text, place
        assert entry.status == want.status
        assert (entry.planned, entry.failures, entry.n) == (want.planned, want.failures, len(want.values))
        assert [seed for seed, _ in entry.values] == [seed for seed, _ in want.values]
        assert [v for _, v in entry.values] == pytest.approx([v for _, v in want.values])
        assert frozenset(entry.trials) == want.trials
        assert len(entry.trials) == len(want.trials)
    # No row or column without a planned entry, none twice, in the order of the dimensions.
    assert {row for row, _ in expected} == set(table.rows)
    assert len(set(table.rows)) == len(table.rows)
    order = {**FACTORS, "metric": spec.metrics, "evaluation": spec.evaluations}
    for labels, dimensions in ((table.rows, spec.rows.dimensions), (table.columns, spec.columns.dimensions)):
        ranks = [
            [order[d].index(label) for d, label in zip(dimensions, each, strict=True)]
            for each in labels
            if dimensions
        ]
        assert ranks == sorted(ranks)
