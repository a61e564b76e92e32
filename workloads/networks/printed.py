"""Parameter counts that the papers print for the networks here, and what is to be said of a network.

A printed figure stands beside our exact count, never in its place: where no stated rule gives it, the note
says so. Torch-free.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from workloads.networks.chains import VGG
from workloads.networks.configs import Network, canonical
from workloads.networks.dirac_configs import DiracNet, DiracNetImageNet
from workloads.networks.fractal_configs import FractalNet
from workloads.networks.imagenet import DFNMRImageNet, ResNetImageNet
from workloads.networks.veit import WRN, PreActResNet
from workloads.networks.zhao import DFNIL, DFNMR, Plain, ResNet

# Fields that change no count, and those of the data set, which an entry says by itself.
_FREE: Final = frozenset(
    {"classes", "in_channels", "input_size", "bn_eps", "bn_momentum"}
    | {"survival", "modules_per_batch", "rescale", "initial_a", "initial_b", "gamma"}
    | {"drop_path", "local_rate", "dropout"}
)
_CIFAR: Final = (10, 100)
_IMAGENET: Final = (1000,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """One printed parameter count.

    Attributes:
        network: The network that it is printed for; its classes and its channels of input do not matter.
        figure: As printed, in millions: "24.8M".
        source: Paper and table.
        classes: Class counts of the data sets that it is printed for.
        note: What the paper leaves open, or why our count is another.
    """

    network: Network
    figure: str
    source: str
    classes: tuple[int, ...] = _CIFAR
    note: str = ""

    def gives(self, parameters: int) -> bool:
        """Returns whether an exact count is the printed figure, rounded to the digits printed."""
        number = self.figure.removesuffix("M")
        digits = len(number.partition(".")[2])
        return f"{parameters / 1e6:.{digits}f}" == number


_TABLE_4: Final = {26: "0.4M", 38: "0.6M", 50: "0.8M", 62: "1.0M"} | {
    74: "1.2M",
    98: "1.5M",
    110: "1.7M",
    194: "3.1M",
}
_OF_RESNETS: Final = "one figure a row; it is the count of the ResNet with 100 classes"
_Z4: Final = "Zhao et al. 2016, Table 4"
_Z5: Final = "Zhao et al. 2016, Table 5"
_Z6: Final = "Zhao et al. 2016, Table 6"
_D2: Final = "Zagoruyko and Komodakis 2017, Table 2"
_D3: Final = "Zagoruyko and Komodakis 2017, Table 3"
_1001: Final = "the count without normalisation's scales and shifts, 10,178,490, rounds to it"
_OF_RESNET: Final = "the count of the ResNet of this depth; the paper's chain has no projections"
_1202: Final = "a net of 6n + 2 layers of this depth has almost twice as many"
_L1: Final = "Larsson et al. 2017, Table 1"
_L3: Final = "Larsson et al. 2017, Table 3"
_THIN: Final = (16, 32, 64, 128, 128)
_COLUMNS: Final = {1: "0.3M", 2: "0.8M", 3: "2.1M", 4: "4.8M", 5: "10.2M", 6: "21.1M"}
_F20: Final = "no stated rule gives it, though the same rule gives all of Table 3"
_F20_CAFFE: Final = "no stated rule gives it; this is the form of the released template"
_F40: Final = "no rule gives it: how filters mix and how wide joins are is not said; the nearest of many"

PRINTED: Final[tuple[Printed, ...]] = (
    *(
        Printed(network=network, figure=figure, source=_Z4, note=_OF_RESNETS)
        for depth, figure in _TABLE_4.items()
        for network in (
            Plain(depth=depth),
            ResNet(depth=depth),
            DFNIL(plain_depth=depth),
            DFNMR(plain_depth=depth),
        )
    ),
    Printed(network=DFNMR(depth=56), figure="1.7M", source=_Z5),
    Printed(network=DFNMR(depth=32, width=4), figure="14.9M", source=_Z5),
    Printed(network=DFNMR(depth=50, width=4), figure="24.8M", source=_Z5, note="no stated rule gives it"),
    Printed(network=ResNet(depth=110), figure="1.7M", source=_Z5),
    Printed(network=ResNet(depth=1202), figure="10.2M", source=_Z5, note=_1202),
    Printed(network=PreActResNet(depth=110), figure="1.7M", source=_Z5, note="of the post-activation net"),
    Printed(
        network=PreActResNet(depth=110, shortcut="A"),
        figure="1.7M",
        source=_Z5,
        note="of the post-activation net",
    ),
    Printed(network=PreActResNet(depth=164, bottleneck=True), figure="1.7M", source=_Z5),
    Printed(network=PreActResNet(depth=1001, bottleneck=True), figure="10.2M", source=_Z5, note=_1001),
    Printed(network=PreActResNet(depth=1001, bottleneck=True), figure="10.2M", source=_D2, note=_1001),
    Printed(network=WRN(depth=16, width=8), figure="11.0M", source=_Z5),
    Printed(network=WRN(depth=28, width=10), figure="36.5M", source=_Z5),
    Printed(network=WRN(depth=16, width=4), figure="2.7M", source=_Z5, classes=(10,)),
    Printed(network=WRN(depth=28, width=10), figure="36.5M", source=_D2),
    Printed(network=VGG(), figure="20M", source=_D2),
    Printed(network=DiracNet(depth=28, width=5), figure="9.1M", source=_D2, classes=(10,)),
    Printed(network=DiracNet(depth=28, width=10), figure="36.5M", source=_D2),
    *(
        Printed(
            network=FractalNet(columns=columns, channels=_THIN), figure=figure, source=_L3, classes=(100,)
        )
        for columns, figure in _COLUMNS.items()
    ),
    Printed(network=FractalNet(), figure="38.6M", source=_L1, note=_F20),
    Printed(network=FractalNet(norm="caffe"), figure="38.6M", source=_L1, note=_F20_CAFFE),
    Printed(
        network=FractalNet(columns=4, column_channels=(128, 64, 32, 16), kernels="alternating"),
        figure="22.9M",
        source=_L1,
        note=_F40,
    ),
    Printed(network=ResNetImageNet(depth=101), figure="44.5M", source=_Z6, classes=_IMAGENET),
    Printed(network=DFNMRImageNet(), figure="43.3M", source=_Z6, classes=_IMAGENET),
    Printed(
        network=DiracNetImageNet(depth=18), figure="11.7M", source=_D3, classes=_IMAGENET, note=_OF_RESNET
    ),
    Printed(
        network=DiracNetImageNet(depth=34), figure="21.8M", source=_D3, classes=_IMAGENET, note=_OF_RESNET
    ),
    Printed(network=ResNetImageNet(depth=18), figure="11.7M", source=_D3, classes=_IMAGENET),
    Printed(network=ResNetImageNet(depth=34), figure="21.8M", source=_D3, classes=_IMAGENET),
)

# What must be known of a kind of network before its counts are read.
NOTES: Final[dict[str, str]] = {
    "dfn1_imagenet": (
        "interpretation: the paper draws this network in a figure that is not to be had; "
        "ResNet-50 with 1x1 shortcuts fits what its text says"
    ),
    "dfn2_imagenet": (
        "interpretation: the paper draws this network in a figure that is not to be had; "
        "ResNet-50 with shortcuts over two bottlenecks fits what its text says"
    ),
    "vgg15": "interpretation: the paper does not say which 15 layers; `reading` chooses between two",
    "dirac_resnet": (
        "interpretation: which ResNet-28 has filters I + W is not said; this is the wide residual network of "
        "width 1, and `parameterised` says which of its filters"
    ),
    "fractalnet": (
        "interpretation where column_channels or kernels are given: the paper does not say how filters mix, "
        "how wide joins are, or what a widening projection has besides its filters"
    ),
    "fractalnet_imagenet": (
        "interpretation: whether a pooling follows the last block is not said; no parameter count is printed"
    ),
    "highway": "the paper writes its module but trains none; the gates' form on images is ours",
}


def printed(network: Network) -> list[Printed]:
    """Returns what the papers print for a network; nothing where its classes or input are not theirs.

    Args:
        network: A configuration with classes and in_channels filled.
    """
    wanted = _shape(network)
    return [
        each
        for each in PRINTED
        if network.classes in each.classes and network.in_channels == 3 and _shape(each.network) == wanted
    ]


def _shape(network: Network) -> tuple[Any, ...]:
    plain = canonical(network)
    return (
        type(plain),
        *(getattr(plain, each.name) for each in fields(plain) if each.name not in _FREE),
    )
