"""Folded chains against the nets they come from, scalings against hand counts, both through the workload."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from workloads import predictions, streams, training
from workloads.api import Condition, Placement
from workloads.classification import WORKLOAD
from workloads.configs import TrainConfig
from workloads.evaluations import folded
from workloads.evaluations.trained import Trained
from workloads.families import FAMILIES
from workloads.initialisation import Normal
from workloads.networks.build import build, initialise
from workloads.networks.configs import DiracNet, DiracNetImageNet, Network, PlainDiracBaseline, ResNet
from workloads.networks.dirac import ChainNet
from workloads.networks.dirac_conv import DiracConv2d
from workloads.networks.folding import fold, fold_layer
from workloads.networks.scalings import scalings
from workloads.normalisation import Ghost, install
from workloads.schedules import OneCycle

CHAINS: list[Network] = [
    DiracNet(depth=16, width=0.5),
    DiracNet(depth=10, width=0.5, weight_norm=False),
    PlainDiracBaseline(depth=10, width=0.5, gamma="uniform"),
    DiracNetImageNet(depth=18, width=0.0625),
]


def chain_of(config: Network, *, size: int = 8) -> ChainNet:
    """A chain in double precision whose statistics, scales and scalings are not those of its beginning."""
    filled: Any = replace(config, classes=7, in_channels=2, input_size=size)
    net = build(filled).double()
    assert isinstance(net, ChainNet)
    initialise(net, streams.generator("initialisation", 0), Normal(std=1))
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in (*net.named_parameters(), *net.named_buffers()):
            if name.endswith("running_var"):
                value.uniform_(0.5, 2, generator=random)
            elif value.dim() == 1 and "passing" not in name:
                value.normal_(generator=random)
    return net.eval()


def images(size: int = 8) -> Tensor:
    return torch.randn(3, 2, size, size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def size_of(config: Network) -> int:
    return 64 if config.name.endswith("imagenet") else 8


# --- folding ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", CHAINS, ids=lambda each: each.name)
def test_a_folded_chain_has_the_nets_outputs(config: Network) -> None:
    net, x = chain_of(config, size=size_of(config)), images(size_of(config))
    expected = net(x)
    chain = fold(net)
    scale = float(expected.abs().max().detach())
    assert float((chain(x) - expected).abs().max().detach()) < 1e-13 * max(1, scale)
    # it would not be, had the statistics or the scalings been left out
    for key in ("running_mean", "running_var", "bn.bias", "bn.weight"):
        state = net.state_dict()
        other = chain_of(config, size=size_of(config))
        other.load_state_dict(
            {name: torch.ones_like(value) if key in name else value for name, value in state.items()}
        )
        assert float((fold(other)(x) - expected).abs().max().detach()) > 1e-6 * scale


@pytest.mark.parametrize("config", CHAINS, ids=lambda each: each.name)
def test_a_folded_chain_is_convolutions_and_relus(config: Network) -> None:
    """ReLU stays in front of each convolution that it feeds; a pooling may come between."""
    net = chain_of(config, size=size_of(config))
    chain = fold(net)
    kinds = [type(part) for part in chain if not isinstance(part, nn.MaxPool2d)]
    layers = sum(isinstance(part, nn.Conv2d) for part in net.modules())
    end = [nn.ReLU, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Linear]
    assert kinds == [nn.Conv2d] + [nn.ReLU, nn.Conv2d] * (layers - 1) + end
    assert sum(isinstance(part, nn.MaxPool2d) for part in chain) == sum(
        isinstance(part, nn.MaxPool2d) for part in net.modules()
    )
    assert all(part.bias is not None for part in chain if isinstance(part, nn.Conv2d))
    assert not any(isinstance(part, DiracConv2d | nn.BatchNorm2d) for part in chain.modules())
    assert not any(each.requires_grad for each in chain.parameters())
    # nothing is shared: what becomes of the net does not change the chain
    x = images(size_of(config))
    before = chain(x)
    with torch.no_grad():
        for each in net.parameters():
            each.zero_()
    assert torch.equal(chain(x), before)


def test_folding_a_layer_by_hand() -> None:
    """One channel, one tap: y = (w x - 3) 5 / sqrt(4) + 7 with w = a + b sign(W)."""
    conv = DiracConv2d(1, 1, 1, initial_a=2.0, initial_b=0.5).double()
    bn = nn.BatchNorm2d(1, eps=0.0).double()
    assert bn.running_mean is not None
    assert bn.running_var is not None
    with torch.no_grad():
        conv.weight.fill_(-11.0)
        bn.running_mean.fill_(3.0)
        bn.running_var.fill_(4.0)
        bn.weight.fill_(5.0)
        bn.bias.fill_(7.0)
    layer = fold_layer(conv, bn)
    assert layer.bias is not None
    assert layer.weight.item() == pytest.approx((2.0 - 0.5) * 2.5)
    assert layer.bias.item() == pytest.approx(7.0 - 3.0 * 2.5)


def test_a_layer_with_bias_stride_and_groups_folds() -> None:
    conv = nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2).double()
    bn = nn.BatchNorm2d(6).double().eval()
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for each in (bn.running_mean, bn.weight, bn.bias):
            assert each is not None
            each.normal_(generator=random)
    x = torch.randn(2, 4, 7, 7, generator=random, dtype=torch.float64)
    torch.testing.assert_close(fold_layer(conv, bn)(x), bn(conv(x)), rtol=0, atol=1e-13)


def test_single_precision_is_kept_and_ghost_statistics_fold() -> None:
    net = chain_of(DiracNet(depth=10, width=0.5)).float()
    install(net, Ghost(2))
    chain = fold(net)
    assert {each.dtype for each in chain.parameters()} == {torch.float32}
    x = images().float()
    torch.testing.assert_close(chain(x), net.eval()(x), rtol=1e-4, atol=1e-4)
    assert 0 < folded.largest_difference(net, images()) < 1e-11
    assert next(net.parameters()).dtype == torch.float32


# --- scalings ---------------------------------------------------------------------------------------


def test_scalings_by_hand() -> None:
    net = chain_of(DiracNet(depth=10, width=0.25))  # channels 4, 8, 16: two layers a group
    layers = [part.dirac for part in net.modules() if isinstance(part, DiracConv2d)]
    with torch.no_grad():
        for part in layers:
            assert part.a is not None
            assert part.b is not None
            part.a.fill_(2.0)
            part.b.fill_(0.5)
        third = layers[2]  # 4 inputs, 8 outputs: four planes have a delta
        assert third.a is not None
        assert third.b is not None
        third.a.copy_(torch.tensor([1.0, -1.0, 3.0, 5.0, 100.0, 100.0, 100.0, 100.0]))
        third.b.copy_(torch.tensor([0.05, -0.5, 0.02, 1.0, 0.0, 0.0, 0.0, 0.0]))
    found = scalings(net)
    assert [(each.layer, each.group) for each in found] == [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3)]
    assert (found[0].mean_a, found[0].std_a, found[0].mean_b, found[0].std_b) == (2.0, 0.0, 0.5, 0.0)
    assert found[2].mean_a == (1 - 1 + 3 + 5) / 4
    assert found[2].std_a == pytest.approx(math.sqrt((1 + 9 + 1 + 9) / 4))
    assert found[2].mean_b == pytest.approx(0.57 / 8)
    assert found[2].ratios == pytest.approx((0.05, 0.5, 0.02 / 3, 0.2))
    assert [found[2].degraded(each) for each in (0.001, 0.01, 0.1, 0.3, 1)] == [0, 0.25, 0.5, 0.75, 1]
    assert found[0].degraded(0.25) == 0  # 0.5 / 2 is not less


def test_scalings_of_other_networks() -> None:
    assert scalings(chain_of(PlainDiracBaseline(depth=10, width=0.25))) == []
    residual = build(ResNet(depth=8, width=0.25, classes=10, in_channels=1, input_size=8))
    assert scalings(residual) == []
    unnormalised = scalings(chain_of(DiracNet(depth=10, width=0.25, weight_norm=False)))
    assert len(unnormalised) == 6
    assert all(math.isnan(each.mean_b) and each.ratios == () for each in unnormalised)


# --- through the workload ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dirac") / "net"
    folder.mkdir()
    network = DiracNet(depth=10, width=0.25)
    config = TrainConfig(network=network, epochs=1, batch_size=128, schedule=OneCycle())
    for report in training.train(config, seeds=[0], data=Path("nowhere"), resume={}, placement=Placement()):
        last = report
    assert last.save is not None
    last.save(folder)
    return folder


def measure(folder: Path, family: str, **parameters: Any) -> list[Any]:
    condition = Condition(family=family, parameters=parameters, seed=0)
    reports = WORKLOAD.evaluate([folder], [condition], data=Path("nowhere"), placement=Placement())
    found = [report for report in reports if report.metrics]
    assert all(set(report.metrics) <= set(FAMILIES[family].metrics) for report in found)
    assert all(set(report.coords) == set(FAMILIES[family].coords) for report in found)
    return found


def test_scalings_of_a_trained_network(trained: Path) -> None:
    net = Trained(trained, data=Path("nowhere"), device=torch.device("cpu")).network
    found = measure(trained, "scalings", threshold=0.1)
    assert [report.coords for report in found] == [
        {"layer": layer, "group": layer // 2 + 1} for layer in range(6)
    ]
    for report, each in zip(found, scalings(net), strict=True):
        assert report.metrics["mean_a"] == each.mean_a != 1.0
        assert report.metrics["degraded_share"] == each.degraded(0.1)
    shares = [
        [each.metrics["degraded_share"] for each in measure(trained, "scalings", threshold=t)]
        for t in (1e-6, 1e6)
    ]
    assert shares == [[0.0] * 6, [1.0] * 6]


def test_a_trained_network_folded(trained: Path) -> None:
    whole = Trained(trained, data=Path("nowhere"), device=torch.device("cpu"))
    loss, error = predictions.measure(whole.output().log_softmax(-1), whole.test.y_N)
    (report,) = measure(trained, "folded", batch_size=32, repeats=3)
    assert report.metrics["test_error"] == error
    assert report.metrics["test_loss"] == pytest.approx(loss, rel=1e-4)
    assert 0 <= report.metrics["largest_difference"] < 1e-12
    assert report.metrics["log10_largest_difference"] < -12
    assert report.metrics["folded_seconds_per_image"] > 0
    assert report.metrics["seconds_per_image"] > 0


def test_seconds_are_medians_an_image(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which passes take 90 and 90 (to warm up), 4 and 2, 6 and 1, 50 and 3 seconds."""
    ticks = itertools.accumulate(
        itertools.chain.from_iterable((0, each) for each in (90, 90, 4, 2, 6, 1, 50, 3))
    )
    monkeypatch.setattr(folded, "_now", lambda device: float(next(ticks)))
    (report,) = measure(trained, "folded", batch_size=32, repeats=3)
    assert report.metrics["seconds_per_image"] == 6 / 32
    assert report.metrics["folded_seconds_per_image"] == 2 / 32


