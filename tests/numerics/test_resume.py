"""An interrupted and continued training is bit-identical to an undisturbed one."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from workloads import checkpoint
from workloads.api import Placement, Report, to_plain
from workloads.configs import TrainConfig
from workloads.networks.configs import PathEnsemble, Plain, PreActResNet, ResNet
from workloads.placement import placed
from workloads.recipe import SGD
from workloads.schedules import OneCycle
from workloads.streams import Streams
from workloads.training import train

# 1,212 images in mini-batches of 512: three an epoch, the last one smaller
ENSEMBLE = TrainConfig(
    network=PathEnsemble(depth=8, width=0.125, members=("LLL", "LLR", "RLR")),
    epochs=2,
    batch_size=512,
    schedule=OneCycle(),
)
RESIDUAL = TrainConfig(network=ResNet(depth=8, width=0.125), epochs=2, batch_size=512)
STOCHASTIC = TrainConfig(network=PreActResNet(depth=14, width=0.125, survival=0.5), epochs=2, batch_size=512)


def reports(
    config: TrainConfig,
    *,
    seeds: tuple[int, ...] = (3,),
    resume: Mapping[int, Path] | None = None,
    every_s: float = 1e9,
    threads: int = 1,
) -> Iterator[Report]:
    return train(
        config,
        seeds=list(seeds),
        data=Path("nowhere"),
        resume=resume or {},
        placement=Placement(threads=threads),
        report_every_s=every_s,
    )


def history(several: list[Report]) -> list[Any]:
    return [
        (each.index, each.evaluation, each.step, {k: v.hex() for k, v in each.metrics.items()}, each.diverged)
        for each in several
        if each.metrics
    ]


def digest(folder: Path) -> str:
    """Of everything in a checkpoint: weights, buffers, momentum, streams, position, configuration."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()


def finish(several: Iterator[Report], folder: Path) -> tuple[list[Any], str]:
    """Returns the history and the digest of the last checkpoint of a training of one seed."""
    seen = []
    for report in several:
        seen.append(report)
        if report.evaluation == "test":
            folder.mkdir()
            assert report.save is not None
            report.save(folder)
    assert seen[-1].evaluation == "test"
    return history(seen), digest(folder)


@pytest.mark.parametrize(
    "config", [ENSEMBLE, RESIDUAL, STOCHASTIC], ids=["ensemble", "residual", "stochastic depth"]
)
def test_every_mini_batch_boundary(config: TrainConfig, tmp_path: Path) -> None:
    expected, final = finish(reports(config), tmp_path / "undisturbed")
    assert [step for _, _, step, _, _ in expected] == [1, 2, 2]
    before: list[Report] = []
    boundaries = []
    for number, report in enumerate(reports(config, every_s=0)):
        before.append(report)
        folder = tmp_path / f"boundary-{number}"
        folder.mkdir()
        assert report.save is not None
        report.save(folder)
        boundaries.append((folder, history(before)))
    # three mini-batches in each of two epochs, and the test
    assert len(boundaries) == 7
    assert history(before) == expected
    for folder, earlier in boundaries[:-1]:
        later, again = finish(reports(config, resume={0: folder}), tmp_path / f"{folder.name}-again")
        assert earlier + later == expected
        assert again == final
    folder, _ = boundaries[-1]
    assert digest(folder) == final
    later, again = finish(reports(config, resume={0: folder}), tmp_path / "again")
    assert (later, again) == (expected[-1:], final)


SCRIPT = """
import json, sys
from pathlib import Path
from workloads.api import Placement
from workloads.checkpoint import read_config
from workloads.training import train
source, target = map(Path, sys.argv[1:])
config, seed = read_config(source)
for report in train(config, seeds=[seed], data=source, resume={0: source}, placement=Placement()):
    if report.metrics:
        values = {k: v.hex() for k, v in report.metrics.items()}
        print(json.dumps([report.index, report.evaluation, report.step, values, report.diverged]))
report.save(target)
"""


@pytest.mark.slow
def test_another_process_continues_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    expected, final = finish(reports(ENSEMBLE), tmp_path / "undisturbed")
    source, target = tmp_path / "interrupted", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    for number, report in enumerate(reports(ENSEMBLE, every_s=0)):
        if number == 4:  # after the second mini-batch of the second epoch
            assert not report.metrics
            assert report.save is not None
            report.save(source)
            break
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(source), str(target)],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    later = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    assert later == expected[1:]
    assert digest(target) == final


