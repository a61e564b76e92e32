"""`orch init`: a first study file that runs."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import UsageError

STUDY = """\
# yaml-language-server: $schema=study.schema.json
api_version: 1
study: first
title: Does the shortcut pay at these depths?
workload: classification
config: {data: {name: digits}, network: {width: 0.5}, epochs: 4}
design:
  type: factorial
  factors:
    network: {path: network.name, levels: {Plain: plain, ResNet: resnet}}
    depth: {path: network.depth, levels: [8, 14]}
seeds: 2
tables:
  error:
    caption: Test error on the digits
    rows: depth
    columns: network
    metric: test_error
    percent: true
    best: min
    within: [depth]
"""

SETTINGS = """\
# Settings of orch for this directory; every one may also be given as ORCH_<NAME> or as a flag.
# store = ".orch"
# data_dir = "data"
# max_concurrent = 2
# workload_modules = ["my_package"]
#
# [[notify]]  # whom to tell that a study is done, failed, stalled, out of budget, or has decided a claim
# command = ["notify-send", "orch"]
#
# [targets.lab]  # settings that `--target lab` puts in place of those above
# ray_address = "10.0.0.1:6379"
# store = "/shared/orch"
# data_dir = "/shared/data"
"""


def init(directory: Path, *, force: bool = False) -> list[Path]:
    """Writes a study, its JSON Schema and a settings file; returns their paths.

    Raises:
        UsageError: A file is there already and `force` is False; nothing is written.
    """
    import json

    from orchestrator.study.schema import json_schema

    files = {
        directory / "studies" / "first.yaml": STUDY,
        directory / "studies" / "study.schema.json": json.dumps(json_schema(), indent=2) + "\n",
        directory / "orch.toml": SETTINGS,
    }
    there = [str(path) for path in files if path.exists()]
    if there and not force:
        raise UsageError(f"already there: {', '.join(there)}; --force overwrites")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)
