"""Verbs about study files: init, validate, schema, plan."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.globals import current
from orchestrator.cli.options import Cells, MaxTrials, Patches, Seeds, StudyFile, request

MAX_TRIALS = 100_000


def init(
    directory: Annotated[Path, typer.Argument(help="Where to write.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write a first study that runs, its schema for editors, and a settings file."""
    from orchestrator.app.starter import init as write

    written = [str(path) for path in write(directory, force=force)]
    if current.json:
        current.emit("init", written=written)
        return
    for path in written:
        print(f"wrote {path}")
    print(f"next: orch submit {written[0]}")


def validate(
    studies: Annotated[list[Path], typer.Argument(metavar="STUDY.yaml...", help="Study files.")],
    max_trials: MaxTrials = MAX_TRIALS,
) -> None:
    """Check study files: language, configs of every cell, evaluations, tables. Starts and writes nothing."""
    from orchestrator.app.planning import Request, plan_study
    from orchestrator.errors import StudyError

    problems = []
    checked = []
    for file in studies:
        try:
            planned = plan_study(Request(file=file, patches={}, max_trials=max_trials), current.settings())
        except StudyError as error:
            problems += list(error.problems)
            continue
        checked.append({"file": str(file), "study": planned.study.name, "cells": len(planned.plan.cells)})
        if not current.json:
            print(f"{file}: ok, {len(planned.plan.cells)} cells, {len(planned.plan.trials)} trials")
    if problems:
        raise StudyError(problems)
    if current.json:
        current.emit("validate", studies=checked)


def schema() -> None:
    """Print the JSON Schema of study files."""
    from orchestrator.study.schema import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")


def plan(
    study: StudyFile,
    set_: Patches = None,
    seeds: Seeds = None,
    cells: Cells = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Cells to print; 0 for all.")] = 30,
    max_trials: MaxTrials = MAX_TRIALS,
) -> None:
    """Show what a study comes to, and what of it the store already has. Starts and writes nothing."""
    from orchestrator.app.planning import plan_study
    from orchestrator.cli.shapes import cost_shape, plan_shape
    from orchestrator.console.forecast import told
    from orchestrator.console.tables import plan_view

    planned = plan_study(request(study, set_, seeds, cells, max_trials), current.settings(), priced=True)
    assert planned.cost is not None
    if current.json:
        current.emit("plan", **plan_shape(planned.plan, planned.wanted), cost=cost_shape(planned.cost))
        return
    current.out().print(plan_view(planned.plan, planned.wanted, limit=limit or len(planned.plan.cells)))
    for line in told(planned.cost):
        current.out().print(line, soft_wrap=True)


VERBS = (init, validate, schema, plan)
