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
from workloads.recipe import SGD, Decay
from workloads.schedules import (
    Constant,
    Cosine,
    Every,
    Length,
    Milestones,
    OneCycle,
    RemainingHalves,
    Schedule,
    Step,
    Warmup,
    described,
)
from workloads.sgd import FlatSGD


def torchs_groups(network: nn.Module, config: SGD) -> list[dict[str, object]]:
    """A parameter group for each parameter, after the words of `SGD.decay`."""
    groups: list[dict[str, object]] = []
    for name, parameter in network.named_parameters():
        spared = {
            "all": False,
            "filters": len(parameter.shape) == 1,
            "no_bias": name.endswith("bias"),
        }[config.decay]
        groups.append(
            {
                "params": [parameter],
                "weight_decay": 0.0 if spared else config.weight_decay,
                "rate": config.bias_rate if name.endswith("bias") else 1.0,
            }
        )
    return groups


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("decay", ["all", "filters", "no_bias"])
@pytest.mark.parametrize("bias_rate", [1.0, 2.0])
def test_flat_sgd_equals_torchs_bit_for_bit(
    momentum: float, nesterov: bool, weight_decay: float, channels_last: bool, decay: Decay, bias_rate: float
) -> None:
    if nesterov and not momentum:
        nesterov = False  # torch refuses the pair; ours then has nothing to look ahead along
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3))
    flat = copy.deepcopy(plain)
    if channels_last:
        plain = plain.to(memory_format=torch.channels_last)
    config = SGD(
        lr=1.0,
        momentum=momentum,
        nesterov=nesterov,
        weight_decay=weight_decay,
        decay=decay,
        bias_rate=bias_rate,
    )
    reference = torch.optim.SGD(torchs_groups(plain, config), lr=1.0, momentum=momentum, nesterov=nesterov)
    optimizer = FlatSGD(flat, config, channels_last=channels_last)
    assert flat[0].weight.is_contiguous(memory_format=torch.channels_last) is channels_last
    for step in range(5):
        x, lr = torch.randn(6, 2, 8, 8), 0.1 / (step + 1)
        reference.zero_grad()
        plain(x).square().mean().backward()
        for group in reference.param_groups:
            group["lr"] = lr * group["rate"]
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


MULTI = torch.optim.lr_scheduler.MultiStepLR


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
        (Milestones(epochs=(1, 3), factor=0.2), lambda o: MULTI(o, [10, 30], gamma=0.2)),
        (Milestones(steps=(7, 33, 99)), lambda o: MULTI(o, [7, 33, 99], gamma=0.1)),
        (Every(epochs=1, factor=0.5), lambda o: torch.optim.lr_scheduler.StepLR(o, 10, gamma=0.5)),
        (RemainingHalves(), lambda o: MULTI(o, [20, 30], gamma=0.1)),
        (Constant(), lambda o: MULTI(o, [])),
        (
            Milestones(steps=(30,), warmup=Warmup(steps=12, start=0.1)),
            lambda o: torch.optim.lr_scheduler.ChainedScheduler(
                [torch.optim.lr_scheduler.ConstantLR(o, 0.1, 12), MULTI(o, [30], gamma=0.1)]
            ),
        ),
        (
            Cosine(warmup=Warmup(form="linear", fraction=0.2, start=0.25)),
            lambda o: torch.optim.lr_scheduler.ChainedScheduler(
                [
                    torch.optim.lr_scheduler.LinearLR(o, 0.25, 1.0, 8),
                    torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS),
                ]
            ),
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


SHORT = [
    *(Step(), Cosine(), OneCycle(), RemainingHalves(), Every(), Constant()),
    *(Milestones(steps=(2,)), Step(warmup=Warmup(steps=9)), Step(warmup=Warmup(fraction=0.3, form="linear"))),
]


@pytest.mark.parametrize("schedule", SHORT)
@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_very_short_trainings_have_finite_rates(schedule: Schedule, steps: int) -> None:
    for step in range(steps):
        scale = schedule.scale(step, Length(epochs=1, epoch_steps=steps))
        assert 0 <= scale <= 1
        assert math.isfinite(scale)


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (400, [200, 300, 350, 375]),  # Larsson et al. on CIFAR
        (20, [10, 15, 17, 18]),  # and on SVHN: remaining 10, 5, 2.5, 1.25
        (8, [4, 6, 7]),
        (1, []),
    ],
)
def test_the_rate_falls_when_the_remaining_epochs_halve(epochs: int, expected: list[int]) -> None:
    drops = RemainingHalves().drops(Length(epochs=epochs, epoch_steps=7))
    assert list(drops) == [7 * each for each in expected]
    assert RemainingHalves().scale(7 * epochs - 1, Length(epochs=epochs, epoch_steps=7)) == pytest.approx(
        0.1 ** len(expected)
    )


def test_a_smaller_floor_lets_the_rate_fall_further() -> None:
    length = Length(epochs=400, epoch_steps=1)
    assert RemainingHalves(floor=1e-6).drops(length) == (200, 300, 350, 375, 387, 393)
    assert RemainingHalves(floor=1.0).drops(length) == ()


def test_a_schedule_says_where_it_falls() -> None:
    length = Length(epochs=10, epoch_steps=4)
    said = described(Milestones(epochs=(2, 60), warmup=Warmup(steps=3)), length)
    assert said == (
        "x0.1 after step 8 (epoch 2); 1 later than the last step 40: never; "
        "constant warm-up from x0.1 for 3 steps"
    )
    assert described(Step(at=(0.33,)), length) == "x0.1 after step 14 (epoch 3.5)"
    assert described(OneCycle(), length) == "one_cycle over 40 steps"
