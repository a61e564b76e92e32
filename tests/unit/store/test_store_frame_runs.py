"""Rows beside the observations that ask for them: the fast way equals the plain one, in any order of rows."""

from __future__ import annotations

import random

import polars as pl
import pytest

from orchestrator.model.plan import Assignment, Dimension, TrialKey
from orchestrator.store.frame import ROW_SCHEMA, frame

COLUMNS = ("line", "evaluation", "cell", "draw", "seed", "trial", "step", "metric", "value", "@x")


def assigned(trial: str, x: str, evaluation: str, seed: int) -> Assignment:
    return Assignment(
        study="s",
        cell=f"x={x}",
        evaluation=evaluation,
        labels={"x": x},
        draw=0,
        seed=seed,
        trial=TrialKey(trial),
    )


def rows_of(choice: random.Random, trials: list[str]) -> list[dict[str, object]]:
    rows = []
    for trial in [*trials, "nobody's"]:
        for part in choice.sample(["p1", "p2", "p3"], 2):
            for step in range(choice.randint(1, 3)):
                rows.append(
                    {
                        "trial": trial,
                        "evaluation": choice.choice(["test", "train", "family"]),
                        "coords": "{}",
                        "seed": 0,
                        "draw": 0,
                        "step": step,
                        "metric": "loss",
                        "value": choice.random(),
                        "outcome": "succeeded",
                        "part": part,
                    }
                )
    return rows


def plainly(
    rows: list[dict[str, object]], valid: dict[TrialKey, str], assignments: list[Assignment]
) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for row in rows:
        for line, each in enumerate(assignments):
            if each.trial != row["trial"] or valid.get(each.trial) != row["part"]:
                continue
            evaluation = row["evaluation"] if each.evaluation == "test" else each.evaluation
            values = (row["trial"], row["step"], row["metric"], row["value"], each.labels["x"])
            found.append((line, evaluation, each.cell, each.draw, each.seed, *values))
    return found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_rows_stand_beside_every_observation_of_their_trial(seed: int, shuffled: bool, shared: bool) -> None:
    choice = random.Random(seed)
    trials = [f"t{number}" for number in range(5)]
    assignments = [assigned(trial, str(n % 2), "test", n) for n, trial in enumerate(trials)]
    assignments.append(assigned("missing", "0", "test", 9))
    if shared:  # one trial serves several observations
        assignments += [assigned(trial, "1", "members", n) for n, trial in enumerate(trials[:3])]
    rows = rows_of(choice, trials)
    if shuffled:
        choice.shuffle(rows)
    valid = {TrialKey(trial): choice.choice(["p1", "p2", "p3"]) for trial in trials[:-1]}
    made = frame(
        pl.DataFrame(rows, schema=dict(ROW_SCHEMA)),
        valid,
        assignments,
        {},
        [Dimension(name="x", labels=("0", "1"))],
    )
    assert made.observed.select(COLUMNS).rows() == plainly(rows, valid, assignments)
