"""Forward passes against a naive implementation in NumPy, written from the paper's figures and a state dict.

Shapes: N images, C channels, H height, W width, K classes.
"""

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from workloads.networks.build import build, initialise
from workloads.networks.configs import DFN, DFNIL, DFNMR, PATHS, Component, PathEnsemble, Plain, ResNet

SHAPE = {"classes": 5, "in_channels": 2, "input_size": 9, "width": 0.25}


def relu(x):
    return np.maximum(x, 0)


class Naive:
    """Layers by name from a state dict; batch statistics in training, running ones in evaluation."""

    def __init__(self, net, *, training):
        self.state = {key: value.detach().numpy().copy() for key, value in net.state_dict().items()}
        self.training = training
        self.stems = 0

    def layer(self, name, x_NCHW, *, stride=1, ends_in_relu=True):
        """conv - BN (- ReLU), the filter's side read off its weight."""
        weight = self.state[f"{name}.conv.weight"]
        side = weight.shape[2]
        pad = side // 2
        padded = np.pad(x_NCHW, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        windows = sliding_window_view(padded, (side, side), axis=(2, 3))[:, :, ::stride, ::stride]
        y = np.einsum("nchwij,kcij->nkhw", windows, weight)
        if self.training:
            mean, var = y.mean((0, 2, 3)), y.var((0, 2, 3))
        else:
            mean, var = self.state[f"{name}.bn.running_mean"], self.state[f"{name}.bn.running_var"]
        scale = self.state[f"{name}.bn.weight"] / np.sqrt(var + 2e-5)
        y = (y - mean[:, None, None]) * scale[:, None, None] + self.state[f"{name}.bn.bias"][:, None, None]
        return relu(y) if ends_in_relu else y

    def row(self, name, x, *, stride=1, ends_in_relu=True):
        """A chain of as many layers as the state dict holds under a name."""
        count = sum(1 for key in self.state if key.startswith(f"{name}.") and key.endswith("conv.weight"))
        assert count > 0
        for i in range(count):
            last = i == count - 1
            x = self.layer(
                f"{name}.{i}", x, stride=stride if i == 0 else 1, ends_in_relu=ends_in_relu or not last
            )
        return x

    def short(self, name, x, *, stride):
        if stride == 1:
            assert f"{name}.conv.weight" not in self.state
            return x
        return self.layer(name, x, stride=2, ends_in_relu=False)

    def stem(self, x):
        self.stems += 1
        return self.layer("stem", x)

    def head(self, x):
        return x.mean((2, 3)) @ self.state["head.fc.weight"].T + self.state["head.fc.bias"]


def plain(naive, config, x):
    x = naive.stem(x)
    for group in range(3):
        x = naive.row(f"groups.{group}", x, stride=2 if group else 1)
    return naive.head(x)


def resnet(naive, config, x):
    x = naive.stem(x)
    for group in range(3):
        for unit in range(config.units):
            stride = 2 if group and unit == 0 else 1
            name = f"groups.{group}.{unit}.branches"
            branch = naive.row(f"{name}.1", x, stride=stride, ends_in_relu=False)
            x = relu(naive.short(f"{name}.0", x, stride=stride) + branch)
    return naive.head(x)


def dfn(naive, config, x):
    x = naive.stem(x)
    for group in range(3):
        stride = 2 if group else 1
        name = f"groups.{group}"
        left = naive.layer(f"{name}.0.branches.0", x, stride=stride, ends_in_relu=False)
        x = relu(left + naive.row(f"{name}.0.branches.1", x, stride=stride, ends_in_relu=False))
        if config.fusions == 6:
            x = relu(x + naive.row(f"{name}.1.branches.1", x, ends_in_relu=False))
    return naive.head(x)


def tandem(naive, config, x):
    """Figure 1(b): nothing shared between the paths but weights, so the stem is computed for each of 8."""

    def fused(blocks):
        if blocks == 0:
            return naive.stem(x)
        stride = 2 if blocks > 1 else 1
        name = f"groups.{blocks - 1}.0.branches"
        left = naive.layer(f"{name}.0", fused(blocks - 1), stride=stride, ends_in_relu=False)
        return relu(left + naive.row(f"{name}.1", fused(blocks - 1), stride=stride, ends_in_relu=False))

    logits = naive.head(fused(3))
    assert naive.stems == 8
    return logits


def dfn_il(naive, config, x):
    x = naive.stem(x)
    for group in range(3):
        for unit in range(config.units):
            stride = 2 if group and unit == 0 else 1
            name = f"groups.{group}.{unit}.branches"
            x = relu(
                naive.short(f"{name}.0", x, stride=stride)
                + naive.row(f"{name}.1", x, stride=stride, ends_in_relu=False)
                + naive.row(f"{name}.2", x, stride=stride, ends_in_relu=False)
            )
    return naive.head(x)


def dfn_mr(naive, config, x):
    a = b = naive.stem(x)
    total = 3 * config.units
    for unit in range(total):
        stride = 2 if unit in (config.units, 2 * config.units) else 1
        name = f"units.{unit}"
        line_a = naive.short(f"{name}.short_a", a, stride=stride)
        line_b = naive.short(f"{name}.short_b", b, stride=stride)
        merged = (line_a + line_b) / 2
        deep_a = naive.row(f"{name}.branch_a", a, stride=stride, ends_in_relu=False)
        deep_b = naive.row(f"{name}.branch_b", b, stride=stride, ends_in_relu=False)
        if unit == total - 1:
            return naive.head(relu(merged + deep_a + deep_b))
        a, b = relu(merged + deep_a), relu(merged + deep_b)
    raise AssertionError


CASES = [
    (plain, Plain(depth=8, **SHAPE)),
    (plain, Component(depth=11, path="RLR", **SHAPE)),
    (resnet, ResNet(depth=8, **SHAPE)),
    (resnet, ResNet(depth=20, **SHAPE)),
    (dfn, DFN(depth=11, fusions=3, **SHAPE)),
    (dfn, DFN(depth=14, fusions=6, **SHAPE)),
    (tandem, DFN(depth=11, fusions=3, **SHAPE)),
    (dfn_il, DFNIL(depth=14, **SHAPE)),
    (dfn_mr, DFNMR(depth=8, **SHAPE)),
    (dfn_mr, DFNMR(depth=14, **SHAPE)),
]


def perturbed(config):
    """A network in float64 whose every parameter and statistic is off its initial value."""
    generator = torch.Generator().manual_seed(5)
    net = build(config).double()
    initialise(net, generator)
    with torch.no_grad():
        for key, value in net.state_dict().items():
            if not value.is_floating_point() or "conv" in key:
                continue
            value += 0.3 * torch.rand(value.shape, generator=generator, dtype=value.dtype)
    return net


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize(("naive", "config"), CASES, ids=[f"{n.__name__}-{c.depth}" for n, c in CASES])
def test_forward_equals_the_naive_form(naive, config, training) -> None:
    net = perturbed(config).train(training)
    generator = torch.Generator().manual_seed(6)
    x_NCHW = torch.randn(4, 2, 9, 9, generator=generator, dtype=torch.float64)
    reference = naive(Naive(net, training=training), config, x_NCHW.numpy())
    logits_NK = net(x_NCHW).detach().numpy()
    assert logits_NK.shape == (4, 5)
    assert np.ptp(logits_NK, axis=0).min() > 1e-3
    np.testing.assert_allclose(logits_NK, reference, rtol=0, atol=1e-12 * np.abs(reference).max())


SMALL = {"classes": 10, "in_channels": 1, "input_size": 8, "width": 0.5}


@pytest.mark.parametrize(
    "config",
    [
        Plain(depth=14, **SMALL),
        ResNet(depth=14, **SMALL),
        DFN(depth=14, **SMALL),
        DFN(depth=14, fusions=6, **SMALL),
        Component(depth=14, path="LRL", **SMALL),
        PathEnsemble(depth=14, **SMALL),
        DFNIL(depth=14, **SMALL),
        DFNMR(depth=14, **SMALL),
    ],
    ids=lambda config: config.name,
)
def test_small_grey_images_end_as_two_by_two(config) -> None:
    net = build(config)
    initialise(net, torch.Generator().manual_seed(0))
    seen = []
    net.head.register_forward_pre_hook(lambda _, arguments: seen.append(tuple(arguments[0].shape)))
    logits = net(torch.rand(3, 1, 8, 8))
    assert set(seen) == {(3, 32, 2, 2)}
    assert logits.shape == ((8, 3, 10) if config.name == "path_ensemble" else (3, 10))
    assert torch.isfinite(logits).all()
    logits.sum().backward()
    unused = [name for name, parameter in net.named_parameters() if parameter.grad is None]
    assert unused == []


def test_a_deepest_component_is_a_plain_net_to_the_bit() -> None:
    component, alone = build(Component(depth=14, **SMALL)), build(Plain(depth=14, **SMALL))
    for net in (component, alone):
        initialise(net, torch.Generator().manual_seed(1))
    x_NCHW = torch.rand(3, 1, 8, 8)
    assert torch.equal(component(x_NCHW), alone(x_NCHW))
    assert len(PATHS) == 8


def test_the_constants_of_batch_normalisation_arrive() -> None:
    for config in (
        ResNet(bn_eps=1e-3, bn_momentum=0.4, **SMALL),
        DFNMR(bn_eps=1e-3, bn_momentum=0.4, **SMALL),
    ):
        norms = [part for part in build(config).modules() if isinstance(part, torch.nn.BatchNorm2d)]
        assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.4)}


@pytest.mark.parametrize("key", ["classes", "in_channels"])
def test_build_wants_a_filled_configuration(key) -> None:
    with pytest.raises(ValueError, match=rf"network\.{key} is not set"):
        build(Plain(**{**SMALL, key: None}))
