"""Initial weights: their distribution, and what they depend on."""

import math

import pytest
import torch
from scipy import stats

from workloads.initialisation import Normal, Orthogonal, Xavier
from workloads.networks.build import build, initialise
from workloads.networks.configs import DFNMR, PathEnsemble, ResNet

SHAPE = {"classes": 10, "in_channels": 3, "input_size": 32}


@pytest.fixture(scope="module")
def net():
    made = build(ResNet(depth=20, width=2, **SHAPE))
    initialise(made, torch.Generator().manual_seed(0))
    return made


def test_convolutions_are_he_normal(net) -> None:
    tested = 0
    for part in net.modules():
        if isinstance(part, torch.nn.Conv2d):
            fan_in = part.in_channels * part.kernel_size[0] ** 2
            drawn = part.weight.detach().double().numpy().ravel()
            scaled = drawn / math.sqrt(2 / fan_in)
            assert stats.kstest(scaled, "norm").pvalue > 1e-4
            tested += 1
    assert tested == 19 + 2


def test_the_last_layer_is_uniform(net) -> None:
    fc = net.head.fc
    bound = 1 / math.sqrt(128)
    scaled = (fc.weight.detach().double().numpy().ravel() / bound + 1) / 2
    assert stats.kstest(scaled, "uniform").pvalue > 1e-4
    assert fc.weight.abs().max() <= bound
    assert fc.bias.abs().max() == 0


def _fresh(config, seed, before=0):
    torch.manual_seed(before)
    made = build(config)
    initialise(made, torch.Generator().manual_seed(seed))
    return made.state_dict()


CONFIGS = [ResNet(depth=14, **SHAPE), DFNMR(depth=8, **SHAPE), PathEnsemble(depth=8, **SHAPE)]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_the_generator_decides_alone(config) -> None:
    one, same, other = _fresh(config, 1), _fresh(config, 1, before=7), _fresh(config, 2)
    assert all(torch.equal(one[key], same[key]) for key in one)
    drawn = [key for key in one if "conv" in key or key == "head.fc.weight"]
    assert drawn
    assert all(not torch.equal(one[key], other[key]) for key in drawn)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_a_used_network_becomes_fresh_again(config) -> None:
    made = build(config)
    made.train()(torch.rand(4, 3, 32, 32))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(1.0)
    initialise(made, torch.Generator().manual_seed(1))
    fresh = _fresh(config, 1)
    for key, value in made.state_dict().items():
        assert torch.equal(value, fresh[key]), key


def test_precision_does_not_change_the_draws() -> None:
    config = CONFIGS[0]
    double = build(config).double()
    initialise(double, torch.Generator().manual_seed(1))
    for key, value in _fresh(config, 1).items():
        assert torch.equal(double.state_dict()[key].to(value.dtype), value)


def test_building_and_initialising_leave_the_global_random_state() -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    _ = build(CONFIGS[0])
    made = build(CONFIGS[2])
    initialise(made, torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_scales_one_shifts_zero() -> None:
    for config in CONFIGS:
        state = _fresh(config, 3)
        norms = [key for key in state if key.endswith(("bn.weight", ".bias"))]
        shared = [key for key in state if ".layers." in key and key.count(".weight") and "conv" not in key]
        for key in norms + shared:
            expected = 1.0 if key.endswith("weight") else 0.0
            assert torch.equal(state[key], torch.full_like(state[key], expected)), key


SCHEMES = [
    (Xavier(), lambda w: math.sqrt(3 / w[0].numel())),
    (Xavier(form="both"), lambda w: math.sqrt(6 / ((w.shape[0] + w.shape[1]) * w[0, 0].numel()))),
]


@pytest.mark.parametrize(("scheme", "bound"), SCHEMES, ids=["caffe", "both"])
def test_xavier_is_uniform_in_every_layer(scheme, bound) -> None:
    made = build(ResNet(depth=20, width=2, **SHAPE))
    initialise(made, torch.Generator().manual_seed(0), scheme)
    weights = [part.weight for part in made.modules() if isinstance(part, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(weights) == 19 + 2 + 1
    for weight in weights:
        scaled = (weight.detach().double().numpy().ravel() / bound(weight) + 1) / 2
        assert stats.kstest(scaled, "uniform").pvalue > 1e-4


def test_normal_has_one_deviation_for_every_shape() -> None:
    made = build(ResNet(depth=20, width=2, **SHAPE))
    initialise(made, torch.Generator().manual_seed(0), Normal(std=1e-8, head=True))
    weights = [part.weight for part in made.modules() if isinstance(part, torch.nn.Conv2d | torch.nn.Linear)]
    for weight in weights:
        assert stats.kstest(weight.detach().double().numpy().ravel() / 1e-8, "norm").pvalue > 1e-4
    initialise(made, torch.Generator().manual_seed(0), Normal(std=0))
    largest = [float(weight.detach().abs().max()) for weight in weights]
    assert not any(largest[:-1])
    assert 0 < largest[-1] <= 1 / math.sqrt(128)  # the head stays as under he


def test_orthogonal_filters_times_a_gain() -> None:
    made = build(ResNet(depth=14, width=2, **SHAPE))
    initialise(made, torch.Generator().manual_seed(0), Orthogonal(gain=3.0))
    tested = 0
    for part in made.modules():
        if isinstance(part, torch.nn.Conv2d):
            rows = part.weight.detach().double().flatten(1)
            product = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
            assert torch.allclose(product, 9 * torch.eye(len(product), dtype=torch.float64), atol=1e-4)
            tested += 1
    assert tested == 13 + 2


@pytest.mark.parametrize("scheme", [Xavier(), Normal(head=True), Orthogonal(head=True)], ids=lambda s: s.name)
def test_every_scheme_follows_its_generator_alone(scheme) -> None:
    def drawn(seed):
        made = build(CONFIGS[0])
        torch.manual_seed(seed + 100)
        initialise(made, torch.Generator().manual_seed(seed), scheme)
        return made.state_dict()

    one, same, other = drawn(1), drawn(1), drawn(2)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["head.fc.weight"], other["head.fc.weight"])
    assert not torch.equal(one["stem.conv.weight"], other["stem.conv.weight"])