def test_a_seed_is_the_same_in_any_bundle(tmp_path: Path) -> None:
    together = [report for report in reports(RESIDUAL, seeds=(5, 6, 7)) if report.metrics]
    assert [report.index for report in together] == sorted(report.index for report in together)
    for index, seed in enumerate((5, 6, 7)):
        alone = history(list(reports(RESIDUAL, seeds=(seed,))))
        bundled = history([report for report in together if report.index == index])
        assert [each[1:] for each in bundled] == [each[1:] for each in alone]
    assert history(list(reports(RESIDUAL, seeds=(5,)))) != history(list(reports(RESIDUAL, seeds=(6,))))


def test_one_seed_of_a_bundle_is_continued_and_the_other_begun(tmp_path: Path) -> None:
    expected = history(list(reports(RESIDUAL, seeds=(5, 6))))
    begun = reports(RESIDUAL, seeds=(6,))
    first = next(begun)
    assert first.save is not None
    first.save(tmp_path)
    continued = history(list(reports(RESIDUAL, seeds=(5, 6), resume={1: tmp_path})))
    assert continued == [each for each in expected if not (each[0] == 1 and each[2] == 1)]


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    first = next(reports(RESIDUAL))
    assert first.save is not None
    first.save(tmp_path)
    with pytest.raises(ValueError, match=r"got one of seed 3 .* allowed is seed 4"):
        next(reports(RESIDUAL, seeds=(4,), resume={0: tmp_path}))
    with pytest.raises(ValueError, match="epochs=2"):
        next(reports(ENSEMBLE, resume={0: tmp_path}))


class Evil:
    """A pickle of this writes a file when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (Path.touch, (self.marker,))


def test_a_malicious_checkpoint_runs_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    torch.save({"weight": Evil(marker)}, tmp_path / "network.pt")
    with pytest.raises(pickle.UnpicklingError):
        checkpoint.read_network(tmp_path)
    assert not marker.exists()


def test_a_checkpoint_says_what_it_is(tmp_path: Path) -> None:
    first = next(reports(RESIDUAL))
    assert first.save is not None
    first.save(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"config.json", "network.pt", "training.pt", "training.json"}
    config, seed = checkpoint.read_config(tmp_path)
    assert seed == 3
    assert to_plain(config.network)["classes"] == 10
    assert config.data.augmentation == "plus"


def test_a_save_that_comes_too_late_is_refused(tmp_path: Path) -> None:
    running = reports(RESIDUAL)
    first = next(running)
    next(running)
    assert first.save is not None
    with pytest.raises(RuntimeError, match="after step 6 for a report of step 3"):
        first.save(tmp_path)


@pytest.mark.parametrize(
    "network", [Plain(depth=5, width=0.125), ENSEMBLE.network], ids=["plain", "ensemble"]
)
def test_a_loss_that_is_not_finite_ends_the_training(network: Any, tmp_path: Path) -> None:
    config = TrainConfig(network=network, epochs=2, batch_size=512, optimizer=SGD(lr=1e30))
    seen = list(reports(config))
    assert seen[-1].diverged
    assert seen[-1].evaluation == "train"
    assert not any(report.diverged for report in seen[:-1])
    assert seen[-1].step == 1
    last = seen[-1]
    assert last.save is not None
    last.save(tmp_path)
    again = list(reports(config, resume={0: tmp_path}))
    assert history(again) == history(seen[-1:])
    # and the next seed of the bundle is trained all the same
    both = list(reports(config, seeds=(3, 4)))
    assert [report.index for report in both if report.diverged] == [0, 1]


def test_the_callers_settings_are_untouched_between_reports() -> None:
    torch.manual_seed(11)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    for _ in reports(RESIDUAL, every_s=0, threads=1 if threads > 1 else 2):
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == threads
        assert not torch.are_deterministic_algorithms_enabled()


def test_what_a_network_draws_comes_from_its_own_stream() -> None:
    stream = Streams.of(0).regularisation
    reference = Streams.of(0).regularisation
    outer = torch.get_rng_state()
    drawn = []
    for _ in range(3):  # interrupted twice: the stream goes on where it was
        with placed(Placement(), stream):
            drawn.append(torch.rand(4))
    assert torch.equal(torch.cat(drawn), torch.cat([torch.rand(4, generator=reference) for _ in range(3)]))
    assert torch.equal(torch.get_rng_state(), outer)
