"""Defaults are part of every trial's identity: they are left out of its key, so none may change unseen."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from workloads.api import hints, kinds, to_plain
from workloads.configs import TrainConfig
from workloads.spec import SPEC

GOLDEN = Path(__file__).parents[2] / "golden" / "defaults.json"


def _defaults() -> dict[str, Any]:
    plain: dict[str, Any] = {"version": SPEC.version, "config": to_plain(TrainConfig())}
    for name, annotation in hints(TrainConfig).items():
        for kind, cls in (kinds(annotation) or {}).items():
            try:
                plain[f"{name}.{kind}"] = to_plain(cls())
            except (TypeError, ValueError):  # a kind that has no defaults for all of its fields
                continue
    return plain


def test_no_default_changes_unseen() -> None:
    """A new field is added to the file; for a changed default `SPEC.version` is raised too.

    `ORCH_GOLDEN=write` writes the file.
    """
    found = json.dumps(_defaults(), indent=1, sort_keys=True) + "\n"
    if os.environ.get("ORCH_GOLDEN") == "write":
        GOLDEN.write_text(found, "utf-8")
    assert found == GOLDEN.read_text("utf-8")
