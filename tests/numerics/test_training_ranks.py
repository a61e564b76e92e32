"""One training on two ranks of this machine: it learns what one process learns, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from workloads.api import Placement, Report
from workloads.configs import TrainConfig
from workloads.networks.configs import FractalNet, PathEnsemble, PreActResNet, ResNet
from workloads.training import train

ROOT = Path(__file__).parents[2]
ONE, TWO = Placement(), Placement(threads=2, devices=("cpu", "cpu"))
# 1,212 images: six mini-batches of 202, or of 121 with a last one of 2; chunks of 64 leave small last ones
GHOST = TrainConfig(network=ResNet(depth=8, width=0.125), epochs=4, batch_size=202, ghost_batch=64)
WHOLE = replace(GHOST, ghost_batch=None)
CONFIGS = {
    "ghost": GHOST,
    "ghost ensemble": replace(
        GHOST, network=PathEnsemble(depth=8, width=0.125, members=("LLL", "LLR", "RLR"))
    ),
    "whole": WHOLE,
    "whole ensemble": replace(WHOLE, network=PathEnsemble(depth=8, width=0.125, members=("LLL", "RLR"))),
    "modules": replace(GHOST, network=PreActResNet(depth=14, width=0.125, survival=0.5)),
    "drop-path": replace(GHOST, network=FractalNet(columns=3, channels=(4, 8), drop_path="mixed")),
    "whole drop-path": replace(WHOLE, network=FractalNet(columns=3, channels=(4, 8), drop_path="mixed")),
    # the last mini-batch has one image, which one rank has to itself
    "one image": replace(WHOLE, batch_size=173, epochs=3),
    "one chunk": replace(GHOST, batch_size=250, ghost_batch=125),  # the last has 212: two chunks, 125 and 87
}


def reports(
    config: TrainConfig, placement: Placement, *, every_s: float = 0, resume: Path | None = None
) -> Iterator[Report]:
    return train(
        config,
        seeds=[1],
        data=Path("nowhere"),
        resume={} if resume is None else {0: resume},
        placement=placement,
        report_every_s=every_s,
    )


def saved(report: Report, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    assert report.save is not None
    report.save(folder)
    return torch.load(folder / "training.pt", weights_only=True)


def step_losses(config: TrainConfig, placement: Placement, steps: int, folder: Path) -> list[float]:
    """Mean loss of each of the first mini-batches, from the partial sums in checkpoints and epochs' means."""
    losses, before, images_before = [], 0.0, 0.0
    running = reports(config, placement)
    for number, report in enumerate(running):
        if "train_loss" in report.metrics:  # the sums have begun anew
            images = 1212.0
            total = report.metrics["train_loss"] * images
        else:
            total, _, images = saved(report, folder / f"{placement.threads}-{number}")["sums"].tolist()
        losses.append((total - before) / (images - images_before))
        before, images_before = (0.0, 0.0) if report.metrics else (total, images)
        if len(losses) == steps:
            break
    running.close()
    return losses


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(each, marks=() if each == "modules" else pytest.mark.slow)
        for each in CONFIGS
        if each not in ("ghost", "whole")
    ],
)
def test_two_ranks_lose_what_one_process_loses(name: str, tmp_path: Path) -> None:
    config = replace(CONFIGS[name], precision="float64")
    alone = step_losses(config, ONE, 20, tmp_path)
    together = step_losses(config, TWO, 20, tmp_path)
    assert len(set(alone)) == 20
    assert together == pytest.approx(alone, rel=1e-11)
    assert not dist.is_initialized()


# Not "whole ensemble": its summed loss at a rate of 0.1 lets single precision's rounding grow to 4e-4.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["ghost", "whole"])
def test_so_they_do_in_single_precision(name: str, tmp_path: Path) -> None:
    alone = step_losses(CONFIGS[name], ONE, 20, tmp_path)
    together = step_losses(CONFIGS[name], TWO, 20, tmp_path)
    assert together == pytest.approx(alone, rel=0, abs=1e-5)


