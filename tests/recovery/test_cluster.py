"""A cluster that is joined by address: nodes die, the head dies, and nodes that cannot work are found out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.object_server import Bucket, bucket, s3_server
from tests.recovery.invariants import assert_invariants, finished, golden
from tests.recovery.ray_nodes import BIN, Nodes, cluster
from tests.street.orch import Orch, until

__all__ = ["bucket", "s3_server"]

pytestmark = pytest.mark.slow

STUDY = """
api_version: 1
study: demo
workload: tests.toy_workload:SPEC
config: {steps: 6, step_s: 0.02, gate: GATE, gate_at: 4, trace: TRACE}
design:
  type: factorial
  factors: {x: {path: x, levels: [1, 2, 3]}}
seeds: 2
evaluate: {scaled: {family: scale, vary: {by: {levels: [2, 3], otherwise: one}}}}
tables:
  errors: {from: [test, scaled], rows: x, columns: by, metric: test_error}
"""


def study_of(orch: Orch) -> tuple[Path, Path, Path]:
    """Returns the study's file, its gate and its trace."""
    gate, trace = orch.directory / "gate", orch.directory / "trace"
    return orch.study(STUDY.replace("GATE", str(gate)).replace("TRACE", str(trace))), gate, trace


def over(nodes: Nodes, directory: Path) -> Orch:
    """Returns the command line with trials on a cluster."""
    return Orch(
        directory=directory,
        executor="ray",
        environment={**nodes.access, "ORCH_RAY_ADDRESS": nodes.address, "ORCH_CHECKPOINT_INTERVAL_S": "1"},
    )


@pytest.fixture(scope="module")
def standing() -> Iterator[Nodes]:
    """A cluster that no test kills, whose node says that it has a GPU."""
    with cluster(gpus=1) as nodes:
        yield nodes


def workers(trace: Path) -> set[str]:
    """Returns the processes that have trained something."""
    return {line.split()[2] for line in trace.read_text().splitlines()} if trace.exists() else set()


