"""Small checkpoints are hashed after they are synced, large ones meanwhile: alike in digests and errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.model.plan import TrialKey
from orchestrator.store import digests

TRIAL = TrialKey("t")


@pytest.mark.parametrize("block", [1, 4 * 2**20], ids=["large", "small"])
def test_every_file_is_synced_and_an_error_of_the_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "b").write_bytes(b"")
    expected = digests.digested(tmp_path, TRIAL, serial=1, step=2, sync=lambda path: None)
    monkeypatch.setattr(digests, "_BLOCK_BYTES", block)
    synced: set[Path] = set()
    assert digests.digested(tmp_path, TRIAL, serial=1, step=2, sync=synced.add) == expected
    assert synced == {tmp_path / "a", tmp_path / "inner" / "b"}

    def full(path: Path) -> None:
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        digests.digested(tmp_path, TRIAL, serial=1, step=2, sync=full)
