"""T1 and T2 on a real local cluster: loopback only, a token, and nobody reads it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.street.orch import ROOT
from tests.threats.test_secrets import CANARY, STUDY, orch_in, places_of


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path_factory.mktemp("home"))}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("local_ray_ports.py"))],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_T01_a_local_cluster_listens_on_loopback_and_asks_for_a_token(seen: dict[str, object]) -> None:
    addresses = seen["addresses"]
    assert isinstance(addresses, list)
    assert len(addresses) >= 3  # of the head, the node, the dashboard
    loopback = ("0100007F:", "00000000000000000000000001000000:", "0000000000000000FFFF00000100007F:")
    assert [each for each in addresses if not each.startswith(loopback)] == []
    assert (seen["without"], seen["right"]) == (401, 200)
    assert seen["wrong"] in (401, 403)


def test_T02_nobody_else_reads_the_token(seen: dict[str, object]) -> None:
    assert (seen["token_mode"], seen["folder_mode"]) == (0o600, 0o700)
    assert seen["shown"] == []


def test_ray_tells_nobody_how_it_is_used(seen: dict[str, object]) -> None:
    assert seen["telemetry"] == "0"


@pytest.mark.slow
def test_T11_workers_of_a_cluster_hand_a_secret_over_and_let_none_out(tmp_path: Path) -> None:
    inline = orch_in(tmp_path, ORCH_SECRET_CANARY=CANARY, ORCH_MLFLOW_URI="off")
    orch = dataclasses.replace(inline, executor="ray")
    done = orch("submit", orch.study(STUDY.replace("levels: [false, true]", "levels: [false]")))
    assert "2 trained, 2 evaluated" in done.out
    assert CANARY not in done.out + done.err
    assert places_of(CANARY, tmp_path) == []
