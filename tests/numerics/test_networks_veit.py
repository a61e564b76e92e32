"""The networks of Veit et al. and for ImageNet: exact counts, shapes, independent implementations."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision

from workloads import streams
from workloads.networks.build import build, initialise
from workloads.networks.configs import (
    VGG,
    VGG15,
    WRN,
    DFN1ImageNet,
    DFN2ImageNet,
    DFNMRImageNet,
    Highway,
    Network,
    PreActResNet,
    PreActResNetImageNet,
    ResNetImageNet,
    canonical,
)
from workloads.networks.describe import describe, path_lengths


def on(config: Network, *, classes: int = 10, channels: int = 3, size: int = 32) -> Any:
    return replace(config, classes=classes, in_channels=channels, input_size=size)


def named(value: Any) -> str:
    return str(getattr(value, "name", value))


LONGEST = PreActResNet(depth=1001, bottleneck=True)
COUNTS: list[tuple[Network, int]] = [
    (PreActResNet(shortcut="A"), 1_727_962),
    (PreActResNet(shortcut="B"), 1_730_522),
    # without the scales and shifts of normalisation, 149,216, it is the 10,178,490 of the printed 10.2M
    (LONGEST, 10_178_490 + 149_216),
    (WRN(depth=28, width=10), 36_479_194),
    (VGG(), 20_035_018),
]
IMAGENET_COUNTS: list[tuple[Network, int]] = [
    (ResNetImageNet(depth=18), 11_689_512),  # torchvision's
    (ResNetImageNet(depth=34), 21_797_672),
    (ResNetImageNet(depth=50), 25_557_032),
    (ResNetImageNet(depth=101), 44_549_160),
    (DFNMRImageNet(blocks=(2, 2, 8, 2)), 43_338_024),
    (PreActResNetImageNet(depth=200), 64_666_280),
]


@pytest.mark.parametrize(("config", "count"), COUNTS, ids=named)
def test_counts_of_cifar_networks(config: Network, count: int) -> None:
    assert describe(on(config))["parameters"] == count


@pytest.mark.parametrize(
    ("config", "count"), IMAGENET_COUNTS, ids=lambda each: getattr(each, "name", str(each))
)
def test_counts_of_imagenet_networks(config: Network, count: int) -> None:
    assert describe(on(config, classes=1000, size=224))["parameters"] == count


@pytest.mark.parametrize("depth", [8, 20, 32])
@pytest.mark.parametrize("width", [0.5, 1, 2])
@pytest.mark.parametrize("classes", [10, 100])
def test_counts_follow_one_rule(depth: int, width: float, classes: int) -> None:
    """Added up by hand from the shapes, not from any module."""
    a, b, c = (int(each * width) for each in (16, 32, 64))
    n = (depth - 2) // 6

    def stage(inputs: int, outputs: int) -> int:
        first = 2 * inputs + 9 * inputs * outputs + 2 * outputs + 9 * outputs**2
        return first + (n - 1) * (4 * outputs + 18 * outputs**2)

    plain = 27 * a + stage(a, a) + stage(a, b) + stage(b, c) + 2 * c + c * classes + classes
    projections = a * b + b * c
    for shortcut, more in (("A", 0), ("B", projections)):
        config = on(PreActResNet(depth=depth, width=width, shortcut=shortcut), classes=classes)  # type: ignore[arg-type]
        assert describe(config)["parameters"] == plain + more
    gates = sum(9 * i * o + o + (n - 1) * (9 * o**2 + o) for i, o in ((a, a), (a, b), (b, c)))
    config = on(Highway(depth=depth, width=width), classes=classes)
    assert describe(config)["parameters"] == plain + projections + gates


@pytest.mark.parametrize(("depth", "width", "classes"), [(10, 1, 10), (16, 2, 100), (28, 4, 7)])
def test_wide_counts_follow_one_rule(depth: int, width: int, classes: int) -> None:
    n, total, inputs = (depth - 4) // 6, 27 * 16, 16
    for outputs in (16 * width, 32 * width, 64 * width):
        for _ in range(n):
            total += 2 * inputs + 9 * inputs * outputs + 2 * outputs + 9 * outputs**2
            total += inputs * outputs if inputs != outputs else 0
            inputs = outputs
    total += 2 * inputs + (inputs + 1) * classes
    assert describe(on(WRN(depth=depth, width=width), classes=classes))["parameters"] == total


@pytest.mark.parametrize("width", [0.5, 1])
@pytest.mark.parametrize("layers", [(1, 1, 2, 2, 2), (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)])
def test_vgg_counts_follow_one_rule(layers: tuple[int, ...], width: float) -> None:
    total, inputs = 0, 3
    for count, channels in zip(layers, (64, 128, 256, 512, 512), strict=True):
        outputs = int(channels * width)
        for _ in range(count):
            total += 9 * inputs * outputs + 2 * outputs
            inputs = outputs
    total += (inputs + 1) * 10
    assert describe(on(VGG(layers=layers, width=width)))["parameters"] == total


def bottlenecks(units: tuple[int, ...], width: float, classes: int, *, branches: int, lines: int) -> int:
    """Weights of bottlenecks with normalisation after each convolution, written out."""
    total = int(64 * width) * (49 * 3 + 2)
    inputs = int(64 * width)
    for group, count in enumerate(units):
        outputs = int(256 * width * 2**group)
        middle = outputs // 4
        for position in range(count):
            branch = (
                inputs * middle + 2 * middle + 9 * middle**2 + 2 * middle + middle * outputs + 2 * outputs
            )
            total += branches * branch
            total += lines * (inputs * outputs + 2 * outputs) if not position else 0
            inputs = outputs
    return total + (inputs + 1) * classes


@pytest.mark.parametrize("width", [0.25, 1])
@pytest.mark.parametrize("classes", [10, 1000])
def test_imagenet_counts_follow_one_rule(width: float, classes: int) -> None:
    for depth, units in {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}.items():
        config = on(ResNetImageNet(depth=depth, width=width), classes=classes, size=224)
        expected = bottlenecks(units, width, classes, branches=1, lines=1)
        assert describe(config)["parameters"] == expected
    for blocks in ((2, 2, 4, 1), (2, 4, 15, 2)):
        config = on(DFNMRImageNet(blocks=blocks, width=width), classes=classes, size=224)
        expected = bottlenecks(blocks, width, classes, branches=2, lines=2)
        assert describe(config)["parameters"] == expected


def test_sampling_that_drops_nothing_is_no_sampling() -> None:
    plain = on(PreActResNet(depth=20))
    for same in (
        PreActResNet(depth=20, survival=1.0),
        PreActResNet(depth=20, modules_per_batch=9),
        PreActResNet(depth=20, modules_per_batch=9, rescale=True),
        PreActResNet(depth=20, rescale=True),
    ):
        assert canonical(on(same)) == plain
    for other in (PreActResNet(depth=20, survival=0.9), PreActResNet(depth=20, modules_per_batch=8)):
        assert canonical(on(other)) == on(other)


def test_vgg15_counts_follow_from_its_layers() -> None:
    conv, image, norm = 9 * 128 * 128, 9 * 3 * 128, 2 * 128
    head = 128 * 10 + 10
    first = image + 12 * conv + 13 * norm + (128 * 128 + 128 + norm) + head
    second = image + 13 * conv + 14 * norm + head
    assert describe(on(VGG15(reading=1)))["parameters"] == first
    assert describe(on(VGG15(reading=2)))["parameters"] == second
    for reading in (1, 2):
        assert describe(on(VGG15(reading=reading)))["longest_path"] == 15


SMALL: list[Network] = [
    PreActResNet(depth=8, width=0.5, shortcut="A"),
    PreActResNet(depth=8, width=0.5, survival=0.5),
    PreActResNet(depth=11, width=0.5, bottleneck=True),
    PreActResNet(depth=14, width=0.5, modules_per_batch=2),
    Highway(depth=8, width=0.5),
    WRN(depth=10, width=0.5),
    VGG(layers=(1, 2), channels=(8, 16), pools=2),
    VGG15(width=0.125, pools=3),
    VGG15(width=0.125, pools=3, reading=2),
]
LARGE: list[Network] = [
    ResNetImageNet(depth=18, width=0.0625),
    ResNetImageNet(depth=50, width=0.0625),
    PreActResNetImageNet(depth=50, width=0.0625),
    DFNMRImageNet(blocks=(1, 1, 2, 1), width=0.0625),
    DFN1ImageNet(width=0.0625),
    DFN2ImageNet(width=0.0625),
]


@pytest.mark.parametrize("config", SMALL + LARGE, ids=lambda each: each.name)
def test_forward_and_backward(config: Network) -> None:
    size = 16 if config in SMALL else 64
    net = build(on(config, classes=7, channels=1, size=size))
    initialise(net, streams.generator("initialisation", 0))
    logits = net(torch.randn(4, 1, size, size))
    assert logits.shape == (4, 7)
    logits.logsumexp(1).sum().backward()
    assert all(each.grad is not None and bool(each.grad.isfinite().all()) for each in net.parameters())


@pytest.mark.parametrize(
    ("config", "size"),
    [
        *((config, 32) for config, _ in COUNTS if config != LONGEST),
        pytest.param(LONGEST, 32, marks=pytest.mark.slow),
        (VGG15(), 32),
        (Highway(depth=110), 32),
        (DFN1ImageNet(), 224),
        (DFN2ImageNet(), 224),
        *((config, 224) for config, _ in IMAGENET_COUNTS),
    ],
    ids=lambda each: getattr(each, "name", str(each)),
)
def test_full_size_on_the_meta_device(config: Network, size: int) -> None:
    with torch.device("meta"):
        assert build(on(config, size=size))(torch.empty(2, 3, size, size)).shape == (2, 10)


@pytest.mark.parametrize("depth", [18, 50])
def test_resnet_imagenet_is_torchvisions_network(depth: int) -> None:
    """The same numbers in the same order: torchvision's modules come branch first, ours shortcut first."""
    theirs = {18: torchvision.models.resnet18, 50: torchvision.models.resnet50}[depth](num_classes=5).eval()
    random = torch.Generator().manual_seed(0)
    for name, value in theirs.state_dict().items():
        if "running_var" in name:
            value.uniform_(0.5, 2, generator=random)
        elif value.dtype.is_floating_point:
            value.normal_(0, 0.05, generator=random)
    ours = build(on(ResNetImageNet(depth=depth), classes=5, size=64)).eval()
    source: list[Any] = [theirs.conv1, theirs.bn1]
    for layer in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
        for unit in layer:
            source += list(unit.downsample or [])
            for number in (1, 2, 3):
                if hasattr(unit, f"conv{number}"):
                    source += [getattr(unit, f"conv{number}"), getattr(unit, f"bn{number}")]
    source.append(theirs.fc)
    target = [
        each
        for each in ours.modules()
        if isinstance(each, torch.nn.Conv2d | torch.nn.BatchNorm2d | torch.nn.Linear)
    ]
    for mine, its in zip(target, source, strict=True):
        mine.load_state_dict(its.state_dict())
    x = torch.randn(2, 3, 64, 64, generator=random)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)


