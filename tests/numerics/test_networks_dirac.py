"""DiracNets: exact counts, a slow copy of the chain, initial weights, weight decay, filters I + W."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workloads import streams
from workloads.initialisation import He, Normal, Orthogonal
from workloads.networks.build import build, initialise
from workloads.networks.configs import (
    WRN,
    DiracNet,
    DiracNetImageNet,
    DiracResNet,
    Network,
    PlainDiracBaseline,
    canonical,
)
from workloads.networks.describe import describe, path_lengths
from workloads.networks.dirac import UniformNorm
from workloads.networks.dirac_conv import DiracConv2d, filters
from workloads.recipe import SGD
from workloads.recipes import RECIPES
from workloads.sgd import rules


def on(config: Network, *, classes: int = 10, channels: int = 3, size: int = 32) -> Any:
    return replace(config, classes=classes, in_channels=channels, input_size=size)


def made(config: Network, scheme: Any = None, *, size: int = 8, channels: int = 3) -> Any:
    net = build(on(config, size=size, channels=channels)).double()
    initialise(net, streams.generator("initialisation", 0), scheme or He())
    return net


def images(*, size: int = 8, channels: int = 3, count: int = 4) -> Tensor:
    random = torch.Generator().manual_seed(2)
    return torch.randn(count, channels, size, size, generator=random, dtype=torch.float64)


def roughened(net: nn.Module) -> Any:
    """The network with running statistics, scales and scalings that are not those of its beginning."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in (*net.named_parameters(), *net.named_buffers()):
            if name.endswith("running_var"):
                value.uniform_(0.5, 2, generator=random)
            elif value.dim() == 1 and "passing" not in name:
                value.normal_(generator=random)
    return net


# --- counts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "classes", "count"),
    [
        (DiracNet(depth=28, width=5), 10, 9_124_250),
        (DiracNet(depth=28, width=10), 10, 36_450_090),
        (DiracNetImageNet(depth=18), 1000, 11_523_368),
        (DiracNetImageNet(depth=34), 1000, 21_638_952),
    ],
)
def test_counts_to_the_unit(config: Network, classes: int, count: int) -> None:
    size = 224 if config.name.endswith("imagenet") else 32
    assert describe(on(config, classes=classes, size=size))["parameters"] == count


@pytest.mark.parametrize("depth", [10, 28])
@pytest.mark.parametrize("width", [0.5, 3])
@pytest.mark.parametrize(("classes", "channels"), [(10, 3), (100, 1)])
def test_counts_follow_one_rule(depth: int, width: float, classes: int, channels: int) -> None:
    """Added up by hand: 9 weights, a, b, gamma and beta; b only with weight normalisation."""
    a, b, c = (int(each * width) for each in (16, 32, 64))
    n = (depth - 4) // 3
    weights = 9 * (channels * a + n * a**2 + a * b + (n - 1) * b**2 + b * c + (n - 1) * c**2)
    vectors = n * (a + b + c)
    rest = 2 * a + 2 * vectors + (c + 1) * classes

    def counted(config: Network) -> int:
        return describe(on(config, classes=classes, channels=channels))["parameters"]

    assert counted(DiracNet(depth=depth, width=width)) == weights + rest + 2 * vectors
    assert counted(DiracNet(depth=depth, width=width, weight_norm=False)) == weights + rest + vectors
    assert counted(PlainDiracBaseline(depth=depth, width=width)) == weights + rest
    assert counted(DiracResNet(depth=depth, width=width)) == counted(WRN(depth=depth, width=width))


@pytest.mark.parametrize("width", [0.25, 1])
@pytest.mark.parametrize(("depth", "units"), [(18, (2, 2, 2, 2)), (34, (3, 4, 6, 3))])
def test_imagenet_counts_follow_one_rule(width: float, depth: int, units: tuple[int, ...]) -> None:
    inputs = int(64 * width)
    total = inputs * (147 + 2)
    for group, count in enumerate(units):
        outputs = int(64 * width) * 2**group
        total += 9 * inputs * outputs + 4 * outputs + (2 * count - 1) * (9 * outputs**2 + 4 * outputs)
        inputs = outputs
    total += (inputs + 1) * 7
    config = on(DiracNetImageNet(depth=depth, width=width), classes=7, size=224)
    found = describe(config)
    assert found["parameters"] == total
    assert found["longest_path"] == depth


