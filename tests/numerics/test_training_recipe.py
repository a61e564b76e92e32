"""Optimizer and schedules against torch's own."""

from __future__ import annotations

import copy
import math
import warnings

import pytest
import torch
from torch import nn

from workloads.networks.build import build, initialise
from workloads.networks.configs import PathEnsemble
from workloads.recipe import SGD
from workloads.schedules import Cosine, Length, OneCycle, Schedule, Step
from workloads.sgd import FlatSGD


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
@pytest.mark.parametrize("channels_last", [False, True])
def test_flat_sgd_equals_torchs_bit_for_bit(
    momentum: float, nesterov: bool, weight_decay: float, channels_last: bool
) -> None:
    if nesterov and not momentum:
        nesterov = False  # torch refuses the pair; ours then has nothing to look ahead along
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3))
    flat = copy.deepcopy(plain)
    if channels_last:
        plain = plain.to(memory_format=torch.channels_last)
    reference = torch.optim.SGD(
        plain.parameters(), lr=1.0, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
    )
    config = SGD(lr=1.0, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
    optimizer = FlatSGD(flat, config, channels_last=channels_last)
    assert flat[0].weight.is_contiguous(memory_format=torch.channels_last) is channels_last
    for step in range(5):
        x, lr = torch.randn(6, 2, 8, 8), 0.1 / (step + 1)
        reference.zero_grad()
        plain(x).square().mean().backward()
        reference.param_groups[0]["lr"] = lr
        reference.step()
        optimizer.zero()
        flat(x).square().mean().backward()
        optimizer.step(lr)
        for name, value in plain.state_dict().items():
            assert torch.equal(value, flat.state_dict()[name]), (step, name)


def test_parameters_shared_between_members_are_updated_once() -> None:
    network = build(PathEnsemble(depth=8, width=0.125, classes=3, in_channels=1, input_size=8))
    initialise(network, torch.Generator().manual_seed(0))
    before = [each.detach().clone() for each in network.parameters()]
    optimizer = FlatSGD(network, SGD(lr=1.0, momentum=0.0, nesterov=False, weight_decay=0.0))
    optimizer.zero()
    network(torch.randn(4, 1, 8, 8)).square().mean().backward()
    gradients = [each.grad.clone() for each in network.parameters() if each.grad is not None]
    optimizer.step(0.5)
    assert len(gradients) == len(before)
    for each, value, gradient in zip(network.parameters(), before, gradients, strict=True):
        assert torch.equal(each, value - 0.5 * gradient)


def torch_rates(make: object, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make(optimizer)  # type: ignore[operator]
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch wants optimizer.step() in between
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            schedule.step()
    return rates


STEPS = 40


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        (
            Step(),
            lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [20, 30, 35], gamma=0.1),
        ),
        (
            Step(at=(0.25,), factor=0.5),
            lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [10], gamma=0.5),
        ),
        (Cosine(), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS)),
        (
            OneCycle(),
            lambda o: torch.optim.lr_scheduler.OneCycleLR(
                o, max_lr=1.0, total_steps=STEPS, cycle_momentum=False
            ),
        ),
        (
            OneCycle(warmup=0.15, start=0.1, end=0.01),
            lambda o: torch.optim.lr_scheduler.OneCycleLR(
                o,
                max_lr=1.0,
                total_steps=STEPS,
                pct_start=0.15,
                div_factor=10,
                final_div_factor=10,
                cycle_momentum=False,
            ),
        ),
    ],
)
def test_schedules_equal_torchs(schedule: Schedule, make: object) -> None:
    ours = [schedule.scale(step, Length(epochs=4, epoch_steps=STEPS // 4)) for step in range(STEPS)]
    assert ours == pytest.approx(torch_rates(make, STEPS), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("schedule", [Step(), Cosine(), OneCycle()])
@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_very_short_trainings_have_finite_rates(schedule: Schedule, steps: int) -> None:
    for step in range(steps):
        scale = schedule.scale(step, Length(epochs=1, epoch_steps=steps))
        assert 0 <= scale <= 1
        assert math.isfinite(scale)
