"""What must hold of a study after any fault and a resume, in one place.

What was planned is there, each trial ended once, what was done before is untouched, the tables are those of
an undisturbed run, and nothing half-written is left.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

from orchestrator.app import inspect
from orchestrator.app.session import open_session
from orchestrator.cli.shapes import report_shape
from orchestrator.settings import load_settings
from tests.street.orch import Orch

CHARGED = frozenset({"error", "out of memory", "hung"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """An undisturbed run of the same file.

    Attributes:
        trials: Trial -> its rows, as `orch show TRIAL` has them.
        tables: The tables as CSV.
    """

    trials: Mapping[str, Any]
    tables: str


def golden(orch: Orch, study: str) -> Golden:
    """Returns what an undisturbed run came to."""
    return Golden(
        trials={key: report["rows"] for key, report in reports(orch, keys(orch, study)).items()},
        tables=orch("table", study, "--format", "csv").out,
    )


def keys(orch: Orch, study: str) -> list[str]:
    """Returns the study's trials."""
    return sorted({each["trial"] for each in orch("show", study, "--json").json["trials"]})


def finished(orch: Orch, study: str) -> dict[str, Any]:
    """Returns trial -> everything recorded about it, of those that have a result now; {} without a study."""
    shown = orch("show", study, "--json", code=None)
    if shown.code != 0:
        return {}
    ended = {each["trial"] for each in shown.json["trials"] if each["state"] in ("succeeded", "diverged")}
    return reports(orch, ended)


def reports(orch: Orch, trials: Collection[str]) -> dict[str, Any]:
    """Returns trial -> what `orch show TRIAL --json` prints of it."""
    with (
        mock.patch.dict(os.environ, orch.env, clear=True),
        contextlib.chdir(orch.directory),
        open_session(load_settings()) as session,
    ):
        return {key: report_shape(inspect.show(session, key)) for key in sorted(trials)}


def assert_invariants(
    orch: Orch,
    study: str,
    expected: Golden,
    *,
    before: Mapping[str, Any],
    charged: Collection[str] = (),
) -> None:
    """Checks a study that was disturbed and has been resumed to its end.

    Args:
        orch: The command line over its store.
        study: Its name.
        expected: An undisturbed run.
        before: What `finished` returned between the fault and the resume.
        charged: What trials may have been charged with, because the fault was theirs ("out of memory").
    """
    rows = orch("show", study, "--json").json["trials"]
    assert {each["trial"] for each in rows} == set(expected.trials), "I1: the planned set changed"
    states = Counter(each["state"] for each in rows)
    assert set(states) <= {"succeeded", "diverged"}, f"I2: {states}"
    found = reports(orch, expected.trials)
    for key, values in expected.trials.items():
        shown = found[key]
        assert shown["rows"] == values, f"I3, I5: {key} has other rows"
        places = [
            (row["evaluation"], row["metric"], row["step"], str(row["coords"])) for row in shown["rows"]
        ]
        assert len(places) == len(set(places)), f"I14: {key} has a step twice"
        wrongly = [each for each in shown["attempts"] if each["outcome"] in CHARGED - set(charged)]
        assert not wrongly, f"I9: {key} was charged for what was not its fault: {wrongly}"
    for key, report in before.items():
        assert found[key] == report, f"I4: {key}, finished before, was touched"
    assert orch("table", study, "--format", "csv").out == expected.tables, "I6: the tables differ"
    whole = orch("fsck", "--json").json
    assert whole["damage"] == [], f"I8: {whole['damage']}"
    orch("gc", "--grace", "0", "--delete")
    left = [str(path) for path in (orch.directory / "store").rglob(".tmp-*")]
    assert not left, f"I8: {left}"
    assert orch("fsck", "--json").json["damage"] == [], "I8: gc took something away that is recorded"
    status = orch("status", study, "--json").json["studies"][0]
    assert (status["status"], status["driver"]) == ("done", None), f"I11: {status}"
    again = orch("resume", study, "--json").json
    assert (again["trained"], again["evaluated"]) == (0, 0), "I12: a second resume did something"
