"""The batch script, run with stand-ins for Slurm's and Ray's commands and with the real orch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.files import DEPLOY
from tests.recovery.small_study import OFTEN, STUDY, undisturbed
from tests.street.orch import Orch, until

SCRIPT = DEPLOY / "slurm" / "orch.sbatch"
TOOLS = {
    # Both run the command once, as on the first node.
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
    "ray": """
echo "$@" >>"$LOGS/ray"
[ ! -e "$LOGS/no-ray" ] || { echo "Failed to start Ray"; exit 0; }
while [ "$1" != -- ]; do shift; done; shift; exec "$@" """,
    "scontrol": """
echo "$@" >>"$LOGS/scontrol"
[ "$1" != show ] || printf 'node-1\\nnode-2\\n' """,
    # As long as there are lines in `held`, another driver has the study.
    "orch": """
echo "$@" >>"$LOGS/orch"
[ ! -s "$LOGS/held" ] || { sed -i 1d "$LOGS/held"; exit 7; }
exec "$PYTHON" -m orchestrator.cli.main "$@" """,
}


@dataclass(frozen=True, kw_only=True)
class Slurm:
    """A job of a cluster of two nodes."""

    orch: Orch
    tools: Path
    logs: Path

    @property
    def runs(self) -> Path:
        return self.orch.directory / ".orch-slurm" / "4711"

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        environment = {
            **self.orch.env,
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "LOGS": str(self.logs),
            "PYTHON": self.orch.command()[0],
            "ORCH_SLURM": str(DEPLOY / "slurm"),
            "ORCH_SLURM_PAUSE": "0.1",
            "SLURM_JOB_ID": "4711",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_JOB_NODELIST": "node-[1-2]",
            "SLURM_SUBMIT_DIR": str(self.orch.directory),
            "SLURM_CPUS_ON_NODE": "16",
            "SLURM_GPUS_ON_NODE": "4",
        }
        return subprocess.Popen(
            ["bash", str(SCRIPT), *map(str, arguments)],
            cwd=self.orch.directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *arguments: object) -> tuple[int, str]:
        process = self.start(*arguments)
        said = process.communicate(timeout=240)[0]
        return process.returncode, said

    def asked(self, tool: str) -> list[str]:
        file = self.logs / tool
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    tools, logs = tmp_path / "tools", tmp_path / "logs"
    tools.mkdir()
    logs.mkdir()
    for name, body in TOOLS.items():
        (tools / name).write_text(f"#!/bin/bash\n{body}\n")
        (tools / name).chmod(0o755)
    return Slurm(orch=Orch(directory=tmp_path, environment=dict(OFTEN)), tools=tools, logs=logs)


@pytest.mark.slow
def test_a_study_runs_to_its_end(slurm: Slurm) -> None:
    code, said = slurm(slurm.orch.study(STUDY), "--seeds", "0,1")
    assert code == 0, said
    assert (slurm.runs / "done").exists()
    assert slurm.orch("table", "demo", "--format", "csv").out == undisturbed().golden.tables
    assert not [each for each in slurm.asked("scontrol") if each.startswith("requeue")]
    token = slurm.runs / "token"
    assert (token.stat().st_mode & 0o777, len(token.read_text())) == (0o600, 64)
    assert slurm.runs.stat().st_mode & 0o077 == 0
    (asked,) = slurm.asked("ray")
    assert token.read_text() not in asked
    assert asked.startswith("symmetric-run --address node-1:24711 --min-nodes 2 --num-cpus 16 --num-gpus 4 ")


def test_ray_takes_what_it_is_asked(slurm: Slurm) -> None:
    (slurm.logs / "no-ray").touch()
    slurm(slurm.orch.study(STUDY))
    arguments = slurm.asked("ray")[0].partition(" -- ")[0].split()
    assert arguments.pop(0) == "symmetric-run"
    # Ray's own check, which raises for what symmetric-run refuses and leaves what `ray start` is to take.
    code = (
        "import sys; from ray.scripts.symmetric_run import curate_and_validate_ray_start_args as check; "
        "from ray.scripts.scripts import start; "
        "known = {name for each in start.params for name in each.opts}; "
        "print([each for each in check(sys.argv[1:]) if each[:2] == '--' and each not in known])"
    )
    command = [sys.executable, "-c", code, *arguments]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_that_ray_did_not_start_is_an_error_although_it_says_nothing(slurm: Slurm) -> None:
    (slurm.logs / "no-ray").touch()
    code, said = slurm(slurm.orch.study(STUDY))
    assert code == 1
    assert "the driver did not run" in said
    assert not (slurm.runs / "done").exists()


@pytest.mark.slow
def test_before_the_time_is_up_it_saves_and_goes_back_into_the_queue(slurm: Slurm, tmp_path: Path) -> None:
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    waiting = STUDY.replace("{steps: 2}", f"{{steps: 2, gate: {gate}, gate_at: 2, trace: {trace}}}")
    file = slurm.orch.study(waiting)
    process = slurm.start(file)
    try:
        until(trace.exists, timeout_s=120, what="a training")
        os.kill(process.pid, signal.SIGTERM)  # as Slurm does: to the batch shell alone
        said = process.communicate(timeout=120)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said
    assert "requeue 4711" in slurm.asked("scontrol")
    assert not (slurm.runs / "done").exists()
    assert slurm.orch("status", "demo", "--json").json["studies"][0]["status"] == "interrupted"
    steps = trace.read_text().splitlines()

    gate.touch()
    code, said = slurm(file)  # the same job again, on other nodes
    assert code == 0, said
    assert (slurm.runs / "done").exists()
    assert slurm.orch("table", "demo", "--format", "csv").out == undisturbed().golden.tables
    done = [line.split()[:2] for line in trace.read_text().splitlines()]
    assert len(done) == 2 * 2 * 2, "no step is done twice"
    assert [line.split()[:2] for line in steps] == done[: len(steps)]


@pytest.mark.slow
def test_a_lease_of_a_driver_that_died_elsewhere_is_waited_for(slurm: Slurm) -> None:
    (slurm.logs / "held").write_text("1\n2\n")
    code, said = slurm(slurm.orch.study(STUDY))
    assert code == 0, said
    assert len(slurm.asked("orch")) == 3


def test_what_is_wrong_with_a_study_ends_the_job(slurm: Slurm) -> None:
    code, said = slurm(slurm.orch.study(STUDY.replace("seeds: 2", "seeds: none")))
    assert code == 2, said
    assert "seeds" in said
    assert not [each for each in slurm.asked("scontrol") if each.startswith("requeue")]
    assert slurm()[0] == 2


def test_slurm_is_asked_for_what_this_needs() -> None:
    lines = SCRIPT.read_text(encoding="utf-8").splitlines()
    options = {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")}
    needed = {"--ntasks-per-node=1", "--exclusive", "--signal=B:TERM@300", "--requeue", "--open-mode=append"}
    assert needed <= options