def test_vgg_is_torchvisions_vgg_19_with_batch_normalisation() -> None:
    theirs = torchvision.models.vgg19_bn(num_classes=5).eval()
    random = torch.Generator().manual_seed(0)
    for name, value in theirs.features.state_dict().items():
        if "running_var" in name:
            value.uniform_(0.5, 2, generator=random)
        elif value.dtype.is_floating_point:
            value.normal_(0, 0.05, generator=random)
    ours = build(on(VGG(pools=5, bn_eps=1e-5), classes=5)).eval()
    kept = torch.nn.Conv2d | torch.nn.BatchNorm2d
    source = [each for each in theirs.features if isinstance(each, kept)]
    target = [each for each in ours.modules() if isinstance(each, kept)]
    with torch.no_grad():
        for mine, its in zip(target, source, strict=True):
            assert isinstance(its.bias, torch.Tensor)
            if isinstance(its, torch.nn.Conv2d):  # torchvision's convolutions have a bias, ours have none
                its.bias.zero_()
            mine.load_state_dict({k: v for k, v in its.state_dict().items() if k in mine.state_dict()})
        x = torch.randn(2, 3, 32, 32, generator=random)
        expected = ours.get_submodule("head")(theirs.features(x))
        torch.testing.assert_close(ours(x), expected, rtol=1e-5, atol=1e-5)