@pytest.mark.slow
def test_running_statistics_and_results_agree(tmp_path: Path) -> None:
    config = replace(GHOST, precision="float64", epochs=2)
    ends = {}
    for placement in (ONE, TWO):
        *_, last = reports(config, placement, every_s=1e9)
        folder = tmp_path / str(placement.threads)
        saved(last, folder)
        ends[placement] = (torch.load(folder / "network.pt", weights_only=True), dict(last.metrics))
    (alone, metrics), (together, again) = ends[ONE], ends[TWO]
    assert alone.keys() == together.keys()
    for name, value in alone.items():
        assert torch.allclose(value.double(), together[name].double(), rtol=1e-9, atol=1e-12), name
    assert again == pytest.approx(metrics, rel=1e-9)


@pytest.mark.slow
def test_checkpoints_change_hands_between_rank_counts(tmp_path: Path) -> None:
    config = replace(GHOST, precision="float64", epochs=2)
    expected = [dict(each.metrics) for each in reports(config, ONE, every_s=1e9)]
    for number, (first, second) in enumerate([(ONE, TWO), (TWO, ONE)]):
        running = reports(config, first)
        for _ in range(4):  # in the middle of the first epoch
            report = next(running)
        folder = tmp_path / str(number)
        saved(report, folder)
        running.close()
        later = [dict(each.metrics) for each in reports(config, second, every_s=1e9, resume=folder)]
        for ours, theirs in zip(later, expected, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-9)


def test_more_devices_than_chunks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got 5 for one training .* has 4 chunks of 64 images"):
        next(reports(GHOST, Placement(devices=("cpu",) * 5)))
    with pytest.raises(ValueError, match=r"got 3 for one training .* has 2 images"):
        next(reports(replace(WHOLE, batch_size=2), Placement(devices=("cpu",) * 3)))


def children(parent: int) -> list[int]:
    """Processes whose parent is this one, from /proc."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def until(reached: Callable[[], bool], deadline_s: float = 60) -> bool:
    end = time.monotonic() + deadline_s
    while not reached():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def gone(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def ranks_of(parent: int) -> list[int]:
    def is_rank(process: int) -> bool:
        try:
            return b"workloads.rank" in (Path("/proc") / str(process) / "cmdline").read_bytes()
        except OSError:
            return False

    return [each for each in children(parent) if is_rank(each)]


def test_a_stopped_training_leaves_no_rank() -> None:
    running = reports(GHOST, TWO)
    next(running)
    (rank,) = ranks_of(os.getpid())
    assert not gone(rank)
    running.close()
    assert gone(rank)
    assert not dist.is_initialized()
    assert "GLOO_SOCKET_IFNAME" not in os.environ


def test_a_dying_rank_ends_the_training() -> None:
    running = reports(GHOST, TWO)
    next(running)
    (rank,) = ranks_of(os.getpid())
    os.kill(rank, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="rank 1 ended with signal 9"):
        for _ in running:
            pass
    assert ranks_of(os.getpid()) == []
    assert not dist.is_initialized()


def test_a_rank_that_cannot_begin_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="rank 1 ended with exit code 1"):
        next(reports(GHOST, TWO))
    assert not dist.is_initialized()


def test_a_checkpoint_of_another_training_is_refused_as_on_one_device(tmp_path: Path) -> None:
    running = reports(GHOST, ONE)
    saved(next(running), tmp_path / "other")
    with pytest.raises(ValueError, match="ghost_batch=None"):
        next(reports(WHOLE, TWO, resume=tmp_path / "other"))
    assert ranks_of(os.getpid()) == []


SCRIPT = """
import sys
from pathlib import Path
from tests.numerics.test_training_ranks import GHOST, TWO, reports
for report in reports(GHOST, TWO):
    print(report.progress, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_ranks_die_with_their_parent(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        (rank,) = ranks_of(process.pid)
        process.send_signal(number)
        process.wait(timeout=60)
        assert until(lambda: gone(rank))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
