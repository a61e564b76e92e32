"""Attributes, training curves and coordinates (rule 9), counted by hand."""

from __future__ import annotations

import math

import pytest
from makers import NETWORKS, Made, one, spec, texts

from orchestrator.errors import StudyError
from orchestrator.model.plan import Dimension
from orchestrator.model.study import At, Axis
from orchestrator.tables.build import build
from orchestrator.tables.numbers import magnitude

DEPTHS = ("14", "26")


def test_attributes_describe_the_networks_of_a_row():
    made = Made([Dimension(name="depth", labels=DEPTHS), Dimension(name="network", labels=NETWORKS)])
    for depth, size in (("14", 400_000), ("26", 1_450_000)):
        for index, name in enumerate(NETWORKS):
            trial = made.plan({"depth": depth, "network": name})
            made.value(trial, 0.1)
            made.value(trial, size + 300 * index, metric="parameters", evaluation="network")
    axes = {"rows": Axis(dimensions=("depth",)), "columns": Axis(dimensions=("network",)), "show": "mean"}
    table = build(spec(**axes, attributes={"parameters": {"network": ("resnet",)}}), made.frame())
    assert table.columns == (("parameters",), ("plain",), ("resnet",))
    assert texts(table) == [["400.3k", "0.1000", "0.1000"], ["1.5M", "0.1000", "0.1000"]]
    assert table.entries[0][0].estimate == 400_300
    with pytest.raises(StudyError, match=r"2 values in row 14.*network \(plain, resnet\)"):
        build(spec(**axes, attributes={"parameters": {}}), made.frame())
    with pytest.raises(StudyError, match="did you mean 'parameters'"):
        build(spec(**axes, attributes={"parameter": {}}), made.frame())
    # `where` chooses too; what is trained later has no description yet.
    made.plan({"depth": "14", "network": "resnet"}, seed=1)
    picked = build(spec(**axes, where={"network": ("plain",)}, attributes={"parameters": {}}), made.frame())
    assert texts(picked)[0] == ["400.0k", "0.1000"]


def test_attributes_of_a_network_without_results_are_missing():
    made = Made([Dimension(name="network", labels=NETWORKS)])
    made.plan({"network": "plain"})
    table = build(spec(attributes={"parameters": {}}), made.frame())
    assert texts(table) == [["–", "–"]]


def curves() -> Made:
    made = Made([Dimension(name="network", labels=NETWORKS)])
    points = [[(0.5, 3.0), (0.2, 2.0), (0.3, 1.0)], [(0.1, 6.0), (0.1, 5.0), (math.nan, 4.0)]]
    for seed, curve in enumerate(points):
        trial = made.plan({"network": "plain"}, seed=seed)
        for step, (error, loss) in enumerate(curve, start=1):
            made.value(trial, error, metric="validation_error", evaluation="train", step=step, seed=seed)
            made.value(trial, loss, metric="train_loss", evaluation="train", step=step, seed=seed)
    return made


def test_a_point_of_the_training_curve_is_chosen_per_seed():
    def values(at: At) -> list[float]:
        entry = one(curves(), evaluations=("train",), metrics=("train_loss",), at=at)
        return [value for _, value in entry.values]

    assert values(At()) == [1.0, 4.0]
    assert values(At(rule="step", step=2)) == [2.0, 5.0]
    # Smallest error: step 2 of seed 0, the earlier of two equals of seed 1.
    assert values(At(rule="best", metric="validation_error")) == [2.0, 6.0]
    with pytest.raises(StudyError, match="no curve has step 9; there are 1, 2, 3"):
        values(At(rule="step", step=9))
    with pytest.raises(StudyError, match="no curve has a finite 'validation_eror'"):
        values(At(rule="best", metric="validation_eror"))