def test_bottlenecks_are_a_slow_sum_of_convolutions() -> None:
    """Written out with functions, from the paper's order: normalisation, ReLU, convolution, three times."""
    config = on(PreActResNet(depth=20, bottleneck=True, width=0.25), channels=1, size=8)
    net = build(config).double().eval()
    initialise(net, streams.generator("initialisation", 0))
    state = net.state_dict()
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64)

    def active(x: torch.Tensor, prefix: str) -> torch.Tensor:
        mean, var = state[f"{prefix}.running_mean"], state[f"{prefix}.running_var"]
        shaped = (each[None, :, None, None] for each in (mean, var + 1e-5, *weights(prefix)))
        m, v, gamma, beta = shaped
        return ((x - m) / v.sqrt() * gamma + beta).clamp(min=0)

    def weights(prefix: str) -> tuple[torch.Tensor, torch.Tensor]:
        return state[f"{prefix}.weight"], state[f"{prefix}.bias"]

    y = F.conv2d(x, state["stem.weight"], padding=1)
    for module in range(6):
        at, step = f"residual_modules.{module}", 2 if module in (2, 4) else 1
        first = active(y, f"{at}.bns.0")
        z = F.conv2d(first, state[f"{at}.convs.0.weight"])
        z = F.conv2d(active(z, f"{at}.bns.1"), state[f"{at}.convs.1.weight"], padding=1, stride=step)
        z = F.conv2d(active(z, f"{at}.bns.2"), state[f"{at}.convs.2.weight"])
        if module in config.downsampling:
            y = F.conv2d(first, state[f"{at}.projection.weight"], stride=step)
        y = y + z
    expected = active(y, "bn").mean((2, 3)) @ state["head.fc.weight"].T + state["head.fc.bias"]
    torch.testing.assert_close(net(x), expected, rtol=0, atol=1e-12)
    assert config.downsampling == (0, 2, 4)


