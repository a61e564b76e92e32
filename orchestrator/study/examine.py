"""Looks for what is wrong with a study whose file has faults already, so that all are told at once.

What a fault makes unknowable is not looked at: one slip is one error. A fault of the design leaves
the config's keys to check, one of an evaluation the configs and the other evaluations, one of a table
everything but how that table is laid out.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.errors import StudyError
from orchestrator.model.study import Study
from orchestrator.study.config import RECIPE, Issue, bind_group
from orchestrator.study.plan import MAX_TRIALS, plan
from orchestrator.study.problems import Problems
from workloads.api import Spec


def examine(study: Study, spec: Spec, problems: Problems, *, max_trials: int = MAX_TRIALS) -> None:
    """Adds to `problems` what planning finds in the sound parts of a study.

    Args:
        study: What remains of the file.
        spec: Its workload.
        problems: What is known to be wrong.
        max_trials: As `plan` takes it.
    """
    if problems.below("design"):
        _config(study, spec, problems)
        return
    evaluations, tables = study.evaluations, study.tables
    if wrong := problems.below("evaluate"):
        evaluations = tuple(each for each in evaluations if each.name not in wrong)
        tables = ()  # their dimensions and entries are the evaluations'
        study = replace(study, plots=())
    faulty = problems.below("tables")
    sound = tuple(each for each in tables if each.name not in faulty)
    # without one of its keys a table may be ambiguous, but a name that nothing bears stays unknown
    partly = tuple(
        each for each in tables if each.name in faulty and "from" not in problems.below("tables", each.name)
    )
    for some, codes in ((sound, ""), (partly, "unknown-")):
        try:
            plan(replace(study, evaluations=evaluations, tables=some), spec, max_trials=max_trials)
        except StudyError as error:
            problems.take(each for each in error.problems if each.code.startswith(codes))


def _config(study: Study, spec: Spec, problems: Problems) -> None:
    """Checks the keys of the config alone: its values may make sense only with a level's beside them."""
    issues: list[Issue] = []
    said = {name: value for name, value in study.config.items() if name != RECIPE or not spec.recipes}
    bind_group(spec.config, said, issues)
    for issue in issues:
        if issue.code == "unknown-path":
            problems.add(("config", *issue.path), issue.code, issue.message, key=True)
