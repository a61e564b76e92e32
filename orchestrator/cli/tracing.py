"""Verbs about where numbers come from: trace, reproduce, diff."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orchestrator.cli.globals import current
from orchestrator.cli.options import StudyName

Labels = list[str] | None


def trace(
    study: StudyName,
    table: Annotated[str, typer.Argument(help="One of its tables.")],
    row: Annotated[
        Labels, typer.Option("--row", help="A label of the row; repeat it for nested rows.")
    ] = None,
    column: Annotated[Labels, typer.Option("--column", help="A label of the column, likewise.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All entries that fit, not only one.")] = False,
) -> None:
    """Show where a printed number came from: trials, seeds, code, data, machine, and how to get it again."""
    from orchestrator.app import trace as tracing
    from orchestrator.app.results import study_of
    from orchestrator.app.session import open_session
    from orchestrator.cli.shapes import source_shape
    from orchestrator.console.text import safe
    from orchestrator.console.trace import traced_lines

    with open_session(current.settings()) as session:
        name = study_of(session, study)
        found = tracing.trace(session, name, table, row or (), column or ())
        place = session.stores.place
    if not every:
        found = [tracing.one_entry(found)]
    if current.json:
        entries = [
            {
                "labels": list(each.labels),
                "text": each.entry.text,
                "estimate": each.entry.estimate,
                "n": each.entry.n,
                "values": [{"seed": seed, "value": value} for seed, value in each.entry.values],
                "sources": [source_shape(source) for source in each.sources],
            }
            for each in found
        ]
        current.emit("trace", study=name.name, table=table, store=place, entries=entries)
        return
    for number, each in enumerate(found):
        if number:
            print()
        for line in traced_lines(each, place=place):
            current.out().print(safe(line), soft_wrap=True)


def reproduce(
    trial: Annotated[str, typer.Argument(help="The beginning of a trial's key (`orch trace` gives it).")],
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 unless every value is what is recorded, bit for bit.")
    ] = False,
    present: Annotated[
        bool, typer.Option("--present", help="Run the code as it is now, not what made the result.")
    ] = False,
) -> None:
    """Run a trial again, alone, in the code that made its result, and compare; the store stays as it is."""
    from orchestrator.app.reproduce import reproduce as again
    from orchestrator.app.session import open_session
    from orchestrator.console.text import safe
    from orchestrator.console.trace import reproduced_lines

    with open_session(current.settings()) as session:
        found = again(session, trial, present=present)
    if current.json:
        current.emit(
            "reproduce",
            trial=found.report.trial.key,
            tree=found.tree,
            values=found.values,
            equal=not found.differences,
            tests=dict(found.tests),
            differences=[
                {"place": each.place, "recorded": _plain(each.recorded), "again": _plain(each.again)}
                for each in found.differences
            ],
            environment={name: {"recorded": a, "now": b} for name, (a, b) in found.environment.items()},
        )
    else:
        for line in reproduced_lines(found):
            current.out().print(safe(line), soft_wrap=True)
    if check and found.differences:
        sys.stdout.flush()
        raise typer.Exit(1)


def _plain(value: float | None) -> float | str | None:
    """Returns a number as JSON can hold it."""
    return value if value is None or abs(value) < float("inf") else str(value)


def diff(
    one: Annotated[str, typer.Argument(help="A study, STUDY:FACTOR=LABEL,... for a cell, or a trial's key.")],
    other: Annotated[str, typer.Argument(help="Another of the same kind.")],
) -> None:
    """Show what two studies, cells or trials differ in: config, results, code, environment."""
    from orchestrator.app import diff as comparing
    from orchestrator.app.session import open_session
    from orchestrator.console.tables import listing
    from orchestrator.console.trace import diff_rows

    with open_session(current.settings()) as session:
        before, after, lines = comparing.diff(session, one, other)
    if current.json:
        told = [{"kind": x.kind, "name": x.name, "one": x.one, "other": x.other} for x in lines]
        current.emit("diff", one=before.name, other=after.name, differences=told)
        return
    if not lines:
        print("no difference")
        return
    current.out().print(listing(["", "", before.name, after.name], diff_rows(lines)))


VERBS = (trace, reproduce, diff)
