"""`orch data` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.cli.main import run


def test_what_there_is_and_whether_it_is_whole(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["data", "list"]) == 0
    assert capsys.readouterr().out.split() == [
        "digits",
        "synthetic",
        "cifar10",
        "cifar100",
        "svhn",
        "imagenet",
        "image_folder",
    ]
    assert run(["--json", "data", "check", "digits"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == {"train": 1212, "validation": 135, "test": 450}
    assert run(["data", "check", "svhn", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert f"orch data fetch svhn {tmp_path}" in error.replace("\n", " ")
    assert run(["data", "check", "cifar"]) == 2
    assert "did you mean 'cifar10'" in capsys.readouterr().err
