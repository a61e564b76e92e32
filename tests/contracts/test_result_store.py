"""What every result store does: parts come back whole, or not at all."""

from __future__ import annotations

import errno
import math
import os
import random
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from orchestrator.errors import CorruptError
from orchestrator.model.plan import TrialKey
from orchestrator.model.result import ResultRow
from orchestrator.ports import ResultStore
from orchestrator.store.frame import ROW_SCHEMA
from orchestrator.store.results import ParquetResults
from tests.contracts.dying import killed_at
from tests.contracts.storage_fixtures import key


@pytest.fixture(params=["parquet"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ResultStore:
    return {"parquet": ParquetResults}[request.param](tmp_path / "store")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def rows_of(trial: object, count: int = 3) -> list[ResultRow]:
    return [
        ResultRow(
            trial=key(trial),
            evaluation="lesion",
            coords={"layer": n, "path": "µ/ü"} if n % 2 else {},
            seed=2**40 + n,
            draw=n,
            step=n,
            metric="test_error",
            value=[0.1 + n, math.inf, -math.inf, 5e-324][n % 4],
            outcome="succeeded",
        )
        for n in range(count)
    ]


class TestParts:
    def test_rows_come_back_in_their_order(self, store: ResultStore, root: Path) -> None:
        assert not root.exists()  # nothing is made before there is something to write
        first, second = store.write(rows_of("a", 5)), store.write(rows_of("b"))
        assert store.read([second, first]) == rows_of("b") + rows_of("a", 5)
        assert store.read([first, second], [key("b")]) == rows_of("b")
        assert store.read([first], []) == []
        assert store.read([]) == []
        assert first.rows == 5
        assert first.size_bytes == (root / first.path).stat().st_size
        assert first.path != second.path
        assert "\\" not in first.path

    def test_a_value_that_is_no_number_comes_back(self, store: ResultStore) -> None:
        part = store.write([replace(rows_of("a")[0], value=math.nan, outcome="diverged")])
        (row,) = store.read([part])
        assert math.isnan(row.value)
        assert row.outcome == "diverged"

    def test_equal_coordinates_are_equal_texts(self, root: Path) -> None:
        store = ParquetResults(root)
        row = rows_of("a")[0]
        part = store.write([replace(row, coords={"b": 1, "a": 2}), replace(row, coords={"a": 2, "b": 1})])
        assert store.scan([part]).get_column("coords").to_list() == ['{"a":2,"b":1}'] * 2

    def test_no_rows_no_part(self, store: ResultStore, root: Path) -> None:
        with pytest.raises(ValueError, match="at least one row"):
            store.write([])
        assert not root.exists()

    @pytest.mark.parametrize("damage", ["bit", "truncated", "emptied", "longer", "missing"])
    def test_damage_is_told_and_no_number_comes_out(
        self, store: ResultStore, root: Path, damage: str
    ) -> None:
        good, bad = store.write(rows_of("a", 40)), store.write(rows_of("b", 40))
        path = root / bad.path
        data = bytearray(path.read_bytes())
        if damage == "missing":
            path.unlink()
        else:
            if damage == "bit":
                data[random.Random(0).randrange(len(data))] ^= 1
            changed = {"truncated": data[:-7], "emptied": b"", "longer": data + b"x"}
            path.write_bytes(changed.get(damage, data))
        for use in (store.read, store.compact):
            with pytest.raises(CorruptError, match=rf"{bad.path}.*orch fsck"):
                use([good, bad])
        assert store.read([good]) == rows_of("a", 40)

    def test_every_flipped_bit_is_found(self, root: Path) -> None:
        part = ParquetResults(root).write(rows_of("a"))
        data = (root / part.path).read_bytes()
        for place in random.Random(1).sample(range(8 * len(data)), 200):
            changed = bytearray(data)
            changed[place // 8] ^= 1 << place % 8
            (root / part.path).write_bytes(changed)
            with pytest.raises(CorruptError):
                ParquetResults(root).read([part])

    def test_a_part_that_is_damaged_after_it_was_read_is_found(self, store: ResultStore, root: Path) -> None:
        part = store.write(rows_of("a"))
        store.read([part])
        path = root / part.path
        data = bytearray(path.read_bytes())
        data[50] ^= 4
        path.write_bytes(data)
        with pytest.raises(CorruptError):
            store.read([part])

    def test_a_newer_schema_is_refused(self, store: ResultStore, root: Path) -> None:
        import hashlib

        part = store.write(rows_of("a"))
        table = pq.read_table(root / part.path).replace_schema_metadata({b"orch_schema": b"77"})
        pq.write_table(table, root / part.path)
        data = (root / part.path).read_bytes()
        listed = replace(part, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
        with pytest.raises(CorruptError, match="schema 77"):
            store.read([listed])

    def test_strangers_in_the_folder_are_not_read(self, store: ResultStore, root: Path) -> None:
        part = store.write(rows_of("a"))
        (root / "results" / ".tmp-1").write_bytes(b"half")
        (root / "results" / "stranger.parquet").write_bytes(b"no part")
        assert store.read([part]) == rows_of("a")


class TestScan:
    def test_columns_are_those_of_the_frame(self, root: Path) -> None:
        store = ParquetResults(root)
        parts = [store.write(rows_of("a")), store.write(rows_of("b", 2))]
        for frame in (store.scan(parts), store.scan([])):
            assert dict(frame.schema) == dict(ROW_SCHEMA)
        frame = store.scan(parts)
        assert frame.get_column("part").to_list() == [parts[0].path] * 3 + [parts[1].path] * 2
        expected = pl.concat([pl.read_parquet(root / part.path) for part in parts])
        assert frame.drop("part").equals(expected)

    def test_a_part_listed_twice_counts_once(self, root: Path) -> None:
        store = ParquetResults(root)
        part = store.write(rows_of("a"))
        assert store.scan([part, part]).height == 3


class TestCompaction:
    def test_all_rows_in_one_part(self, store: ResultStore, root: Path) -> None:
        parts = [store.write(rows_of(n, 4)) for n in range(5)]
        joined = store.compact(parts)
        expected = sorted((row for n in range(5) for row in rows_of(n, 4)), key=lambda row: row.trial)
        assert store.read([joined]) == expected
        assert all((root / part.path).exists() for part in parts)

    def test_rows_that_are_not_valid_are_dropped(self, store: ResultStore) -> None:
        def valued(value: float) -> list[ResultRow]:
            return [replace(row, value=value) for row in rows_of("a")]

        stale, valid = store.write(valued(1.0) + rows_of("b")), store.write(valued(2.0))
        where: dict[TrialKey, str] = {key("a"): valid.path, key("b"): stale.path}
        joined = store.compact([stale, valid], valid=where)
        assert store.read([joined], [key("a")]) == valued(2.0)
        assert store.read([joined], [key("b")]) == rows_of("b")
        with pytest.raises(ValueError, match="nothing to compact"):
            store.compact([stale], valid={})


class TestSweep:
    def test_only_old_and_unlisted_files_go(self, store: ResultStore, root: Path) -> None:
        assert store.sweep([], older_than_s=0) == []
        listed, orphan, young = (store.write(rows_of(n)) for n in range(3))
        (root / "results" / ".tmp-abc").write_bytes(b"half")
        (root / "results" / "note.txt").write_text("mine")
        long_ago = time.time() - 1000
        for name in (listed.path, orphan.path, "results/.tmp-abc"):
            os.utime(root / name, (long_ago, long_ago))
        named = sorted([(orphan.path, orphan.size_bytes), ("results/.tmp-abc", 4)])
        assert sorted(store.sweep([listed], older_than_s=500, dry=True)) == named
        assert (root / orphan.path).exists()
        assert sorted(store.sweep([listed], older_than_s=500)) == named
        left = {p.name for p in (root / "results").iterdir()}
        assert left == {Path(listed.path).name, Path(young.path).name, "note.txt"}


def test_a_full_disk_leaves_nothing(store: ResultStore, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = store.write(rows_of("a"))

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left") as caught:
            store.write(rows_of("b"))
    assert caught.value.errno == errno.ENOSPC
    assert [p.name for p in (root / "results").iterdir()] == [Path(before.path).name]


PREPARE = """
from orchestrator.model.result import ResultRow
from orchestrator.store.results import ParquetResults
rows = [ResultRow(trial="new", evaluation="test", seed=n, metric="m", value=0.5) for n in range(100)]
"""


@pytest.mark.slow
def test_killed_at_every_durable_step_a_part_is_whole_or_absent(root: Path) -> None:
    store = ParquetResults(root)
    before = store.write(rows_of("old"))
    number = 1
    while killed_at(root, number, prepare=PREPARE, attempt="ParquetResults(store).write(rows)"):
        for path in (root / "results").glob("*.parquet"):
            assert pl.read_parquet(path).height in (3, 100)
        assert store.read([before]) == rows_of("old")
        number += 1
    assert number > 6, "it was killed at too few places to mean anything"
    store.sweep([before], older_than_s=0)
    assert [p.name for p in (root / "results").iterdir()] == [Path(before.path).name]
