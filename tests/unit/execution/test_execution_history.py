"""Reported values: what is taken, what is refused, and that a checkpoint keeps every bit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.execution.failures import ReportError
from orchestrator.execution.history import (
    FILE,
    METRICS_LIMIT,
    History,
    Point,
    checked_coords,
    checked_index,
    checked_metrics,
    checked_step,
    finite,
)
from workloads.api import Report


class Tensor:
    """Has a tensor's manners without torch."""

    def __init__(self, *values: float, shape: tuple[int, ...] = ()) -> None:
        self.values, self.shape = values, shape

    def item(self) -> float:
        return self.values[0]


@pytest.mark.parametrize(
    "given_value",
    [
        0.5,
        np.float32(0.5),
        np.float64(0.5),
        np.array(0.5),
        np.array([0.5]),
        Tensor(0.5),
        Tensor(0.5, shape=(1, 1)),
    ],
)
def test_numbers_of_any_make_are_taken(given_value: Any) -> None:
    found = checked_metrics({"error": given_value})
    assert found == {"error": 0.5}
    assert type(found["error"]) is float


def test_whole_and_true_and_infinite_numbers_are_numbers() -> None:
    found = checked_metrics({"a": 3, "b": True, "c": np.int64(4), "d": math.inf, "e": np.bool_(True)})
    assert found == {"a": 3.0, "b": 1.0, "c": 4.0, "d": math.inf, "e": 1.0}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "got None"),
        ("0.5", "got str '0.5'"),
        ({"a": 1}, "got dict"),
        (np.array([1.0, 2.0]), "got ndarray of shape (2,)"),
        (Tensor(1.0, 2.0, shape=(2,)), "got Tensor of shape (2,)"),
        (np.array(["x"]), "got ndarray"),
        (1j, "got complex"),
    ],
)
def test_other_values_are_refused_by_name(value: Any, told: str) -> None:
    with pytest.raises(ReportError) as caught:
        checked_metrics({"fine": 1.0, "top5": value})
    assert "metrics['top5']" in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 251, "\x1b[31m", 7])
def test_names_that_cannot_be_printed_are_refused(name: Any) -> None:
    with pytest.raises(ReportError, match="name"):
        checked_metrics({name: 1.0})


def test_a_flood_of_metrics_is_refused() -> None:
    with pytest.raises(ReportError, match=r"10,001.*allowed: 10,000"):
        checked_metrics({f"m{i}": 0.0 for i in range(METRICS_LIMIT + 1)})


def test_coords_and_steps_and_indexes() -> None:
    assert checked_coords({"layer": np.int32(3), "side": "left"}) == {"layer": 3, "side": "left"}
    with pytest.raises(ReportError, match=r"coords\['layer'\]"):
        checked_coords({"layer": 0.5})
    assert checked_step(np.int64(2)) == 2
    with pytest.raises(ReportError, match="step: got float"):
        checked_step(1.5)
    assert checked_index(Report(index=1), 2, "seeds") == 1
    with pytest.raises(ReportError, match=r"index: got 2; allowed: 0 to 1"):
        checked_index(Report(index=2), 2, "seeds")


def test_finite() -> None:
    assert finite({"a": 1.0})
    assert not finite({"a": 1.0, "b": math.nan})
    assert not finite({"a": -math.inf})


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["train", "test"]),
            st.integers(0, 2**40),
            st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=2),
            st.dictionaries(st.text(max_size=5), st.floats(), max_size=3),
        ),
        max_size=5,
    )
)
def test_a_checkpoint_keeps_every_bit(tmp_path_factory: pytest.TempPathFactory, reports: Any) -> None:
    directory = tmp_path_factory.mktemp("history")
    history = History(
        points=[Point(evaluation=e, step=s, coords=c, metrics=m) for e, s, c, m in reports], ended="diverged"
    )
    history.write(directory)
    again = History.read(directory)
    assert repr(again) == repr(history)  # repr: NaN equals itself


def test_the_name_of_the_file_is_reserved_and_versions_are_checked(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(ReportError, match="reserved"):
        History().write(tmp_path)
    with pytest.raises(ValueError, match="version"):
        History.read(tmp_path)
