"""Modules that a mini-batch trains: exactly so many, or each with its probability; gates at a half."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from workloads import streams
from workloads.networks.build import build, initialise
from workloads.networks.configs import Highway, Network, PreActResNet
from workloads.networks.drawn import Drawn
from workloads.networks.preact import PreActNet


def on(config: Network) -> Any:
    return replace(config, classes=10, in_channels=1, input_size=8)


def net_of(config: PreActResNet) -> PreActNet:
    net = build(on(config))
    assert isinstance(net, PreActNet)
    assert isinstance(net, Drawn)
    return net


def test_exactly_23_of_54_modules_a_batch() -> None:
    net = net_of(PreActResNet(modules_per_batch=23, width=0.0625))
    generator = torch.Generator().manual_seed(0)
    trained = torch.zeros(54)
    for _ in range(2_000):
        net.draw(generator)
        assert len(net.dropped) == 31
        trained += torch.tensor([i not in net.dropped for i in range(54)])
    expected = 2_000 * 23 / 54
    deviation = math.sqrt(2_000 * 23 / 54 * 31 / 54)
    assert (trained - expected).abs().max() < 4.5 * deviation


def test_survival_falls_linearly_to_its_last_value() -> None:
    net = net_of(PreActResNet(depth=32, width=0.0625, survival=0.5))
    generator = torch.Generator().manual_seed(0)
    kept = torch.zeros(15)
    for _ in range(10_000):
        net.draw(generator)
        kept += torch.tensor([i not in net.dropped for i in range(15)])
    for i in range(15):
        probability = 1 - (i + 1) / 15 * 0.5
        assert abs(kept[i] / 10_000 - probability) < 4.5 * math.sqrt(probability * (1 - probability) / 10_000)


def test_a_draw_decides_the_training_pass_alone() -> None:
    net = net_of(PreActResNet(depth=14, width=0.25, survival=0.2)).double()
    initialise(net, streams.generator("initialisation", 0))
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    while not net.dropped:
        net.draw(generator)
    dropped = net.dropped
    trained = net.train()(x)
    unsampled = net_of(PreActResNet(depth=14, width=0.25)).double()
    initialise(unsampled, streams.generator("initialisation", 0))
    torch.testing.assert_close(trained, unsampled.train()(x, deleted=dropped), rtol=0, atol=1e-12)
    tested = net.eval()(x)
    net.draw(generator)
    torch.testing.assert_close(net(x), tested, rtol=0, atol=0)


def test_tests_scale_branches_by_their_survival() -> None:
    net = net_of(PreActResNet(depth=8, width=0.25, survival=0.5)).double().eval()
    plain = net_of(PreActResNet(depth=8, width=0.25)).double().eval()
    initialise(net, streams.generator("initialisation", 0))
    plain.load_state_dict(net.state_dict())
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    for i, module in enumerate(plain.residual_modules):
        with torch.no_grad():
            last = module.get_submodule("convs.1")
            assert isinstance(last, torch.nn.Conv2d)
            last.weight.mul_(1 - (i + 1) / 3 * 0.5)
    torch.testing.assert_close(net(x), plain(x), rtol=0, atol=1e-12)


def test_a_share_of_modules_is_rescaled_only_when_asked() -> None:
    config = PreActResNet(depth=14, width=0.25, modules_per_batch=3)
    x = torch.randn(2, 1, 8, 8)
    outputs = []
    for each in (replace(config, modules_per_batch=None), config, replace(config, rescale=True)):
        net = net_of(each).eval()
        initialise(net, streams.generator("initialisation", 0))
        outputs.append(net(x))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[1], outputs[2])


def test_a_highway_with_gates_at_a_half_is_a_residual_network_at_half_scale() -> None:
    """Veit et al., section 3: with t = 0.5 a highway network is a residual one."""
    highway = build(on(Highway(depth=8, width=0.5, gate_bias=0.0))).double()
    residual = net_of(PreActResNet(depth=8, width=0.5)).double()
    initialise(highway, streams.generator("initialisation", 0))
    with torch.no_grad():
        for name, value in highway.named_parameters():
            if "gate" in name:
                value.zero_()
    found = residual.load_state_dict(highway.state_dict(), strict=False)
    assert not found.missing_keys
    assert all("gate" in key for key in found.unexpected_keys)
    x = torch.randn(8, 1, 8, 8, dtype=torch.float64)
    # normalisation takes the scale out again, but for its small constant
    torch.testing.assert_close(highway.train()(x), residual.train()(x), rtol=0, atol=1e-2)
