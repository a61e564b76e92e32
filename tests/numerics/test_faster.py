"""What makes a step faster, beside the plain step that it stands for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from workloads.api import Placement
from workloads.configs import TrainConfig
from workloads.data.configs import Synthetic
from workloads.faster import channels_last
from workloads.learner import Learner
from workloads.networks.build import build, initialise
from workloads.networks.configs import DFNMR, PathEnsemble, Plain, ResNet
from workloads.placement import placed
from workloads.training import train
from workloads.unfused import unfused

SHAPE: dict[str, Any] = {"classes": 10, "in_channels": 3, "input_size": 16}
NETWORKS = [
    Plain(depth=8, width=0.25, **SHAPE),
    ResNet(depth=8, width=0.25, **SHAPE),
    DFNMR(depth=8, width=0.25, **SHAPE),
    PathEnsemble(depth=8, width=0.25, members=("LLL", "LLR", "RLR"), **SHAPE),
]
CONFIG = TrainConfig(network=NETWORKS[1], precision="float64")
CPU = torch.device("cpu")


def learnt(config: TrainConfig, steps: int) -> tuple[Learner, list[list[float]]]:
    network = build(config.network)
    initialise(network, torch.Generator().manual_seed(0))
    learner = Learner(network, config, CPU, None)
    generator = torch.Generator().manual_seed(3)
    sums = []
    for _ in range(steps):
        x = torch.randn(12, 3, 16, 16, generator=generator)
        y = torch.randint(0, 10, (12,), generator=generator)
        sums.append(learner.learn(x, y, 0.05, torch.Generator().manual_seed(7)).tolist())
    return learner, sums


@pytest.mark.parametrize("network", NETWORKS, ids=lambda each: each.name)
def test_channels_last_is_the_contiguous_step(network: Any) -> None:
    config = replace(CONFIG, network=network)
    plain, plain_sums = learnt(replace(config, memory_format="contiguous"), 3)
    turned, turned_sums = learnt(replace(config, memory_format="channels_last"), 3)
    lies = {each.is_contiguous() for each in plain.network.parameters()}
    assert lies == {True}
    filters = [each for each in turned.network.parameters() if each.dim() == 4 and each.shape[-1] > 1]
    assert not any(each.is_contiguous() for each in filters)
    for one, other in zip(plain_sums, turned_sums, strict=True):
        assert other == pytest.approx(one, rel=1e-12)
    for name, value in plain.network.state_dict().items():
        assert torch.allclose(value, turned.network.state_dict()[name], rtol=1e-12, atol=1e-12), name


def test_auto_follows_the_device() -> None:
    assert channels_last(CONFIG, CPU)
    assert not channels_last(CONFIG, torch.device("cuda"))
    assert channels_last(replace(CONFIG, memory_format="channels_last"), torch.device("cuda"))
    assert not channels_last(replace(CONFIG, memory_format="contiguous"), CPU)
    auto, turned = learnt(CONFIG, 1), learnt(replace(CONFIG, memory_format="channels_last"), 1)
    assert auto[1] == turned[1]


class _Seen(nn.Module):
    """Notes torch's switches in the forward and in the backward pass."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.flags: list[tuple[bool, bool]] = []

    def forward(self, x: torch.Tensor) -> Any:
        output = self.inner(x)
        self._note()
        output.register_hook(lambda gradient: self._note())
        return output

    def _note(self) -> None:
        self.flags.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))


@pytest.mark.parametrize("wanted", [False, True])
def test_tensor_cores_are_used_where_they_are_asked_for(wanted: bool) -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    seen = _Seen(build(CONFIG.network))
    learner = Learner(seen, replace(CONFIG, tf32=wanted), CPU, None)
    with placed(Placement()):
        learner.learn(torch.randn(4, 3, 16, 16), torch.arange(4), 0.1, torch.Generator())
        # validation, test and what is measured afterwards are in whole float32
        assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (False, False)
    assert seen.flags == [(wanted, wanted)] * 2
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


@pytest.mark.slow
def test_compiled_code_has_a_graph_for_each_size_of_mini_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def plainly(graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        sizes.append(max((each.shape[0] for each in inputs if _is_image(each)), default=0))
        return graph

    compile_ = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda module, **options: compile_(module, backend=plainly, **options)
    )
    config = TrainConfig(
        network=Plain(depth=5, width=0.25),
        data=Synthetic(images=80),
        epochs=2,
        batch_size=32,
        memory_format="contiguous",
    )
    plain, compiled = (_told(replace(config, compile=each)) for each in (False, True))
    assert plain == compiled
    assert sizes == [32, 16]  # 80 images: two mini-batches of 32 and one of 16, in both epochs


def _is_image(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dim() == 4 and not isinstance(value, nn.Parameter)


def _told(config: TrainConfig) -> list[dict[str, str]]:
    reports = train(config, seeds=[1], data=Path("nowhere"), resume={}, placement=Placement())
    return [{name: value.hex() for name, value in each.metrics.items()} for each in reports if each.metrics]


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS[:2], ids=lambda each: each.name)
def test_compiled_code_learns_what_the_plain_step_does(network: Any) -> None:
    config = replace(CONFIG, network=network)
    plain, compiled = learnt(config, 3), learnt(replace(config, compile=True), 3)
    for one, other in zip(plain[1], compiled[1], strict=True):
        assert other == pytest.approx(one, rel=1e-9)
    for name, value in plain[0].network.state_dict().items():
        assert torch.allclose(value, compiled[0].network.state_dict()[name], rtol=1e-9, atol=1e-9), name


def test_a_training_tells_what_its_step_was_made_of() -> None:
    config = TrainConfig(network=Plain(depth=5, width=0.25), data=Synthetic(), epochs=1, tf32=True)
    last = list(train(config, seeds=[0], data=Path("nowhere"), resume={}, placement=Placement()))[-1]
    assert last.notes == {
        "precision": "float32",
        "memory_format": "channels_last",
        "tf32": False,  # a CPU has none
        "compiled": False,
    }


def test_compiled_networks_are_not_fused() -> None:
    assert unfused(TrainConfig()) is None
    assert "compiled" in (unfused(TrainConfig(compile=True)) or "")