# --- descriptions -----------------------------------------------------------------------------------


def test_path_lengths_are_binomial_in_modules() -> None:
    found = path_lengths(on(PreActResNet(depth=110)))
    assert sum(found.values()) == 2**54
    # two convolutions a module taken, one a projection where a branch is not, the stem, the last layer
    expected: dict[int, int] = {}
    for plain in range(53):
        for projected in range(3):
            length = 2 + 2 * plain + 2 * projected + (2 - projected)
            expected[length] = expected.get(length, 0) + math.comb(52, plain) * math.comb(2, projected)
    assert found == dict(sorted(expected.items()))


def test_described_paths_of_resnet_50_and_its_fused_relatives() -> None:
    """The text of Zhao et al. on Figure 10: DFN1 is as large an ensemble as ResNet-50, DFN2 a smaller one."""
    found = {
        config.name: (path_lengths(on(config, size=224)), describe(on(config, size=224)))
        for config in (ResNetImageNet(depth=50), DFN1ImageNet(), DFN2ImageNet())
    }
    (resnet, at), (dfn1, a1), (dfn2, a2) = found.values()
    assert at["longest_path"] == a1["longest_path"] == a2["longest_path"] == 50
    assert at["paths"] == a1["paths"] == 2**16
    assert a2["paths"] == 2**9
    assert (min(resnet), min(dfn1)) == (6, 18)
    assert set(dfn2) <= set(resnet)
    mean = {
        name: sum(k * n for k, n in lengths.items()) / sum(lengths.values())
        for name, (lengths, _) in found.items()
    }
    assert mean["resnet_imagenet"] == 28
    assert mean["dfn1_imagenet"] == 34


def test_hundreds_of_layers_are_described() -> None:
    found = describe(on(PreActResNet(depth=602)))
    assert found["longest_path"] == 602
    assert found["paths"] == 2**300


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: PreActResNet(depth=21), "nearest allowed: 20 and 26"),
        (lambda: PreActResNet(depth=111, bottleneck=True), "nearest allowed: 110 and 119"),
        (lambda: WRN(depth=27), "4 plus a multiple of 6, .* nearest allowed: 22 and 28"),
        (lambda: PreActResNet(survival=0.0), "survival"),
        (lambda: PreActResNet(depth=14, modules_per_batch=7), "at most the network's 6 modules"),
        (lambda: PreActResNet(survival=0.5, modules_per_batch=23), "two ways"),
        (lambda: PreActResNet(shortcut="C"), "'A' or 'B'"),  # type: ignore[arg-type]
        (lambda: VGG15(input_size=8), "input_size 8 is too small for 5 max poolings .* 8 allows 3"),
        (lambda: VGG(layers=(2, 2), channels=(8,)), "equally many groups"),
        (lambda: VGG(width=0.3), "width"),
        (lambda: ResNetImageNet(depth=51), "18, 34, 50, 101 or 152"),
        (lambda: DFNMRImageNet(blocks=(2, 2)), "4 groups"),
    ],
)
def test_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
