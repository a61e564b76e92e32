"""What MLflow can hold of a mirror run: names, lengths, finite numbers; and digests of it."""

from __future__ import annotations

import json
import math
import posixpath
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TypeAlias

from orchestrator.model.mirror import MirrorRun

PARAM_LIMIT = 6000  # characters, by MLflow's own validation
TAG_LIMIT = 8000
NAME_LIMIT = 250
NOTE_LIMIT = 20000

HASH_TAG = "orch.key_hash"  # of kind and key: found by an exact search, whatever quotes labels hold
DIGEST_TAG = "orch.digest"  # of everything the run shows
METRICS_TAG = "orch.metrics_digest"
_TABLES_TAG = "mlflow.loggedArtifacts"  # makes the artifact view show JSON files as tables
_FOREIGN = re.compile(r"[^\w\-. :/]")  # what MLflow does not take in names of metrics, params and tags

Point: TypeAlias = tuple[str, int, int, float]  # name, step, timestamp in ms, value


def safe_name(text: str) -> str:
    """Returns a name that MLflow takes for a metric, a param or a tag."""
    name = cut(_FOREIGN.sub("_", text), NAME_LIMIT).replace("…", "_")
    # MLflow reads names as paths and takes only normal ones.
    if posixpath.normpath(name) != name or name.startswith((".", "/")):
        name = name.replace("/", "_").lstrip(".") or "_"
    return name


def cut(text: str, limit: int) -> str:
    """Returns the text, or its beginning and an ellipsis where it is longer than MLflow takes."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def key_hash(run: MirrorRun) -> str:
    """Returns what identifies the run within its experiment."""
    return blake2b(f"{run.kind}\n{run.key}".encode(), digest_size=16).hexdigest()


def points(run: MirrorRun) -> list[Point]:
    """Returns the finite points, each once.

    MLflow turns infinities into the largest number and its pages choke on NaN: those are told in the
    tag orch.non_finite.
    """
    finite = (each for each in run.metrics if math.isfinite(each.value))
    return list(
        dict.fromkeys(
            (safe_name(each.name), each.step, each.timestamp_ms, float(each.value)) for each in finite
        )
    )


def params(run: MirrorRun) -> dict[str, str]:
    """Returns the params."""
    return {safe_name(key): cut(value, PARAM_LIMIT) for key, value in run.params.items()}


def tags(run: MirrorRun, parent_id: str = "") -> dict[str, str]:
    """Returns all tags, the digests among them (the parent, which never changes, is not in those)."""
    shown = {
        "mlflow.source.name": "orch",
        "mlflow.source.type": "LOCAL",
        **run.tags,
        "orch.study": run.study,
        "orch.key": run.key,
        "orch.kind": run.kind,
        HASH_TAG: key_hash(run),
        METRICS_TAG: points_digest(run),
    }
    odd = [each for each in run.metrics if not math.isfinite(each.value)]
    if odd:
        shown["orch.non_finite"] = ", ".join(f"{each.name}={each.value} at step {each.step}" for each in odd)
    if run.tables:
        shown[_TABLES_TAG] = json.dumps([{"path": path, "type": "table"} for path in sorted(run.tables)])
    content = [run.name, run.status, shown, run.params, run.texts, run.tables, run.start_ms, run.end_ms]
    shown[DIGEST_TAG] = _digest(content)
    if parent_id:
        shown["mlflow.parentRunId"] = parent_id
    return {safe_name(key): cut(value, TAG_LIMIT) for key, value in shown.items()}


def points_digest(run: MirrorRun) -> str:
    """Returns a digest of all points, non-finite ones included."""
    return _digest([[each.name, each.step, each.timestamp_ms, repr(each.value)] for each in run.metrics])


def start_ms(run: MirrorRun) -> int:
    """Returns the start; MLflow puts the present in place of 0, which would make a replay differ."""
    return max(run.start_ms, 1)


def end_ms(run: MirrorRun) -> int:
    """Returns the end of a run that has ended."""
    return run.end_ms or start_ms(run)


def files(run: MirrorRun) -> dict[str, str]:
    """Returns the artifacts: path -> text."""
    return dict(run.texts) | {path: table_text(columns) for path, columns in run.tables.items()}


def table_text(columns: Mapping[str, Sequence[object]]) -> str:
    """Returns the JSON that MLflow's `log_table` writes; `log_table` itself appends at every call."""
    rows = [[_cell(value) for value in row] for row in zip(*columns.values(), strict=True)]
    return json.dumps({"columns": list(columns), "data": rows}, ensure_ascii=False)


def _cell(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no NaN
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, default=_plain)
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else repr(value)
