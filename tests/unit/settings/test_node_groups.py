"""What a cluster may grow to, as it is written in settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.model.groups import NodeGroup, node_groups
from orchestrator.model.plan import Resources
from orchestrator.settings import load_settings


def test_groups_are_read() -> None:
    assert node_groups("8 x 16 CPU + 64 GB, 4x8cpu+1 gpu") == (
        NodeGroup(count=8, each=Resources(cpu=16, memory_gb=64)),
        NodeGroup(count=4, each=Resources(cpu=8, gpu=1)),
    )
    assert node_groups("") == ()


@pytest.mark.parametrize(
    "text",
    ["8", "8 CPU", "x 8 CPU", "2 x 1 GPU", "2 x 8 CPU + 8 CPU", "2 x 8 cores", "-1 x 8 CPU", "2 x 0 CPU"],
)
def test_what_is_no_group_is_told_with_an_example(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCH_SCALES_TO", text)
    with pytest.raises(UsageError, match=r"scales_to.*4 x 8 CPU \+ 1 GPU"):
        load_settings()
