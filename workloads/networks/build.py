"""From a configuration to a network, and its initial weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import nn

from workloads.initialisation import He, Initialisation
from workloads.networks import configs as kinds
from workloads.networks import dirac, imagenet_nets, preact, vgg
from workloads.networks.configs import Network
from workloads.networks.deep_fusion import dfn, dfn_il, dfn_mr
from workloads.networks.dirac_conv import DiracWeight
from workloads.networks.draws import draw_filters, draw_head
from workloads.networks.fractal import FractalNetwork
from workloads.networks.path_ensemble import PathEnsembleNet, RunningStatistics, SharedConvBN
from workloads.networks.plain import plain
from workloads.networks.preact_module import Gate
from workloads.networks.resnet import resnet

_MAKERS: Final[dict[type, Callable[[Any], nn.Module]]] = {
    kinds.Plain: plain,
    kinds.Component: plain,
    kinds.ResNet: resnet,
    kinds.DFN: dfn,
    kinds.DFNIL: dfn_il,
    kinds.DFNMR: dfn_mr,
    kinds.PathEnsemble: PathEnsembleNet,
    kinds.PreActResNet: preact.preact_resnet,
    kinds.Highway: preact.highway,
    kinds.WRN: preact.wrn,
    kinds.VGG: vgg.vgg,
    kinds.VGG15: vgg.vgg15,
    kinds.FractalNet: FractalNetwork,
    kinds.FractalColumn: FractalNetwork,
    kinds.FractalNetImageNet: FractalNetwork,
    kinds.ResNetImageNet: imagenet_nets.resnet_imagenet,
    kinds.PreActResNetImageNet: preact.preact_resnet_imagenet,
    kinds.DFNMRImageNet: imagenet_nets.dfn_mr_imagenet,
    kinds.DFN1ImageNet: imagenet_nets.dfn1_imagenet,
    kinds.DFN2ImageNet: imagenet_nets.dfn2_imagenet,
    kinds.DiracNet: dirac.chain,
    kinds.PlainDiracBaseline: dirac.chain,
    kinds.DiracNetImageNet: dirac.chain_imagenet,
    kinds.DiracResNet: dirac.dirac_resnet,
}
_HE: Final = He()


def build(config: Network) -> nn.Module:
    """Returns the network, on torch's default device, with weights that `initialise` is yet to draw.

    Its forward pass maps x_NCHW to logits_NK, a path ensemble's to logits_MNK. The global random state is
    left as it was.

    Args:
        config: A configuration with classes and in_channels filled.

    Raises:
        ValueError: classes or in_channels is None.
    """
    with torch.random.fork_rng(devices=[]):
        return _MAKERS[type(config)](config)


def on_meta(config: Network) -> nn.Module:
    """Returns the network in evaluation mode, without memory for its weights."""
    with torch.device("meta"):
        return build(config).eval()


def initialise(module: nn.Module, generator: torch.Generator, scheme: Initialisation = _HE) -> None:
    """Leaves a network with fresh weights that depend on the generator's state and nothing else.

    Filters and the last layer follow the scheme; see `draws`. Biases: 0. A highway gate's bias and Dirac
    scalings: their initial values. Batch normalisation: gamma 1, unless the network draws it, beta 0, running
    mean 0, running variance 1. Drawn in single precision on the generator's device, in the order of
    `module.modules()`, so that neither device nor precision of the network changes them.

    Args:
        module: The network.
        generator: Where all draws come from.
        scheme: Distribution of the weights.

    Source: Zhao et al. 2016, section 6.2 (He et al. 2015 for convolutions); released train_model.py (Xavier,
    uniform, by fan-in, magnitude 1 for the fully connected layer; its framework sets biases to 0).
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            draw = draw_filters if isinstance(part, nn.Conv2d) else draw_head
            draw(part.weight, scheme, generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    for part in module.modules():  # later, for a gate's bias is that of a convolution
        if isinstance(part, nn.BatchNorm2d | SharedConvBN | RunningStatistics | Gate | DiracWeight):
            part.reset_parameters()
        if isinstance(part, dirac.UniformNorm):
            part.draw_scale(generator)
