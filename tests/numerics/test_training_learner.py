"""One step of a training against a plain torch loop, and its precisions."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workloads.configs import TrainConfig
from workloads.learner import Learner
from workloads.loss_scale import LossScale
from workloads.networks.build import build, initialise
from workloads.networks.configs import PathEnsemble, PreActResNet, ResNet
from workloads.recipe import SGD

SHAPE: dict[str, Any] = {"classes": 10, "in_channels": 1, "input_size": 8}
CONFIG = TrainConfig(network=ResNet(depth=8, width=0.25, **SHAPE), precision="float64")
CPU = torch.device("cpu")


def fresh(config: TrainConfig) -> nn.Module:
    network = build(config.network)
    initialise(network, torch.Generator().manual_seed(0))
    return network


def batches(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    return [
        (torch.randn(24, 1, 8, 8, generator=generator), torch.randint(0, 10, (24,), generator=generator))
        for _ in range(count)
    ]


def learnt(config: TrainConfig, steps: int = 6) -> tuple[Learner, list[list[float]]]:
    learner = Learner(fresh(config), config, CPU, None)
    stream = torch.Generator().manual_seed(7)
    return learner, [learner.learn(x, y, 0.05, stream).tolist() for x, y in batches(steps)]


@pytest.mark.parametrize("network", [CONFIG.network, PathEnsemble(depth=8, width=0.25, **SHAPE)])
@pytest.mark.parametrize("optimizer", [SGD(), SGD(nesterov=False, decay="filters", weight_decay=5e-4)])
def test_a_step_is_a_plain_torch_loops(network: Any, optimizer: SGD) -> None:
    config = replace(CONFIG, network=network, optimizer=optimizer)
    plain = copy.deepcopy(fresh(config)).double()
    groups = [
        {
            "params": [each],
            "weight_decay": 0.0
            if optimizer.decay == "filters" and each.dim() == 1
            else optimizer.weight_decay,
        }
        for each in plain.parameters()
    ]
    torchs = torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=optimizer.nesterov)
    learner, sums = learnt(config)
    for (x, y), (loss_sum, errors, images) in zip(batches(6), sums, strict=True):
        output = plain(x.double())
        several = output if output.dim() == 3 else output[None]
        loss = sum(F.cross_entropy(each, y) for each in several)
        torchs.zero_grad()
        loss.backward()
        torchs.step()
        predicted = several.softmax(-1).mean(0).argmax(1)
        assert loss_sum == pytest.approx(loss.item() * 24, rel=1e-9)
        assert (errors, images) == (int((predicted != y).sum()), 24)
    for name, value in plain.state_dict().items():
        assert torch.allclose(value, learner.network.state_dict()[name], rtol=1e-9, atol=1e-11), name


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_is_near_and_keeps_weights_whole(precision: Any) -> None:
    exact = learnt(CONFIG)[1]
    learner, half = learnt(replace(CONFIG, precision=precision))
    single = learnt(replace(CONFIG, precision="float32"))[1]
    assert {each.dtype for each in learner.network.parameters()} == {torch.float32}
    assert [each[0] for each in single] == pytest.approx([each[0] for each in exact], rel=1e-4)
    assert [each[0] for each in half] == pytest.approx([each[0] for each in exact], rel=5e-2)
    # it did compute in half precision
    assert [each[0] for each in half] != pytest.approx([each[0] for each in exact], rel=1e-4)


def test_the_loss_scale_is_torchs() -> None:
    ours = LossScale()
    torchs = torch.amp.GradScaler("cpu", growth_interval=2000)
    weight = nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    stream = torch.Generator().manual_seed(0)
    for step in range(4300):
        gradient = torch.randn(3, generator=stream)
        if step in (0, 1, 5, 4100):
            gradient[1] = torch.inf if step else torch.nan
        before = weight.detach().clone()
        torchs.scale(torch.zeros(()))  # it makes its scale at the first use
        assert ours.value == torchs.get_scale()
        weight.grad = gradient * ours.value
        flat = gradient * ours.value
        torchs.step(optimizer)
        torchs.update()
        finite = ours.unscale(flat)
        expected = before - flat if finite else before
        assert torch.equal(weight, expected), step
        if step == 2100:
            ours, state = LossScale(), ours.state()
            ours.set_state(state)
    assert ours.value == torchs.get_scale() == 65536 / 8 * 4 / 2


def test_steps_that_overflow_teach_nothing() -> None:
    config = replace(CONFIG, precision="float16")
    learner = Learner(fresh(config), config, CPU, None)
    assert learner.loss_scale is not None
    learner.loss_scale.value = 2.0**40
    before = learner.network.state_dict()["head.fc.weight"].clone()
    x, y = batches(1)[0]
    learner.learn(x, y, 0.1, torch.Generator())
    assert torch.equal(learner.network.state_dict()["head.fc.weight"], before)
    assert learner.loss_scale.value == 2.0**39
    learner.loss_scale.value = 2.0**10
    learner.learn(x, y, 0.1, torch.Generator())
    assert not torch.equal(learner.network.state_dict()["head.fc.weight"], before)


def test_modules_are_drawn_from_their_own_stream() -> None:
    config = replace(CONFIG, network=PreActResNet(depth=14, width=0.25, survival=0.5, **SHAPE))
    outer = torch.get_rng_state()
    learner = Learner(fresh(config), config, CPU, None)
    stream = torch.Generator().manual_seed(7)
    states = [stream.get_state()]
    for x, y in batches(2):
        learner.learn(x, y, 0.05, stream)
        states.append(stream.get_state())
    assert not torch.equal(states[0], states[1])
    assert not torch.equal(states[1], states[2])
    assert torch.equal(torch.get_rng_state(), outer)
