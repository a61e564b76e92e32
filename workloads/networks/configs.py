"""Every network that a study may train, as one union of configurations. Torch-free.

`zhao` has the kinds of Zhao et al. on CIFAR shape, `veit` the residual ones of Veit et al. and their
relatives, `chains` the VGG nets, `fractal_configs` the fractal ones, `dirac_configs` those of Zagoruyko and
Komodakis, `imagenet` those for images of 224 x 224.
"""

from __future__ import annotations

from typing import TypeAlias

from workloads.networks import dirac_configs, fractal_configs, veit, zhao
from workloads.networks.chains import VGG, VGG15
from workloads.networks.dirac_configs import DiracNet, DiracNetImageNet, DiracResNet, PlainDiracBaseline
from workloads.networks.fractal_configs import FractalColumn, FractalNet, FractalNetImageNet
from workloads.networks.imagenet import (
    DFN1ImageNet,
    DFN2ImageNet,
    DFNMRImageNet,
    PreActResNetImageNet,
    ResNetImageNet,
)
from workloads.networks.paths import PATHS
from workloads.networks.veit import WRN, Highway, PreActResNet
from workloads.networks.zhao import DFN, DFNIL, DFNMR, Component, PathEnsemble, Plain, ResNet

__all__ = [
    "DFN",
    "DFNIL",
    "DFNMR",
    "PATHS",
    "VGG",
    "VGG15",
    "WRN",
    "Component",
    "DFN1ImageNet",
    "DFN2ImageNet",
    "DFNMRImageNet",
    "DiracNet",
    "DiracNetImageNet",
    "DiracResNet",
    "FractalColumn",
    "FractalNet",
    "FractalNetImageNet",
    "Highway",
    "Network",
    "PathEnsemble",
    "Plain",
    "PlainDiracBaseline",
    "PreActResNet",
    "PreActResNetImageNet",
    "ResNet",
    "ResNetImageNet",
    "canonical",
]

Network: TypeAlias = (
    Plain
    | ResNet
    | DFN
    | Component
    | PathEnsemble
    | DFNIL
    | DFNMR
    | PreActResNet
    | VGG
    | VGG15
    | WRN
    | Highway
    | FractalNet
    | FractalColumn
    | ResNetImageNet
    | PreActResNetImageNet
    | DFNMRImageNet
    | DFN1ImageNet
    | DFN2ImageNet
    | FractalNetImageNet
    | DiracNet
    | PlainDiracBaseline
    | DiracNetImageNet
    | DiracResNet
)


def canonical(network: Network) -> Network:
    """Returns the one configuration that stands for all that mean the same computation."""
    if isinstance(network, Plain | ResNet | DFN | Component | PathEnsemble | DFNIL | DFNMR):
        return zhao.canonical(network)
    if isinstance(network, PreActResNet):
        return veit.canonical(network)
    if isinstance(network, FractalNet | FractalColumn | FractalNetImageNet):
        return fractal_configs.canonical(network)
    if isinstance(network, DiracNet | DiracNetImageNet):
        return dirac_configs.canonical(network)
    return network
