"""Ghost batch statistics against copies of the network that see one chunk each."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from workloads.ghost import chunk_sizes, shares
from workloads.networks.build import build, initialise
from workloads.networks.configs import DFNMR, Network, PathEnsemble, PreActResNet, ResNet
from workloads.networks.outputs import cross_entropy_sum
from workloads.normalisation import Ghost, install, running_statistics

SHAPE = {"classes": 5, "in_channels": 2, "input_size": 8}
NETWORKS = [
    ResNet(depth=8, width=0.25, **SHAPE),
    DFNMR(depth=8, width=0.25, **SHAPE),
    PreActResNet(depth=8, width=0.25, **SHAPE),
    PathEnsemble(depth=8, width=0.25, members=("LLL", "RLR", "RRR"), **SHAPE),
]


@pytest.mark.parametrize(
    ("images", "ghost", "expected"),
    [
        (64, None, (64,)),
        (64, 32, (32, 32)),
        (64, 64, (64,)),
        (60, 32, (32, 28)),
        (65, 32, (32, 33)),  # one image has no variance
        (33, 32, (33,)),
        (34, 32, (32, 2)),
        (7, 32, (7,)),
        (1, 32, (1,)),
        (5, 2, (2, 3)),
    ],
)
def test_a_mini_batch_is_cut_into_chunks(images: int, ghost: int | None, expected: tuple[int, ...]) -> None:
    assert chunk_sizes(images, ghost) == expected


@pytest.mark.parametrize(
    ("images", "ghost", "ranks", "expected"),
    [
        (64, 32, 2, (32, 32)),
        (60, 32, 2, (32, 28)),
        (20, 32, 2, (20, 0)),
        (65, 32, 2, (32, 33)),
        (256, 32, 4, (64, 64, 64, 64)),
        (70, 32, 2, (64, 6)),
        (5, None, 2, (3, 2)),
        (1, None, 2, (1, 0)),
        (64, None, 3, (22, 22, 20)),
    ],
)
def test_ranks_take_whole_chunks(
    images: int, ghost: int | None, ranks: int, expected: tuple[int, ...]
) -> None:
    assert shares(images, ghost, ranks) == expected


@pytest.mark.parametrize("images", range(2, 140))
def test_ranks_chunks_are_the_mini_batchs(images: int) -> None:
    for ghost in (2, 3, 8, 32):
        for ranks in (2, 3, 4):
            cut = [
                each for share in shares(images, ghost, ranks) if share for each in chunk_sizes(share, ghost)
            ]
            assert tuple(cut) == chunk_sizes(images, ghost), (ghost, ranks)


def made(config: Network) -> nn.Module:
    network = build(config).double()
    initialise(network, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for each in network.parameters():
            each.add_(0.1 * torch.randn(each.shape, generator=torch.Generator().manual_seed(each.numel())))
    return network


@pytest.mark.parametrize("config", NETWORKS, ids=lambda config: config.name)
@pytest.mark.parametrize("images", [20, 16, 17, 5])
def test_chunks_have_statistics_of_their_own(config: Network, images: int) -> None:
    network = made(config)
    generator = torch.Generator().manual_seed(2)
    reference = copy.deepcopy(network)
    fast = copy.deepcopy(network)
    install(fast, Ghost(8))
    assert fast.state_dict().keys() == reference.state_dict().keys()
    for _ in range(2):  # the second step starts from running statistics that are no longer 0 and 1
        x = torch.randn(images, 2, 8, 8, generator=generator, dtype=torch.float64)
        y = torch.randint(0, 5, (images,), generator=generator)
        copies = [copy.deepcopy(reference) for _ in chunk_sizes(images, 8)]
        parts = torch.split(x, list(chunk_sizes(images, 8)))
        outputs = [each(part) for each, part in zip(copies, parts, strict=True)]
        slow = torch.cat(outputs, dim=-2)
        cross_entropy_sum(slow, y).backward()
        output = fast(x)
        cross_entropy_sum(output, y).backward()
        assert torch.allclose(output, slow, rtol=0, atol=1e-12)
        gradients = {
            name: torch.stack([dict(each.named_parameters())[name].grad for each in copies]).sum(0)
            for name, _ in reference.named_parameters()
        }
        for name, parameter in fast.named_parameters():
            assert torch.allclose(parameter.grad, gradients[name], rtol=1e-9, atol=1e-12), name
            parameter.grad = None
        # the copies are averaged once a step, as on several devices
        for target, several in zip(
            running_statistics(reference), zip(*map(running_statistics, copies), strict=True), strict=True
        ):
            target.copy_(torch.stack(several).mean(0))
        for ours, theirs in zip(running_statistics(fast), running_statistics(reference), strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-14)
    assert torch.equal(fast.eval()(x), fast.eval()(x.clone()))
    # in evaluation there are no chunks
    assert torch.allclose(fast.eval()(x), reference.eval()(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("config", NETWORKS, ids=lambda config: config.name)
def test_one_chunk_is_the_plain_network_bit_for_bit(config: Network) -> None:
    plain, ghost = made(config), made(config)
    install(ghost, Ghost(20))
    x = torch.randn(20, 2, 8, 8, dtype=torch.float64)
    assert torch.equal(plain(x), ghost(x))
    for name, value in plain.state_dict().items():
        assert torch.equal(value, ghost.state_dict()[name]), name


def test_statistics_differ_from_the_whole_mini_batchs() -> None:
    plain, ghost = made(NETWORKS[0]), made(NETWORKS[0])
    install(ghost, Ghost(8))
    x = torch.randn(16, 2, 8, 8, dtype=torch.float64)
    assert not torch.allclose(plain(x), ghost(x), atol=1e-3)
