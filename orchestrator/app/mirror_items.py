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

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeAlias

from orchestrator.model.plan import Assignment, TrialKey
from orchestrator.model.run import Outcome, Submission
from orchestrator.model.search import EVALUATION

Item: TypeAlias = tuple[str, str, str]  # study, kind, key


def training_key(cell: str, seed: int) -> str:
    """Returns the key of a training's run."""
    return f"{cell}|s{seed}"


def gather_key(assignment: Assignment) -> str:
    """Returns the key of a gathered observation's run."""
    labels = ",".join(f"{name}={label}" for name, label in assignment.labels.items())
    draw = f"|d{assignment.draw}" if assignment.draw else ""
    return f"{assignment.evaluation}|{labels}|s{assignment.seed}{draw}"


def item_of(assignment: Assignment, gathers: Collection[TrialKey]) -> Item:
    """Returns the item whose run shows an observation: its own, or the one of its network's training."""
    if assignment.trial in gathers:
        return (assignment.study, "gather", gather_key(assignment))
    return (assignment.study, "training", training_key(assignment.cell, assignment.seed))


def mirror_items(
    assignments: Iterable[Assignment], outcomes: Sequence[Outcome], *, gathers: Collection[TrialKey] = ()
) -> list[Item]:
    """Returns the items that these outcomes make due, each once, in the outcomes' order.

    Args:
        assignments: Every assignment, of any study, that names one of the trials.
        outcomes: New states; trials that will be tried again change no run.
        gathers: Keys of the trials that join several networks.
    """
    return items_by_outcome(assignments, gathers=gathers)(outcomes)


def items_by_outcome(
    assignments: Iterable[Assignment], *, gathers: Collection[TrialKey] = ()
) -> Callable[[Sequence[Outcome]], list[Item]]:
    """Returns `mirror_items` over fixed assignments, indexed: what a driver calls at each commit."""
    by_trial: defaultdict[TrialKey, list[Item]] = defaultdict(list)
    for each in assignments:
        by_trial[each.trial].append(item_of(each, gathers))

    def items(outcomes: Sequence[Outcome]) -> list[Item]:
        final = [outcome.trial for outcome in outcomes if outcome.state.final]
        return list(dict.fromkeys(item for trial in final for item in by_trial.get(trial, ())))

    return items


def opening_items(submission: Submission) -> list[Item]:
    """Returns the items of a submission that begins."""
    return [
        (submission.study, "study", submission.study),
        (submission.study, "submission", submission.id),
    ]


def closing_items(
    submission: Submission, assignments: Iterable[Assignment], *, gathers: Collection[TrialKey] = ()
) -> list[Item]:
    """Returns the items of a submission that ends: all that it planned.

    Trainings and gathers are among them, so that results of earlier submissions, also of other
    studies, appear in this study; runs that are complete already cost the mirror one look.
    """
    study = submission.study
    mine = [each for each in assignments if each.study == study and each.evaluation != EVALUATION]
    runs = dict.fromkeys(item_of(each, gathers) for each in mine)
    cells = dict.fromkeys((study, "cell", each.cell) for each in mine if each.evaluation == "test")
    return [*runs, *cells, (study, "closing", submission.id), (study, "study", study)]
