"""From a configuration to a network, and its initial weights."""

from __future__ import annotations

import math
from typing import assert_never

import torch
from torch import Tensor, nn

from workloads.networks.configs import DFN, DFNIL, DFNMR, Component, Network, PathEnsemble, Plain, ResNet
from workloads.networks.deep_fusion import dfn, dfn_il, dfn_mr
from workloads.networks.path_ensemble import PathEnsembleNet, RunningStatistics, SharedConvBN
from workloads.networks.plain import plain
from workloads.networks.resnet import resnet


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
        match config:
            case Plain() | Component():
                return plain(config)
            case ResNet():
                return resnet(config)
            case DFN():
                return dfn(config)
            case DFNIL():
                return dfn_il(config)
            case DFNMR():
                return dfn_mr(config)
            case PathEnsemble():
                return PathEnsembleNet(config)
            case _:
                assert_never(config)


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Leaves a network with fresh weights that depend on the generator's state and nothing else.

    Convolutions: normal, variance 2 / fan-in. Fully connected layer: uniform in ±1/sqrt(fan-in), bias 0.
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
        elif isinstance(part, nn.BatchNorm2d | SharedConvBN | RunningStatistics):
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
