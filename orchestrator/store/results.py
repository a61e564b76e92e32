"""Results in immutable Parquet parts: one for each commit, never changed, never listed by folder."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import polars as pl

from orchestrator.errors import CorruptError
from orchestrator.model.plan import TrialKey
from orchestrator.model.result import PartRef, ResultRow
from orchestrator.ports import ResultStore
from orchestrator.store.part_files import FOLDER, PartFiles, PartFolder

SCHEMA_VERSION = "1"  # raised when the meaning of a column changes; new columns need no new version
_METADATA = {"orch_schema": SCHEMA_VERSION}
_COLUMNS: Mapping[str, pl.DataType] = {
    "trial": pl.String(),
    "evaluation": pl.String(),
    "coords": pl.String(),
    "seed": pl.Int64(),
    "draw": pl.Int64(),
    "step": pl.Int64(),
    "metric": pl.String(),
    "value": pl.Float64(),
    "outcome": pl.String(),
}


@final
class ParquetResults:
    """Parts of a store. Safe to use from several processes: every part has a name of its own."""

    def __init__(self, place: Path | PartFiles) -> None:
        """Takes the root of a store in a directory, or where else its parts are; makes nothing yet."""
        self._files = PartFolder(place) if isinstance(place, Path) else place
        self._verified: dict[str, tuple[int, int, str]] = {}  # path -> mtime, size, sha256

    def write(self, rows: Sequence[ResultRow]) -> PartRef:
        """Writes one part durably and returns it.

        Raises:
            ValueError: No rows.
            OSError: The disk is full or failing; nothing is left.
        """
        if not rows:
            raise ValueError(
                "a part needs at least one row, got none; list no part for a commit without rows"
            )
        coords = _coordinate_texts(rows)
        columns: dict[str, list[Any]] = {
            "trial": [row.trial for row in rows],
            "evaluation": [row.evaluation for row in rows],
            "coords": coords,
            "seed": [row.seed for row in rows],
            "draw": [row.draw for row in rows],
            "step": [row.step for row in rows],
            "metric": [row.metric for row in rows],
            "value": [row.value for row in rows],
            "outcome": [row.outcome for row in rows],
        }
        from orchestrator.store import part_bytes

        return self._store(part_bytes.of_columns(columns, _METADATA), len(rows))

    def read(self, parts: Sequence[PartRef], keys: Collection[TrialKey] | None = None) -> Sequence[ResultRow]:
        """Returns the rows of the trials (or all), after checking each part's digest.

        A part may hold rows of a trial whose valid rows are in another part; `Registry.results` says
        which. Ask for each part with the trials that are valid in it.

        Raises:
            CorruptError: A part is missing or its bytes changed.
        """
        frame = self.scan(parts)
        if keys is not None:
            frame = frame.filter(pl.col("trial").is_in(list(keys)))
        coords = {text: json.loads(text) for text in frame.get_column("coords").unique()}
        return [
            ResultRow(
                trial=TrialKey(trial),
                evaluation=evaluation,
                coords=coords[text],
                seed=seed,
                draw=draw,
                step=step,
                metric=metric,
                value=value,
                outcome=outcome,
            )
            for trial, evaluation, text, seed, draw, step, metric, value, outcome in frame.select(
                list(_COLUMNS)
            ).iter_rows()
        ]

    def scan(self, parts: Sequence[PartRef], *, curves: bool = True) -> pl.DataFrame:
        """Returns the rows of the parts, in their order, with the column "part": the path of the part.

        Args:
            parts: What is to be read.
            curves: Whether the rows of training curves are wanted, which are most of all rows.

        Raises:
            CorruptError: A part is missing, its bytes changed, or it was written by a newer version.
        """
        distinct = list({part.path: part for part in parts}.values())
        if not distinct:
            return pl.DataFrame(schema={**_COLUMNS, "part": pl.String})
        local = self._files.local(distinct)
        for part in distinct:
            self._verify(part, local.get(part.path))
        full = {str(local[part.path]): part.path for part in distinct}
        frame = (
            pl.scan_parquet(list(full), include_file_paths="part", glob=False, hive_partitioning=False)
            .select(*_COLUMNS, "part")
            .filter(pl.lit(curves) | (pl.col("evaluation") != "train"))
            .collect()
        )
        if len(distinct) == 1:
            return frame.with_columns(part=pl.lit(distinct[0].path))
        # A file's rows follow each other: its name is looked up once, not for each row.
        runs = frame.get_column("part").rle().struct.unnest()
        names = runs.get_column("value").replace_strict(full, return_dtype=pl.String)
        return frame.with_columns(part=names.gather(_numbers(runs.get_column("len"))))

    def compact(self, parts: Sequence[PartRef], *, valid: Mapping[TrialKey, str] | None = None) -> PartRef:
        """Writes one part that holds the rows of all these, sorted by trial; the old files stay.

        Args:
            parts: What is to be joined.
            valid: Trial -> path of the part with its valid rows (`Registry.results`): other rows of
                these trials, left by refused commits or earlier runs, are dropped, as they could not be
                told apart any more. None keeps everything.

        Raises:
            CorruptError: As `scan`.
            ValueError: No row is left.
        """
        data, height = self.joined(parts, valid)
        return self._store(data, height)

    def joined(
        self, parts: Sequence[PartRef], valid: Mapping[TrialKey, str] | None = None
    ) -> tuple[bytes, int]:
        """Returns the bytes and the rows of what `compact` would write; arguments and errors as there."""
        frame = self.scan(parts)
        if valid is not None:
            listed = pl.DataFrame(
                {"trial": list(valid), "part": list(valid.values())},
                schema={"trial": pl.String, "part": pl.String},
            )
            frame = frame.join(listed, on=["trial", "part"], how="semi", maintain_order="left")
        if frame.is_empty():
            raise ValueError("nothing to compact: none of the rows in these parts is valid")
        frame = frame.drop("part").sort("trial", maintain_order=True)
        from orchestrator.store import part_bytes

        return part_bytes.of_frame(frame, _METADATA), frame.height

    def adopt(self, data: bytes, source: str) -> PartRef:
        """Writes the bytes of a part that was made elsewhere, after looking whether they are one.

        Args:
            data: A Parquet file as `joined` makes it.
            source: Where it is from, for messages.

        Raises:
            CorruptError: It is none.
        """
        try:
            found = pl.read_parquet_metadata(io.BytesIO(data)).get("orch_schema", "")
            schema = dict(pl.read_parquet_schema(io.BytesIO(data)))
            rows = pl.scan_parquet(io.BytesIO(data)).select(pl.len()).collect().item()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise CorruptError(f"{source}: its results are no Parquet file ({error})") from None
        if found != SCHEMA_VERSION or any(schema.get(name) != kind for name, kind in _COLUMNS.items()):
            raise CorruptError(
                f"{source}: its results have schema {found or 'unknown'} and columns {', '.join(schema)}; "
                f"this version of orch reads schema {SCHEMA_VERSION} with {', '.join(_COLUMNS)}"
            )
        return self._store(data, int(rows))

    def sweep(
        self, listed: Sequence[PartRef], *, older_than_s: float, dry: bool = False
    ) -> Sequence[tuple[str, int]]:
        """Deletes unlisted parts and temporary files; returns their paths and sizes in bytes.

        Args:
            listed: Every part of the registry, read after the grace period's last commit.
            older_than_s: The grace period: a part is on the disk before it is listed.
            dry: Delete nothing.
        """
        kept = {part.path for part in listed}
        swept = [
            (path, size) for path, size in self._files.found(older_than_s=older_than_s) if path not in kept
        ]
        if not dry:
            self._files.delete([path for path, _ in swept])
        return swept

    # --- within -------------------------------------------------------------------------------------------

    def _store(self, data: bytes, rows: int) -> PartRef:
        path = f"{FOLDER}/{uuid.uuid4().hex}.parquet"
        self._files.put(path, data)
        return PartRef(
            path=path,
            sha256=hashlib.sha256(data).hexdigest(),
            rows=rows,
            size_bytes=len(data),
        )

    def _verify(self, part: PartRef, path: Path | None) -> None:
        try:
            if path is None:
                raise FileNotFoundError
            stat = path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, part.sha256)
            if self._verified.get(part.path) == seen:
                return
            data = path.read_bytes()
        except FileNotFoundError:
            raise CorruptError(_message(part, "is missing")) from None
        if len(data) != part.size_bytes:
            raise CorruptError(_message(part, f"has {len(data)} bytes, recorded are {part.size_bytes}"))
        digest = hashlib.sha256(data).hexdigest()
        if digest != part.sha256:
            raise CorruptError(
                _message(part, f"has sha256 {digest[:12]}..., recorded is {part.sha256[:12]}...")
            )
        version = pl.read_parquet_metadata(io.BytesIO(data)).get("orch_schema", "")
        if version != SCHEMA_VERSION:
            raise CorruptError(
                f"the part {part.path} has schema {version or 'unknown'}, this version of orch reads schema "
                f"{SCHEMA_VERSION}; upgrade orch"
            )
        self._verified[part.path] = seen


def _numbers(lengths: pl.Series) -> pl.Series:
    """Returns for each row the number of the run that it belongs to."""
    return pl.Series(range(len(lengths)), dtype=pl.UInt32).repeat_by(lengths).explode()


def _coordinate_texts(rows: Sequence[ResultRow]) -> list[str]:
    """Returns canonical JSON of each row's coords: equal coordinates are equal texts."""
    return [
        json.dumps(dict(row.coords), sort_keys=True, separators=(",", ":")) if row.coords else "{}"
        for row in rows
    ]


def _message(part: PartRef, problem: str) -> str:
    return (
        f"the part {part.path} {problem}: no number from it is used. Run `orch fsck` to see which trials "
        "it holds, and `orch fsck --repair` to compute them again"
    )


_: type[ResultStore] = ParquetResults
