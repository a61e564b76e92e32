"""Lesions and paths against slow references: weights zeroed, paths enumerated, pairs counted by hand."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from workloads import streams, training
from workloads.api import Condition, Placement
from workloads.classification import WORKLOAD
from workloads.configs import TrainConfig, canonical
from workloads.data import sets
from workloads.data.configs import Digits
from workloads.evaluations import lesions, paths
from workloads.families import FAMILIES
from workloads.networks.build import build, initialise
from workloads.networks.configs import VGG15, PreActResNet, ResNet
from workloads.schedules import OneCycle

DEPTH = 14  # six modules, two a stage; modules 2 and 4 change channels
RECIPE: dict[str, Any] = {"epochs": 1, "batch_size": 128, "schedule": OneCycle()}


def net_of(shortcut: Any = "B", *, survival: float | None = None) -> Any:
    """A small network in double precision whose statistics are not those of its initialisation."""
    config = PreActResNet(
        depth=DEPTH, width=0.25, classes=10, in_channels=1, input_size=8, shortcut=shortcut, survival=survival
    )
    net = build(config).double()
    initialise(net, streams.generator("initialisation", 0))
    random = torch.Generator().manual_seed(1)
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_(generator=random)
            part.running_var.uniform_(0.5, 2, generator=random)
    return net.eval()


def images() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(2)
    return torch.randn(5, 1, 8, 8, generator=random, dtype=torch.float64), torch.arange(5)


# --- paths ------------------------------------------------------------------------------------------


def test_share_of_the_papers_network() -> None:
    """Veit et al.: paths of 5 to 17 of 54 modules are 0.45 % of all, those of 19 to 35 more than 95 %."""
    assert sum(paths.share(54, length) for length in range(5, 18)) == pytest.approx(0.004537, abs=5e-7)
    assert sum(paths.share(54, length) for length in range(19, 36)) == pytest.approx(0.9802, abs=5e-5)
    assert math.fsum(paths.share(54, length) for length in range(55)) == pytest.approx(1, abs=1e-15)


def test_shares_are_those_of_enumerated_paths() -> None:
    all_paths = list(itertools.product([False, True], repeat=6))
    lengths = Counter(sum(path) for path in all_paths)
    deleted = {1, 4}
    left = Counter(sum(path) for path in all_paths if not any(path[each] for each in deleted))
    for length in range(7):
        assert paths.share(6, length) == lengths[length] / 64
        assert paths.remaining(6, 2, length) == left[length] / lengths[length]


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_gradients_of_all_single_paths_sum_to_the_whole_gradient(shortcut: str) -> None:
    net = net_of(shortcut)
    x, y = images()

    def gradient(logits: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(functional.cross_entropy(logits, y), at)[0]

    whole_at = x.clone().requires_grad_()
    whole = gradient(net(whole_at), whole_at)
    total = torch.zeros_like(x)
    for taken in itertools.product([False, True], repeat=6):
        at = x.clone().requires_grad_()
        logits = paths.restricted(net, at, taken)
        torch.testing.assert_close(logits, net(x), rtol=0, atol=1e-12)  # the forward pass is the whole one
        total += gradient(logits, at)
    torch.testing.assert_close(total, whole, rtol=0, atol=1e-13)
    assert whole.norm() > 1e-3


# --- deletion ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.parametrize("survival", [None, 0.5])
@pytest.mark.parametrize("module", range(6))
def test_deleting_a_module_is_zeroing_its_last_convolution(
    shortcut: str, survival: float | None, module: int
) -> None:
    """The projection at a change of channels, and the normalisation that feeds it, stay."""
    net = net_of(shortcut, survival=survival)
    x, _ = images()
    deleted = net(x, deleted=[module])
    whole = net(x)
    last = [part for part in net.residual_modules[module].modules() if is_3x3(part)][-1]
    torch.nn.init.zeros_(last.weight)
    torch.testing.assert_close(deleted, net(x), rtol=0, atol=1e-12)
    assert (deleted - whole).abs().max() > 1e-6


def is_3x3(part: torch.nn.Module) -> bool:
    return isinstance(part, torch.nn.Conv2d) and part.kernel_size == (3, 3)


def test_vgg_without_a_layer_is_the_net_that_lacks_it() -> None:
    config = VGG15(width=0.125, classes=10, in_channels=1, input_size=32)
    net = build(config).double().eval()
    x = torch.randn(2, 1, 32, 32, dtype=torch.float64)
    assert 0 not in config.deletable  # nothing else turns one channel into sixteen
    for layer in config.deletable:
        shorter = build(config).double().eval()
        shorter.load_state_dict(net.state_dict())
        layers = shorter.get_submodule("layers")
        assert isinstance(layers, torch.nn.ModuleList)
        layers[layer] = torch.nn.Identity()
        torch.testing.assert_close(net(x, deleted=[layer]), shorter(x), rtol=0, atol=0)
        assert (shorter(x) - net(x)).abs().max() > 0


def test_swaps_stay_inside_a_stage_and_leave_the_changes_of_channels() -> None:
    config = PreActResNet(depth=32, width=0.25)  # five modules a stage; 5 and 10 change channels
    groups = config.interchangeable
    assert [list(group) for group in groups] == [[0, 1, 2, 3, 4], [6, 7, 8, 9], [11, 12, 13, 14]]
    pairs = 10 + 6 + 6
    orders = set()
    for seed in range(20):
        order = lesions.swapped(15, groups, 5, torch.Generator().manual_seed(seed))
        assert sorted(order) == list(range(15))
        assert order[5] == 5
        assert order[10] == 10
        for group in groups:
            assert {order[position] for position in group} == set(group)
        orders.add(tuple(order))
    assert len(orders) == 20
    # every pair once, in any order, undoes nothing twice: the parity is that of the number of pairs
    order = lesions.swapped(15, groups, pairs, torch.Generator().manual_seed(0))
    inversions = sum(order[a] > order[b] for a, b in itertools.combinations(range(15), 2))
    assert inversions % 2 == pairs % 2
    with pytest.raises(ValueError, match="22 pairs"):
        lesions.swapped(15, groups, pairs + 1, torch.Generator())


# --- through the workload ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preact") / "net"
    folder.mkdir()
    config = TrainConfig(network=PreActResNet(depth=DEPTH, width=0.25), **RECIPE)
    for report in training.train(config, seeds=[0], data=Path("nowhere"), resume={}, placement=Placement()):
        last = report
    assert last.save is not None
    last.save(folder)
    return folder


def measure(folder: Path, family: str, *, draw: int = 0, seed: int = 0, **parameters: int) -> list[Any]:
    condition = Condition(family=family, parameters=parameters, draw=draw, seed=seed)
    reports = WORKLOAD.evaluate([folder], [condition], data=Path("nowhere"), placement=Placement())
    found = [report for report in reports if report.metrics]
    assert all(set(report.metrics) <= set(FAMILIES[family].metrics) for report in found)
    assert all(set(report.coords) == set(FAMILIES[family].coords) for report in found)
    return found


def error_of(folder: Path, family: str, **options: int) -> float:
    (report,) = measure(folder, family, **options)
    return float(report.metrics["test_error"])


def test_nothing_deleted_is_the_network_itself(trained: Path) -> None:
    from workloads import predictions
    from workloads.evaluations.trained import Trained

    whole = Trained(trained, data=Path("nowhere"), device=torch.device("cpu"))
    loss, error = predictions.measure(whole.output().log_softmax(-1), whole.test.y_N)
    for family, parameters in (("delete_random", {"count": 0}), ("reorder", {"swaps": 0})):
        (report,) = measure(trained, family, **parameters)
        assert report.metrics["test_error"] == error
        assert report.metrics["test_loss"] == loss
    assert measure(trained, "reorder", swaps=0)[0].metrics["kendall_tau"] == 1


def test_one_random_deletion_is_one_of_the_single_deletions(trained: Path) -> None:
    singles = [measure(trained, "delete_one", module=each)[0].metrics for each in range(6)]
    draws = [measure(trained, "delete_random", count=1, draw=draw)[0].metrics for draw in range(12)]
    assert all(draw in singles for draw in draws)
    assert len({draw["test_loss"] for draw in draws}) > 1
    assert draws[3] == measure(trained, "delete_random", count=1, draw=3)[0].metrics
    assert len({error_of(trained, "delete_random", count=6, draw=draw) for draw in range(4)}) == 1


def test_kendall_tau_is_that_of_counted_pairs(trained: Path) -> None:
    # at depth 14 a stage has two modules, of which two are free only in the first: one pair, swapped
    (report,) = measure(trained, "reorder", swaps=1)
    # free modules in order: 0 1 3 5 -> 1 0 3 5: one of six pairs is discordant
    assert report.metrics["kendall_tau"] == pytest.approx((5 - 1) / 6)


def test_effective_paths_are_shares_of_the_whole(trained: Path) -> None:
    found = measure(trained, "effective_paths", samples=4, batch_size=32)
    assert [report.coords["length"] for report in found] == list(range(7))
    assert math.fsum(report.metrics["gradient_share"] for report in found) == pytest.approx(1)
    totals = [report.metrics["path_share"] * report.metrics["gradient_norm"] for report in found]
    for report, total in zip(found, totals, strict=True):
        assert report.metrics["gradient_share"] == pytest.approx(total / math.fsum(totals))
        assert report.metrics["path_share"] == paths.share(6, report.coords["length"])


def test_the_longest_path_and_the_shortest_have_one_gradient(trained: Path) -> None:
    """All samples of length 0 or n take the same path, so with the whole training set as batch they agree."""
    size = len(sets.load(Digits(), Path("nowhere"), torch.device("cpu")).train)
    for length in (0, 6):
        norms = [
            measure(trained, "path_gradient", length=length, samples=1, batch_size=size, draw=draw)[0].metrics
            for draw in range(2)
        ]
        assert norms[0]["gradient_norm"] == pytest.approx(norms[1]["gradient_norm"], rel=1e-4)
        assert norms[0]["gradient_norm"] > 0
    assert len(measure(trained, "path_lengths")) == 7
    assert [each.metrics["remaining_share"] for each in measure(trained, "remaining_paths", deleted=6)] == [
        1.0,
        *[0.0] * 6,
    ]


@pytest.mark.parametrize(
    ("family", "parameters", "named"),
    [
        ("delete_one", {"module": 6}, "module 6"),
        ("delete_random", {"count": 7}, "count 7"),
        ("reorder", {"swaps": 2}, "swaps 2"),
        ("path_gradient", {"length": 7}, "length 7"),
        ("remaining_paths", {"deleted": 7}, "deleted 7"),
    ],
)
def test_what_a_network_does_not_have_is_known_while_planning(
    family: str, parameters: dict[str, int], named: str
) -> None:
    config = TrainConfig(network=PreActResNet(depth=DEPTH))
    reason = FAMILIES[family].unsuited(config, FAMILIES[family].parameters(**parameters))
    assert reason is not None
    assert named in reason
    fewer = {name: value - 1 for name, value in parameters.items()}
    assert FAMILIES[family].unsuited(config, FAMILIES[family].parameters(**fewer)) is None
    assert FAMILIES[family].unsuited(TrainConfig(), FAMILIES[family].parameters(**fewer)) is not None


# --- depths of ways, in layers ----------------------------------------------------------------------


def test_depths_of_ways_are_those_of_a_hand_count(tmp_path: Path) -> None:
    """A residual net of 8 layers: stem and last layer; a unit of 2 or 0, two units of 2 or 1 (projection)."""
    assert paths.depth_shares({2: 1, 4: 3, 6: 3, 8: 1}) == {2: 1 / 8, 4: 3 / 8, 6: 3 / 8, 8: 1 / 8}
    config = canonical(TrainConfig(network=ResNet(plain_depth=8, width=0.25), epochs=1))
    cpu = torch.device("cpu")
    untrained = training.Training(config, 0, sets.load(config.data, tmp_path, cpu), cpu)
    (tmp_path / "one").mkdir()
    untrained.save(tmp_path / "one")
    reports = list(
        WORKLOAD.evaluate(
            [tmp_path / "one"],
            [Condition(family="path_depths", parameters={}, seed=0)],
            data=tmp_path,
            placement=Placement(),
        )
    )
    shares = {report.coords["depth"]: report.metrics["path_share"] for report in reports[:-1]}
    assert shares == {4: 1 / 8, 5: 2 / 8, 6: 2 / 8, 7: 2 / 8, 8: 1 / 8}
    assert reports[-1].metrics == {"mean_depth": 6.0, "std_depth": pytest.approx(math.sqrt(1.5))}
    assert reports[-1].coords == {}
