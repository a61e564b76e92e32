"""The same study inline and on Ray: every value equal, bit for bit, seed by seed."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import orchestrator
from tests.street.orch import Orch

STUDY = """
api_version: 1
study: both
workload: classification
config: {network: {width: 0.25, depth: 8, bn_momentum: 0.1}, epochs: 1}
design:
  type: factorial
  factors:
    kind:
      levels:
        ResNet: {network.name: resnet}
        ensemble: {network.name: path_ensemble, network.members: [LLL, RRR]}
seeds: 2
evaluate:
  members: {when: {kind: ensemble}, vary: {member: {levels: [LLL, RRR], otherwise: all}}}
tables:
  t: {from: [test, members], rows: kind, columns: member, metric: test_error}
"""


def values(directory: Path, executor: str, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    directory.mkdir()
    orch = Orch(directory=directory, executor=executor)
    done = orch("submit", orch.study(STUDY), "--json").json
    assert done["counts"]["succeeded"] == 4 + 4
    monkeypatch.chdir(directory)
    frame = orchestrator.frame("both", store=directory / "store")
    return frame.select("evaluation", "@kind", "@member", "seed", "step", "metric", "value").sort(pl.all())


def test_inline_and_ray_agree_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inline = values(tmp_path / "inline", "inline", monkeypatch)
    ray = values(tmp_path / "ray", "ray", monkeypatch)
    # curves of 5 metrics, 2 of the test, 4 of the description, for 4 trainings; 2 for each of 4 conditions
    assert inline.height == 4 * (5 + 2 + 4) + 4 * 2
    assert inline.equals(ray)
