"""What the outbox names: the key of every run that the mirror shows, and which outcome touches which.

kind         key                              run
study        the study's name                 none: the experiment's note and tags
submission   "<submission id>"                parent run, RUNNING
closing      "<submission id>"                the same run, ended
training     "<cell>|s<seed>"                 one for each (cell, seed), shared trainings included
gather       "<evaluation>|<labels>|s<seed>"  one for each gathered observation
cell         "<cell>"                         mean and spread over its seeds
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from orchestrator.model.plan import Assignment, Trial, TrialKey
from orchestrator.model.run import Outcome, Submission

Item: TypeAlias = tuple[str, str, str]  # study, kind, key


def training_key(cell: str, seed: int) -> str:
    """Returns the key of a training's run."""
    return f"{cell}|s{seed}"


def gather_key(assignment: Assignment) -> str:
    """Returns the key of a gathered observation's run."""
    labels = ",".join(f"{name}={label}" for name, label in assignment.labels.items())
    draw = f"|d{assignment.draw}" if assignment.draw else ""
    return f"{assignment.evaluation}|{labels}|s{assignment.seed}{draw}"


def item_of(assignment: Assignment, trials: Mapping[TrialKey, Trial]) -> Item:
    """Returns the item whose run shows an observation: its own, or the one of its network's training."""
    if trials[assignment.trial].gathers:
        return (assignment.study, "gather", gather_key(assignment))
    return (assignment.study, "training", training_key(assignment.cell, assignment.seed))


def mirror_items(
    by_trial: Mapping[TrialKey, Sequence[Assignment]],
    trials: Mapping[TrialKey, Trial],
    outcomes: Sequence[Outcome],
) -> list[Item]:
    """Returns the items that these outcomes make due, each once, in order.

    Args:
        by_trial: The assignments of each trial, of every study that names it.
        trials: The trials.
        outcomes: New states; trials that will be tried again change no run.
    """
    final = [outcome.trial for outcome in outcomes if outcome.state.final]
    return list(dict.fromkeys(item_of(each, trials) for trial in final for each in by_trial.get(trial, ())))


def opening_items(submission: Submission) -> list[Item]:
    """Returns the items of a submission that begins."""
    return [
        (submission.study, "study", submission.study),
        (submission.study, "submission", submission.id),
    ]


def closing_items(
    submission: Submission, assignments: Iterable[Assignment], trials: Mapping[TrialKey, Trial]
) -> list[Item]:
    """Returns the items of a submission that ends: all that it planned.

    Trainings and gathers are among them, so that results of earlier submissions, also of other
    studies, appear in this study; runs that are complete already cost the mirror one look.
    """
    study = submission.study
    mine = [each for each in assignments if each.study == study]
    runs = dict.fromkeys(item_of(each, trials) for each in mine)
    cells = dict.fromkeys((study, "cell", each.cell) for each in mine if each.evaluation == "test")
    return [*runs, *cells, (study, "closing", submission.id), (study, "study", study)]
