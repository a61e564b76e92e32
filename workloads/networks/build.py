"""From a configuration to a network, and its initial weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn

from workloads.networks import configs as kinds
from workloads.networks import imagenet_nets, preact, vgg
from workloads.networks.configs import Network
from workloads.networks.deep_fusion import dfn, dfn_il, dfn_mr
from workloads.networks.path_ensemble import PathEnsembleNet, RunningStatistics, SharedConvBN
from workloads.networks.plain import plain
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
    kinds.ResNetImageNet: imagenet_nets.resnet_imagenet,
    kinds.PreActResNetImageNet: preact.preact_resnet_imagenet,
    kinds.DFNMRImageNet: imagenet_nets.dfn_mr_imagenet,
    kinds.DFN1ImageNet: imagenet_nets.dfn1_imagenet,
    kinds.DFN2ImageNet: imagenet_nets.dfn2_imagenet,
}


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


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Leaves a network with fresh weights that depend on the generator's state and nothing else.

    Convolutions: normal, variance 2 / fan-in. Fully connected layers: uniform in ±1/sqrt(fan-in), bias 0.
    A highway gate's bias: its initial value.
    Batch normalisation: gamma 1, beta 0, running mean 0, running variance 1. Drawn in single precision on
    the generator's device, in the order of `module.modules()`, so that neither device nor precision of the
    network changes them.

    Args:
        module: The network.
        generator: Where all draws come from.

    Source: Zhao et al. 2016, section 6.2 (He et al. 2015 for convolutions); released train_model.py (Xavier,
    uniform, by fan-in, magnitude 1 for the fully connected layer; its framework sets biases to 0).
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            _draw_normal(part.weight, math.sqrt(2.0 / part.weight[0].numel()), generator)
        elif isinstance(part, nn.Linear):
            _draw_uniform(part.weight, 1.0 / math.sqrt(part.in_features), generator)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d | SharedConvBN | RunningStatistics | preact.Gate):
            part.reset_parameters()


def _draw_normal(weight: Tensor, std: float, generator: torch.Generator) -> None:
    drawn = torch.empty(weight.shape, device=generator.device, dtype=torch.float32)
    _assign(weight, drawn.normal_(0.0, std, generator=generator))


def _draw_uniform(weight: Tensor, bound: float, generator: torch.Generator) -> None:
    drawn = torch.empty(weight.shape, device=generator.device, dtype=torch.float32)
    _assign(weight, drawn.uniform_(-bound, bound, generator=generator))


def _assign(weight: Tensor, drawn: Tensor) -> None:
    with torch.no_grad():
        weight.copy_(drawn)
