"""The same study inline in a directory and on Ray in a bucket: every value equal, bit for bit."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import orchestrator
from tests.contracts.object_server import Bucket, bucket, s3_server
from tests.street.orch import Orch

__all__ = ["bucket", "s3_server"]

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


def values(directory: Path, executor: str, store: str, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    directory.mkdir()
    registry = f"sqlite:///{directory}/registry.db"
    orch = Orch(
        directory=directory,
        executor=executor,
        environment={"ORCH_STORE": store, "ORCH_REGISTRY_URL": registry},
    )
    done = orch("submit", orch.study(STUDY), "--json").json
    assert done["counts"]["succeeded"] == 4 + 4
    assert orch("--json", "fsck").json["damage"] == []
    monkeypatch.chdir(directory)
    monkeypatch.setenv("ORCH_REGISTRY_URL", registry)
    frame = orchestrator.frame("both", store=store)
    return frame.select("evaluation", "@kind", "@member", "seed", "step", "metric", "value").sort(pl.all())


@pytest.mark.slow
def test_inline_and_ray_agree_bit_for_bit(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    inline = values(tmp_path / "inline", "inline", str(tmp_path / "inline" / "store"), monkeypatch)
    ray = values(tmp_path / "ray", "ray", bucket.objects.uri, monkeypatch)
    assert {name.split("/")[0] for name in bucket.names()} == {"results", "checkpoints", "logs", "code"}
    # curves of 5 metrics, 2 of the test, 4 of the description, for 4 trainings; 2 for each of 4 conditions
    assert inline.height == 4 * (5 + 2 + 4) + 4 * 2
    assert inline.equals(ray)
