"""The bytes of a Parquet part. Only writers need this file: it loads pyarrow, whose pages bear checksums."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA: Any = pa.schema(
    [
        ("trial", pa.string()),
        ("evaluation", pa.string()),
        ("coords", pa.string()),  # canonical JSON: a cell of a network may have any coordinates
        ("seed", pa.int64()),
        ("draw", pa.int64()),
        ("step", pa.int64()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("outcome", pa.string()),
    ]
)


def of_columns(columns: Mapping[str, Sequence[Any]], metadata: Mapping[str, str]) -> bytes:
    """Returns a part with these columns, all of them in `SCHEMA`.

    Args:
        columns: Name -> values.
        metadata: What the file says of itself.
    """
    return _bytes(pa.table(dict(columns), schema=SCHEMA), metadata)


def of_frame(frame: pl.DataFrame, metadata: Mapping[str, str]) -> bytes:
    """Returns a part with a frame's rows; its columns are in `SCHEMA`."""
    return _bytes(frame.to_arrow().cast(SCHEMA), metadata)


def _bytes(table: Any, metadata: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    table = table.replace_schema_metadata(dict(metadata))
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()