def test_a_node_dies_and_then_the_head(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with cluster() as nodes:
        nodes.start("other")
        orch = over(nodes, tmp_path / "a")
        file, gate, trace = study_of(orch)
        gates = tmp_path / "gates"
        gates.mkdir()
        file = orch.study(file.read_text().replace(str(gate), f"{gates}/"))
        with orch.start("submit", file) as driver:
            # Each node has room for one: two workers are on both.
            until(lambda: len(workers(trace)) == 2, timeout_s=120, what="work on both nodes")
            nodes.kill("other")
            # Its trial is put back, and the one that goes on keeps the only slot that is left.
            until(
                lambda: any(
                    attempt["outcome"] == "node lost"
                    for each in orch("show", "demo", "--json").json["trials"]
                    for attempt in orch("show", each["trial"], "--json").json["attempts"]
                ),
                timeout_s=120,
                what="a trial that its node took along",
            )
            # One of them stays closed, behind all first seeds: the study cannot end before the head does.
            for x, seed in ((1, 0), (2, 0), (3, 0), (1, 1), (2, 1)):
                (gates / f"{x}-{seed}").touch()
            until(lambda: len(finished(orch, "demo")) >= 3, timeout_s=120, what="results after the loss")
            nodes.kill("head")
            said, _ = driver.communicate(timeout=120)
            assert driver.returncode == 5, said
            assert "does not answer any more" in said
            assert "orch resume" in said
    before = finished(orch, "demo")
    (gates / "3-1").touch()
    with cluster() as nodes:
        over(nodes, tmp_path / "a")("resume", "demo")
    undisturbed = Orch(directory=tmp_path / "b")
    undisturbed("submit", file)
    assert_invariants(orch, "demo", golden(undisturbed, "demo"), before=before)


def test_a_node_that_does_not_see_the_store_or_the_data_is_refused(standing: Nodes, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    apart = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(tmp_path)]
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("not run here: no mount namespaces without privileges")
    standing.start("apart", before=apart)
    try:
        orch = over(standing, tmp_path)
        done = orch("submit", study_of(orch)[0], code=5)
    finally:
        standing.kill("apart")
    assert f"does not see the store {tmp_path / 'store'}" in done.err
    assert f"has no directory {tmp_path / 'data'}" in done.err
    assert "s3://bucket/prefix" in done.err
    # Nothing was tried, and nothing is left behind.
    assert {each["state"] for each in orch("show", "demo", "--json").json["trials"]} == {"pending"}
    assert list((tmp_path / "store").glob(".tmp-*")) == []


def test_a_store_in_a_bucket_is_tried_from_every_node(tmp_path: Path, bucket: Bucket) -> None:
    with cluster() as nodes:  # after the bucket: nodes use the credentials of their own environment
        orch = over(nodes, tmp_path)
        orch.environment["ORCH_STORE"] = bucket.objects.uri
        orch.environment["ORCH_REGISTRY_URL"] = f"sqlite:///{tmp_path}/registry.db"
        file, gate, _ = study_of(orch)
        gate.touch()
        nodes.start("lost", before=["env", "AWS_ENDPOINT_URL=http://127.0.0.1:1"])
        said = " ".join(orch("submit", file, code=5).err.split())
        assert "the cluster cannot run this study" in said
        assert f"the store {bucket.objects.uri} (bucket studies): cannot open" in said
        nodes.kill("lost")
        finished = orch("resume", "demo", "--json").json
    assert finished["counts"]["succeeded"] == 6 + 12
    assert orch("--json", "fsck").json["damage"] == []
    assert not (tmp_path / "store").exists()


def test_who_has_no_token_is_told_so(standing: Nodes, tmp_path: Path) -> None:
    stranger = tmp_path / "token"
    stranger.write_text("0" * 64)
    orch = over(standing, tmp_path)
    orch.environment["RAY_AUTH_TOKEN_PATH"] = str(stranger)
    done = orch("submit", study_of(orch)[0], code=5)
    assert "cannot be joined" in done.err


def test_four_trials_share_a_gpu(standing: Nodes, tmp_path: Path) -> None:
    orch = over(standing, tmp_path)
    file, gate, trace = study_of(orch)
    quarter = file.read_text().replace("seeds: 2", "seeds: 2\nresources: {cpu: 0.25, gpu: 0.25}")
    with orch.start("submit", orch.study(quarter)) as driver:
        until(lambda: len(workers(trace)) == 4, timeout_s=120, what="four trainings at once")
        gate.touch()
        said, _ = driver.communicate(timeout=120)
        assert driver.returncode == 0, said
    shown = orch("show", "demo", "--json").json["trials"]
    placed = [
        attempt["worker"]
        for each in shown
        for attempt in orch("show", each["trial"], "--json").json["attempts"]
    ]
    # All see the same device as their first; the workload caps what each may take of its memory.
    assert {(tuple(each["devices"]), tuple(each["accelerators"])) for each in placed} == {
        (("cuda:0",), ("0",))
    }
    more = quarter.replace("gpu: 0.25", "gpu: 2").replace("levels: [1, 2, 3]", "levels: [9]")
    refused = orch("submit", orch.study(more, "large.yaml"), code=5)
    assert "no node can ever hold 0.25 CPU + 2 GPU; the cluster's nodes have: 1 CPU + 1 GPU" in refused.err


def test_a_node_that_an_autoscaler_may_add_is_waited_for(tmp_path: Path) -> None:
    """Lanes without room are what an autoscaler looks at; here the test adds the node."""
    with cluster() as nodes:
        orch = over(nodes, tmp_path)
        file, gate, _ = study_of(orch)
        gate.touch()
        file.write_text(file.read_text().replace("seeds: 2", "seeds: 1\nresources: {cpu: 1, gpu: 1}"))
        assert "scales_to" in orch("submit", file, code=5).err
        orch.environment["ORCH_SCALES_TO"] = "2 x 2 CPU + 1 GPU"
        with orch.start("submit", file) as driver:
            until(lambda: asked_for(nodes), timeout_s=120, what="a demand for a GPU")
            assert not finished(orch, "demo")
            nodes.start("gpu", cpus=2, gpus=1)
            assert driver.wait(240) == 0
        assert len(finished(orch, "demo")) == 9
        assert orch("table", "demo", "--format", "csv").out.count("\n") == 4


def asked_for(nodes: Nodes) -> bool:
    """Returns whether something waits for a GPU, as `ray status` shows it to an autoscaler's owner."""
    command = [BIN / "ray", "status", f"--address={nodes.address}"]
    environment = {**os.environ, **nodes.access}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return "'GPU': 1.0" in done.stdout.partition("Demands:")[2]
