"""A search as declared: from the file's words to the space, each fault at its place."""

from __future__ import annotations

import math
from typing import Any

from orchestrator.model.search import TABLE, Parameter, Pruner, Search, Value
from orchestrator.study.identity import same_value_text
from orchestrator.study.problems import Path, Problems
from orchestrator.study.schema import StudyFile
from orchestrator.study.schema_search import MAX_CHOICES, RangeFile
from orchestrator.study.text import plain, shown, unknown

_LONGEST = 200  # characters of a value
_LARGEST = 2.0**53  # what a float holds exactly
_STEPS = 1_000_000


def search(file: StudyFile, problems: Problems) -> Search | None:
    """Returns the search as declared, None for a study without one."""
    declared = file.search
    if declared is None:
        return None
    space = []
    for path, each in declared.space.items():
        at = ("search", "space", path)
        space.append(
            _range(path, each, at, problems)
            if isinstance(each, RangeFile)
            else _choices(path, each, at, problems)
        )
    if (
        declared.pruner.name in ("successive_halving", "hyperband")
        and "startup" in declared.pruner.model_fields_set
    ):
        message = f"startup belongs to the pruner median; {declared.pruner.name} has warmup alone"
        problems.add(("search", "pruner", "startup"), "conflict", message, key=True)
    if TABLE in file.tables:
        message = f"the table {TABLE!r} of a study that searches shows what was chosen; choose another name"
        problems.add(("tables", TABLE), "reserved-name", message, key=True)
    by = None if declared.by is None else tuple(declared.by)
    for index, name in enumerate(by or ()):
        if name not in file.design.factors:
            problems.add(
                ("search", "by", index), "unknown-factor", unknown("factor", name, file.design.factors)
            )
    return Search(
        space=tuple(space),
        trials=declared.trials,
        metric=declared.metric,
        best=declared.best,
        sampler=declared.sampler,
        pruner=Pruner(
            name=declared.pruner.name, startup=declared.pruner.startup, warmup=declared.pruner.warmup
        ),
        parallel=declared.parallel,
        seed=declared.seed,
        by=by,
    )


def _choices(path: str, values: list[Any], at: Path, problems: Problems) -> Parameter:
    found: list[Value] = []
    seen: set[str] = set()
    if not values or len(values) > MAX_CHOICES:
        message = f"{path}: give 1 to {MAX_CHOICES:,} values, got {len(values):,}"
        problems.add(at, "no-values" if not values else "too-many", message, key=True)
    for index, value in enumerate(values[:MAX_CHOICES]):
        value = plain(value)
        if isinstance(value, float) and not math.isfinite(value):
            problems.add((*at, index), "bad-value", f"{path}: must be finite, got {shown(value)}")
        elif isinstance(value, str | int) and len(str(value)) > _LONGEST:
            message = f"{path}: a value of {len(str(value)):,} characters; at most {_LONGEST}"
            problems.add((*at, index), "too-many", message)
        elif not isinstance(value, bool | int | float | str | None):
            problems.add((*at, index), "wrong-type", f"{path}: expected a single value, got {shown(value)}")
        elif (text := same_value_text(value)) in seen:
            problems.add((*at, index), "duplicate-value", f"{path}: {shown(value)} is listed twice; drop one")
        else:
            seen.add(text)
            found.append(value)
    return Parameter(path=path, choices=tuple(found) or (None,))


def _range(path: str, each: RangeFile, at: Path, problems: Problems) -> Parameter:
    low, high, step = plain(each.low), plain(each.high), plain(each.step)
    if not low < high:
        message = f"{path}: low must be less than high, got {low:g} and {high:g}"
        problems.add(at, "out-of-range", message, key=True)
    elif each.log and low <= 0:
        message = f"{path}: a logarithmic range begins above 0, got low: {low:g}"
        problems.add((*at, "low"), "out-of-range", message)
    elif each.log and step is not None:
        problems.add((*at, "step"), "conflict", f"{path}: a logarithmic range has no step; drop it", key=True)
    elif step is not None and step > high - low:
        message = f"{path}: the step {step:g} is longer than the range of {high - low:g}"
        problems.add((*at, "step"), "out-of-range", message)
    elif isinstance(low, int) and isinstance(high, int) and isinstance(step, float):
        message = f"{path}: between whole numbers the step is a whole number, got {step:g}"
        problems.add((*at, "step"), "wrong-type", message)
    elif max(abs(low), abs(high)) > _LARGEST:
        message = f"{path}: a range ends within plus or minus 2^53, got {low:g} and {high:g}"
        problems.add(at, "out-of-range", message, key=True)
    elif step is not None and (high - low) / step > _STEPS:
        message = f"{path}: the step {step:g} makes more than {_STEPS:,} values; leave it out"
        problems.add((*at, "step"), "out-of-range", message)
    else:
        if isinstance(low, int) != isinstance(high, int):
            low, high = float(low), float(high)
        if step is not None:  # the largest value is one that is tried
            high = low + step * math.floor((high - low) / step * (1 + 1e-12))
    return Parameter(path=path, low=low, high=high, log=each.log, step=step)
