"""Reads what the mirror's runs are composed of: states, attempts and rows, for many items at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from orchestrator.app.mirror_picture import Facts, Picture
from orchestrator.model.mirror import OutboxItem
from orchestrator.model.plan import TrialKey
from orchestrator.model.result import ResultRow
from orchestrator.ports import Registry, ResultStore


def read_facts(
    registry: Registry, results: ResultStore, shown: Picture, items: Sequence[OutboxItem]
) -> Facts:
    """Returns what these items of one study are composed of.

    Raises:
        CorruptError: A part that one of them needs is missing or damaged.
    """
    states: dict[TrialKey, None] = {}
    rows: dict[TrialKey, None] = {}
    own: dict[TrialKey, None] = {}  # trials whose attempts say when something began and ended
    for item in items:
        needed = shown.needed(item.kind, item.key)
        states |= dict.fromkeys(needed)
        if item.kind in ("training", "gather", "cell"):
            rows |= dict.fromkeys(needed)
        if item.kind in ("training", "gather"):
            own |= dict.fromkeys(needed[:1])
        if item.kind == "closing":  # its curve of progress; evaluations may be very many, and are short
            trained = (key for key in needed if shown.trials[key].stage == "train")
            own |= dict.fromkeys(trained)
    return Facts(
        statuses=registry.statuses(list(states)),
        rows=read_rows(registry, results, list(rows)),
        attempts={key: registry.attempts(key) for key in own},
    )


def read_rows(
    registry: Registry, results: ResultStore, keys: Collection[TrialKey]
) -> dict[TrialKey, list[ResultRow]]:
    """Returns the valid rows of each trial that has any.

    A part may also hold rows of a refused (stale) outcome: each trial is read from its own part only.
    """
    if not keys:
        return {}
    places = registry.results(keys)
    found: dict[TrialKey, list[ResultRow]] = {}
    for part in registry.parts(keys):
        valid = [key for key, path in places.items() if path == part.path]
        for row in results.read([part], valid) if valid else ():
            found.setdefault(row.trial, []).append(row)
    return found
