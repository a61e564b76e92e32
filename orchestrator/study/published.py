"""Printed values of a paper: read from the study or a CSV file beside it, and kept with the study."""

from __future__ import annotations

import csv
import io
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from orchestrator.model.study import PrintedValue, Published, TableSpec
from orchestrator.study.problems import Path as Place
from orchestrator.study.problems import Problems
from orchestrator.study.schema_published import PublishedFile
from orchestrator.study.text import listed, plain, quoted_path, shown, unknown, written

NUMBERS: Final = ("value", "std", "n", "std_ddof")
REMARKS: Final = ("fail", "bold", "note", "parameters")
_MOST_BYTES: Final = 1 << 20


def published(
    file: PublishedFile | None, metrics: Sequence[str], path: tuple[str, ...], problems: Problems
) -> Published | None:
    """Returns a table's printed values, those of its own metrics; what is wrong goes to `problems`.

    Args:
        file: As declared, or None.
        metrics: Of the table.
        path: Place of the declaration.
        problems: Takes what is wrong.
    """
    if file is None:
        return None
    if (file.file is None) == (file.values is None):
        problems.add(path, "conflict", "published needs either a file or values", key=True)
        return None
    if file.file is not None:
        rows, place = _read(file.file, (*path, "file"), problems), (*path, "file")
    else:
        rows, place = list(file.values or ()), (*path, "values")
    before = len(problems)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    for name in file.where:
        if rows and name not in columns:
            message = unknown("column", name, columns)
            problems.add((*path, "where", name), "unknown-column", message, key=True)
    found = []
    for index, row in enumerate(rows):
        value = _value(row, index, place, problems)
        if value is None or (metrics and value.metric not in metrics):
            continue
        if all(value.labels.get(name) in labels for name, labels in file.where.items()):
            found.append(value)
    if rows and not found and metrics and len(problems) == before:
        problems.add(
            path, "no-values", f"no printed value is of {listed(metrics)} and fits `where`", key=True
        )
    return Published(
        values=tuple(found),
        matches={name: _many(value) for name, value in file.matches.items()},
        margin=file.margin,
        label=file.label,
    )


def kept(document: Mapping[str, Any], tables: Sequence[TableSpec]) -> dict[str, Any]:
    """Returns the document with printed values in it, in place of the files that they stand in."""
    changed = dict(document)
    for table in tables:
        if table.published is None:
            continue
        own = table.published
        changed["tables"] = dict(changed["tables"])
        changed["tables"][table.name] = {
            **changed["tables"][table.name],
            "published": {
                "values": [_row(value) for value in own.values],
                "matches": {name: list(values) for name, values in own.matches.items()},
                "label": own.label,
                **({} if own.margin is None else {"margin": own.margin}),
            },
        }
    return changed


def _row(value: PrintedValue) -> dict[str, Any]:
    numbers = {"value": value.value, "std": value.std, "n": value.n, "std_ddof": value.ddof}
    told = {name: number for name, number in numbers.items() if number is not None}
    return {**value.labels, "metric": value.metric, **told, **({"fail": True} if value.fail else {})}


def _read(name: str, path: Place, problems: Problems) -> list[dict[str, Any]]:
    target = Path(problems.mark(path)[0]).parent / name
    try:
        if not stat.S_ISREG(target.stat().st_mode):  # reading a pipe would wait for ever
            problems.add(path, "unreadable", f"{quoted_path(target)} is not a regular file; name a CSV file")
            return []
        with target.open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        problems.add(path, "unreadable", f"cannot read {quoted_path(target)}: {reason}; name a CSV file")
        return []
    if len(content) > _MOST_BYTES:
        problems.add(path, "too-large", f"{quoted_path(target)} has more than 1 MiB")
        return []
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in ("metric", "value") if name not in (reader.fieldnames or ())]
    if missing:
        message = (
            f"{target} has no column {' and no column '.join(missing)}; the first line names the columns"
        )
        problems.add(path, "missing-key", message)
        return []
    return [{key: cell for key, cell in row.items() if key and cell} for row in reader]


def _value(row: Mapping[str, Any], index: int, path: Place, problems: Problems) -> PrintedValue | None:
    numbers: dict[str, float | None] = {}
    for name in NUMBERS:
        got = plain(row.get(name))
        try:
            numbers[name] = None if got is None else float(got)
        except (TypeError, ValueError):
            message = f"line {index + 1}: {name} is a number, got {shown(row[name])}"
            problems.add(path, "bad-value", message)
            return None
    fail = str(written(row.get("fail", ""))).lower() in ("yes", "true")
    if "metric" not in row or (numbers["value"] is None and not fail):
        return None  # a remark
    n, ddof = numbers["n"], numbers["std_ddof"]
    if (numbers["std"] or 0) < 0 or (n is not None and (n < 1 or n != int(n))) or ddof not in (None, 0, 1):
        message = f"line {index + 1}: std is 0 or more, n a whole number from 1, std_ddof 0 or 1"
        problems.add(path, "out-of-range", message)
        return None
    labels = {
        name: str(written(label))
        for name, label in row.items()
        if name not in ("metric", *NUMBERS, *REMARKS) and label not in (None, "")
    }
    return PrintedValue(
        labels=labels,
        metric=str(written(row["metric"])),
        value=numbers["value"],
        std=numbers["std"],
        n=None if n is None else int(n),
        ddof=None if ddof is None else int(ddof),
        fail=fail,
    )


def _many(value: Any) -> tuple[Any, ...]:
    found = plain(value)
    return tuple(found) if isinstance(found, list) else (found,)