@pytest.mark.parametrize(
    ("family", "network", "said"),
    [
        ("scalings", ResNet(), "needs network.name diracnet or diracnet_imagenet, got resnet"),
        ("scalings", PlainDiracBaseline(), "got plain_dirac_baseline: it has no scalings a and b"),
        ("scalings", DiracNet(weight_norm=False), "needs network.weight_norm true"),
        ("folded", ResNet(), "got resnet: it cannot be folded"),
    ],
)
def test_what_has_no_scalings_is_known_while_planning(family: str, network: Any, said: str) -> None:
    parameters = FAMILIES[family].parameters()
    reason = FAMILIES[family].unsuited(TrainConfig(network=network), parameters)
    assert reason is not None
    assert said in reason


@pytest.mark.parametrize("family", ["scalings", "folded"])
@pytest.mark.parametrize("network", [DiracNet(), DiracNetImageNet()], ids=lambda each: each.name)
def test_what_has_scalings_is_allowed(family: str, network: Any) -> None:
    parameters = FAMILIES[family].parameters()
    assert FAMILIES[family].unsuited(TrainConfig(network=network), parameters) is None
    assert FAMILIES["folded"].unsuited(TrainConfig(network=PlainDiracBaseline()), parameters) is None


@pytest.mark.parametrize(
    ("family", "parameters", "said"),
    [
        ("scalings", {"threshold": 0}, "threshold: got 0, allowed is a finite number above 0"),
        ("folded", {"batch_size": 0}, "batch_size: got 0"),
        ("folded", {"repeats": 1.5}, "repeats: got 1.5"),
    ],
)
def test_refused(family: str, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FAMILIES[family].parameters(**parameters)
