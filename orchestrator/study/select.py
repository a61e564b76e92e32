"""Which trials `--cells` names: labels of cells, never half of a gather."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.errors import UsageError
from orchestrator.model.plan import Plan, TrialKey
from orchestrator.study.text import quoted, unknown

ANY = "*"


def select(plan: Plan, filters: Sequence[str]) -> set[TrialKey]:
    """Returns the trials of the cells that fit any of the filters.

    These are the trainings of those cells, and every evaluation all of whose trainings are
    among them, so that a gather is selected whole or not at all.

    Args:
        plan: The plan.
        filters: Such as "depth=26,sharing=W/": labels, "*" for any. No filter selects everything.

    Raises:
        UsageError: No filter, factor or label of that name, or no cell that fits.
    """
    if not filters:
        return set(plan.trials)
    known: dict[str, dict[str, None]] = {}
    for cell in plan.cells:
        for name, label in cell.labels.items():
            known.setdefault(name, {})[label] = None
    cells: set[str] = set()
    for text in filters:
        wanted = _parsed(text, known)
        fitting = [
            cell.name
            for cell in plan.cells
            if all(cell.labels.get(name) == label for name, label in wanted.items())
        ]
        if not fitting:
            raise UsageError(f"--cells {quoted(text)}: no cell fits; each label exists, but not together")
        cells.update(fitting)
    chosen = {each.trial for each in plan.assignments if each.evaluation == "test" and each.cell in cells}
    chosen |= {
        key for key, trial in plan.trials.items() if trial.networks and chosen.issuperset(trial.networks)
    }
    deciding = {
        parent for key in chosen if plan.trials[key].stage == "train" for parent in plan.trials[key].parents
    }
    chosen |= deciding
    # Candidates too, where the plan has them: what has begun is gone on with.
    chosen |= {
        key for key, trial in plan.trials.items() if trial.stage == "tune" and trial.parents[0] in deciding
    }
    return chosen


def _parsed(text: str, known: Mapping[str, Mapping[str, None]]) -> dict[str, str]:
    """Returns factor -> label of a filter, parts that name any label left out."""
    wanted: dict[str, str] = {}
    for part in text.split(","):
        name, separator, label = part.partition("=")
        name, label = name.strip(), label.strip()
        if not separator or not label:
            raise UsageError(
                f"--cells {quoted(text)}: expected FACTOR=LABEL,..., as depth=26,sharing=W/ ('*' for any)"
            )
        if name not in known:
            raise UsageError(f"--cells {quoted(text)}: {unknown('factor', name, known)}")
        if name in wanted:
            raise UsageError(
                f"--cells {quoted(text)}: {name!r} is named twice; give --cells twice for either"
            )
        if label == ANY:
            continue
        if label not in known[name]:
            raise UsageError(f"--cells {quoted(text)}: {name}: {unknown('label', label, known[name])}")
        wanted[name] = label
    return wanted