def test_the_earliest_of_equal_steps_is_taken_whatever_the_order_of_the_rows():
    made = Made([Dimension(name="network", labels=NETWORKS)])
    trial = made.plan({"network": "plain"})
    for step, loss in ((3, 30.0), (1, 10.0), (2, 20.0)):
        made.value(trial, 0.1, metric="validation_error", evaluation="train", step=step)
        made.value(trial, loss, metric="train_loss", evaluation="train", step=step)
    at = At(rule="best", metric="validation_error")
    assert one(made, evaluations=("train",), metrics=("train_loss",), at=at).estimate == 10.0


def test_a_seed_is_not_averaged_over_the_curves_that_have_the_step():
    made = Made([Dimension(name="network", labels=NETWORKS)])
    for name, seed, steps in (("plain", 0, 2), ("resnet", 0, 1), ("plain", 1, 2), ("resnet", 1, 2)):
        trial = made.plan({"network": name}, seed=seed)
        for step in range(1, steps + 1):
            made.value(trial, step, metric="train_loss", evaluation="train", step=step, seed=seed)
    given = {"evaluations": ("train",), "metrics": ("train_loss",), "average_over": ("network",)}
    entry = one(made, **given, at=At(rule="step", step=2))
    assert (entry.values, entry.planned, entry.status) == (((1, 2.0),), 2, "partial")


def test_the_best_accuracy_is_the_largest():
    made = Made([Dimension(name="network", labels=NETWORKS)])
    trial = made.plan({"network": "plain"})
    for step, value in enumerate([0.5, 0.9, 0.7]):
        made.value(trial, value, metric="validation_accuracy", evaluation="train", step=step)
    at = At(rule="best", metric="validation_accuracy")
    assert one(made, evaluations=("train",), metrics=("validation_accuracy",), at=at).estimate == 0.9


def layers() -> Made:
    """Two nets, one value a layer; the deep net has one layer more, its second seed is pending."""
    made = Made([Dimension(name="network", labels=NETWORKS)])
    for name, count in (("plain", 2), ("resnet", 11)):
        for seed in (0, 1):
            trial = made.plan({"network": name}, seed=seed, evaluation="responses")
            if (name, seed) != ("resnet", 1):
                for layer in range(count):
                    made.value(trial, layer + seed, metric="response", coords={"layer": layer}, seed=seed)
    return made


def test_coordinates_are_dimensions_in_numeric_order():
    given = {"evaluations": ("responses",), "metrics": ("response",)}
    columns = Axis(dimensions=("network",))
    table = build(spec(**given, rows=Axis(dimensions=("layer",)), columns=columns), layers().frame())
    assert [row[0] for row in table.rows] == [str(layer) for layer in range(11)]
    assert texts(table)[0] == ["0.50 ± 0.71", "0.00 ± – (n=1/2)"]
    assert texts(table)[10] == ["", "10.00 ± – (n=1/2)"]
    with pytest.raises(StudyError, match="layer: '0', '1'"):
        build(spec(**given), layers().frame())
    averaged = build(spec(**given, average_over=("layer",)), layers().frame())
    assert averaged.entries[0][0].values == ((0, 0.5), (1, 1.5))


def test_coordinates_that_nobody_measured_yet_may_be_rows():
    made = Made([Dimension(name="network", labels=NETWORKS)])
    trial = made.plan({"network": "plain"}, evaluation="responses")
    given = {"evaluations": ("responses",), "metrics": ("response",), "rows": Axis(dimensions=("layer",))}
    table = build(spec(**given), made.frame())
    assert (table.rows, texts(table)) == ((("–",),), [["–"]])
    made.value(trial, 1.0, metric="response")
    with pytest.raises(StudyError, match="unknown dimension 'layer'"):
        build(spec(**given), made.frame())


def test_magnitudes():
    given = [0, 7, 999, 1000, 30_123, 999_940, 999_960, 1_450_000, 38_587_684, 2.5e9]
    told = ["0", "7", "999", "1.0k", "30.1k", "999.9k", "1.0M", "1.4M", "38.6M", "2.5G"]
    assert [magnitude(value) for value in given] == told