def test_a_chain_has_one_way_of_two_layers_less_than_its_name() -> None:
    for config in (DiracNet(depth=28), PlainDiracBaseline(depth=28)):
        assert path_lengths(on(config)) == {26: 1}


# --- the chain --------------------------------------------------------------------------------------


def slow_chain(net: nn.Module, x: Tensor, *, groups: tuple[int, ...], training: bool) -> Tensor:
    """Written out with functions from section 3 and the released code, by the names of the parameters."""
    state = dict(net.state_dict())

    def normal(y: Tensor, at: str) -> Tensor:
        if training:
            mean, variance = y.mean((0, 2, 3)), y.var((0, 2, 3), correction=0)
        else:
            mean, variance = state[f"{at}.running_mean"], state[f"{at}.running_var"]
        y = (y - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
        scale, shift = state[f"{at}.weight"], state[f"{at}.bias"]
        shaped: Tensor = y * scale[:, None, None] + shift[:, None, None]
        return shaped

    y = normal(F.conv2d(x, state["stem.0.conv.weight"], padding=1), "stem.0.bn").clamp(min=0)
    for group, count in enumerate(groups):
        if group:
            y = F.max_pool2d(y, 2)
        for position in range(count):
            at = f"groups.{group}.{position + bool(group)}"
            weight = state[f"{at}.conv.weight"]
            if f"{at}.conv.dirac.a" in state:
                eye = nn.init.dirac_(torch.empty_like(weight))
                a, b = (state[f"{at}.conv.dirac.{each}"][:, None, None, None] for each in "ab")
                weight = a * eye + b * F.normalize(weight.flatten(1)).view_as(weight)
            y = normal(F.conv2d(y.clamp(min=0), weight, padding=1), f"{at}.bn")
    logits: Tensor = y.clamp(min=0).mean((2, 3)) @ state["head.fc.weight"].T + state["head.fc.bias"]
    return logits


@pytest.mark.parametrize("kind", [DiracNet, PlainDiracBaseline])
@pytest.mark.parametrize("training", [True, False])
def test_the_chain_is_a_slow_one(kind: Any, training: bool) -> None:
    net = roughened(made(kind(depth=16, width=0.5))).train(training)
    expected = slow_chain(net, images(), groups=(4, 4, 4), training=training)
    torch.testing.assert_close(net(images()), expected, rtol=1e-12, atol=1e-12)


def test_the_plain_net_is_the_very_same_net() -> None:
    """With the Dirac filters for its weights it has the same outputs."""
    net, plain = (roughened(made(kind(depth=10, width=0.5))) for kind in (DiracNet, PlainDiracBaseline))
    state = {key: value for key, value in net.state_dict().items() if ".dirac." not in key}
    for name, part in net.named_modules():
        if isinstance(part, DiracConv2d):
            state[f"{name}.weight"] = filters(part).detach()
    plain.load_state_dict(state)
    for training in (True, False):
        torch.testing.assert_close(
            plain.train(training)(images()), net.train(training)(images()), rtol=1e-12, atol=1e-12
        )


def test_a_fresh_chain_of_deltas_hands_its_input_on() -> None:
    """With b = 0 and normalisation that does nothing, group 1 is the identity on its non-negative input."""
    net = made(DiracNet(depth=16, width=0.5, initial_b=0.0, bn_eps=1e-30)).eval()
    x = images(channels=8).abs()
    torch.testing.assert_close(net.groups[0](x.clone()), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("config", "size"),
    [(DiracNet(depth=28, width=10), 32), (PlainDiracBaseline(depth=100), 32), (DiracNetImageNet(), 224)],
    ids=lambda each: getattr(each, "name", str(each)),
)
def test_full_size_on_the_meta_device(config: Network, size: int) -> None:
    with torch.device("meta"):
        assert build(on(config, size=size))(torch.empty(2, 3, size, size)).shape == (2, 10)


@pytest.mark.parametrize(
    "config",
    [
        DiracNet(depth=10, width=0.5),
        DiracNet(depth=10, width=0.5, weight_norm=False, gamma="uniform"),
        PlainDiracBaseline(depth=10, width=0.5),
        DiracNetImageNet(depth=18, width=0.125),
        DiracResNet(depth=10, width=0.5),
        DiracResNet(depth=10, width=0.5, parameterised="branches"),
    ],
    ids=lambda each: each.name,
)
def test_forward_and_backward(config: Network) -> None:
    size = 64 if config.name.endswith("imagenet") else 16
    net = made(config, size=size, channels=1)
    logits = net(images(size=size, channels=1))
    assert logits.shape == (4, 10)
    logits.logsumexp(1).sum().backward()
    assert all(each.grad is not None and bool(each.grad.isfinite().all()) for each in net.parameters())


# --- initial weights and weight decay ---------------------------------------------------------------


def test_initial_weights_are_the_generators() -> None:
    config = on(DiracNet(depth=10, width=0.5, initial_a=0.7, gamma="uniform"))

    def state(seed: int, around: int) -> dict[str, Tensor]:
        torch.manual_seed(around)
        net = build(config)
        with torch.no_grad():
            for each in net.parameters():
                each.normal_()  # whatever was there before
        initialise(net, torch.Generator().manual_seed(seed), Normal(std=1))
        return net.state_dict()

    one, same, other = state(0, 1), state(0, 2), state(3, 1)
    assert all(torch.equal(one[key], same[key]) for key in one)
    moved = {key for key in one if not torch.equal(one[key], other[key])}
    assert moved == {key for key in one if key.endswith(("conv.weight", "bn.weight", "fc.weight"))}
    drawn = torch.cat([one[key].flatten() for key in one if key.endswith("conv.weight")])
    assert float(drawn.std()) == pytest.approx(1, abs=0.02)
    scales = torch.cat([one[key] for key in one if key.endswith("bn.weight")])
    assert 0 <= float(scales.min()) < 0.1
    assert 0.9 < float(scales.max()) <= 1
    assert all(bool((one[key] == 0.7).all()) for key in one if key.endswith("dirac.a"))
    assert all(bool((one[key] == 0.1).all()) for key in one if key.endswith("dirac.b"))
    assert not any("delta" in key or "passing" in key for key in one)


def test_scales_start_at_one_unless_the_released_code_is_asked_for() -> None:
    kinds: list[Any] = [DiracNet, PlainDiracBaseline]
    for kind in kinds:
        for gamma, drawn in (("one", False), ("uniform", True)):
            net = made(kind(depth=10, width=0.5, gamma=gamma))
            norms = [part for part in net.modules() if isinstance(part, nn.BatchNorm2d)]
            assert len(norms) == 7
            assert all(isinstance(part, UniformNorm) == drawn for part in norms)
            assert all(bool((part.weight == 1).all()) != drawn for part in norms)


def test_weight_decay_leaves_scalings_out() -> None:
    """Section 2: a and b are not regularised; the recipe's "filters" decays nothing of one dimension."""
    net = made(DiracNet(depth=10, width=0.5))
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    optimizer = RECIPES["zagoruyko2017"].optimizer
    assert isinstance(optimizer, SGD)
    decayed = {
        names[id(parameter)]
        for rule, parameters in rules(net, optimizer).items()
        for parameter in parameters
        if rule.decay == 5e-4
    }
    assert decayed == {name for name in names.values() if name.endswith(("conv.weight", "fc.weight"))}
    assert sum(name.endswith((".a", ".b")) for name in names.values()) == 12


# --- residual networks with filters I + W -----------------------------------------------------------


@pytest.mark.parametrize("width", [0.5, 1])
@pytest.mark.parametrize("parameterised", ["all", "branches"])
def test_dirac_resnet_is_the_wide_one_with_deltas_in_its_weights(width: float, parameterised: Any) -> None:
    config = DiracResNet(depth=16, width=width, parameterised=parameterised)
    net, wide = roughened(made(config)), roughened(made(WRN(depth=16, width=width)))
    state = net.state_dict()
    assert set(state) == set(wide.state_dict())
    plain = 0
    for key, value in state.items():
        if value.dim() == 4:
            if parameterised == "all" or ".convs." in key:
                state[key] = value + nn.init.dirac_(torch.empty_like(value))
            else:
                plain += 1
    assert plain == (0 if parameterised == "all" else 1 + len(config.downsampling))
    wide.load_state_dict(state)
    for training in (True, False):
        torch.testing.assert_close(
            wide.train(training)(images()), net.train(training)(images()), rtol=1e-12, atol=1e-12
        )


def gradients(net: nn.Module, *, channels: int) -> dict[str, Tensor]:
    net.train().zero_grad()
    logits = net(images(channels=channels, count=16))
    loss: Any = F.cross_entropy(logits, torch.arange(16) % 10)
    loss.backward()
    return {name: each.grad for name, each in net.named_parameters() if each.grad is not None}


@pytest.mark.parametrize("channels", [1, 3])
def test_zeros_leave_only_the_channels_of_the_image_alive(channels: int) -> None:
    """Why zeros fail (section 3.4): the deltas hand on the image's channels; every other one is 0, and as the
    slope of ReLU there is 0, it gets no gradient, at the first step as at any later one."""
    net = made(DiracResNet(depth=10), Normal(std=0), channels=channels)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(5):
        found = gradients(net, channels=channels)
        alive = 0
        for name, each in found.items():
            if each.dim() == 4:  # O I K K, beyond the image's channels of outputs and inputs
                dead = each.clone()
                dead[:channels, :channels] = 0
                assert float(dead.abs().max()) == 0, name
                alive += float(each.abs().max()) > 0
            elif ".bn" in name or name.startswith("bn"):
                assert float(each[channels:].abs().max()) == 0, name
        assert alive > 0
        optimizer.step()
    assert float(found["head.fc.weight"][:, channels:].abs().max()) == 0
    # the image's own channels do learn: it is a network of so few channels
    assert float(found["head.fc.weight"][:, :channels].abs().max()) > 0


def test_zeros_in_a_plain_stem_leave_the_last_bias_alone_alive() -> None:
    net = made(DiracResNet(depth=10, parameterised="branches"), Normal(std=0))
    found = gradients(net, channels=3)
    assert {name for name, each in found.items() if float(each.abs().max()) > 0} == {"head.fc.bias"}


@pytest.mark.parametrize("scheme", [Normal(std=1e-8), Orthogonal(gain=1e-4)], ids=lambda each: each.name)
def test_the_smallest_weights_break_the_symmetry(scheme: Any) -> None:
    net = made(DiracResNet(depth=10), scheme)
    found = gradients(net, channels=3)
    for name, each in found.items():
        if each.dim() == 4 and "projection" not in name:
            assert float(each[:, 3:].abs().max() if each.shape[1] > 3 else each[3:].abs().max()) > 0, name
    assert float(found["head.fc.weight"].abs().amin(1).max()) > 0


# --- configurations ---------------------------------------------------------------------------------


def test_without_weight_normalisation_b_means_nothing() -> None:
    plain = on(DiracNet(depth=10, weight_norm=False))
    assert canonical(on(DiracNet(depth=10, weight_norm=False, initial_b=3))) == plain
    for other in (DiracNet(depth=10, initial_b=3), DiracNet(depth=10, initial_a=3), DiracNet(depth=10)):
        assert canonical(on(other)) == on(other) != plain


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: DiracNet(depth=27), "4 plus a multiple of 6, .* nearest allowed: 22 and 28"),
        (lambda: PlainDiracBaseline(depth=12), "nearest allowed: 10 and 16"),
        (lambda: DiracResNet(depth=29), "nearest allowed: 28 and 34"),
        (lambda: DiracNetImageNet(depth=50), "18 or 34"),
        (lambda: DiracNet(gamma="two"), "'one' or 'uniform'"),  # type: ignore[arg-type]
        (lambda: DiracNet(weight_norm=1), "True or False"),  # type: ignore[arg-type]
        (lambda: DiracNet(initial_a=float("nan")), "initial_a must be a finite number"),
        (lambda: DiracNet(input_size=3), "input_size 3 is too small for 2 max poolings"),
        (lambda: DiracResNet(parameterised="stem"), "'all' or 'branches'"),  # type: ignore[arg-type]
    ],
)
def test_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
