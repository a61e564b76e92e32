"""Residual networks with the addition between batch normalisation and ReLU.

Source: Zhao et al. 2016, section 6.2 and Figures 6(c), 7(a); He et al. 2016.
"""

from __future__ import annotations

from torch import nn

from workloads.networks.configs import ResNet
from workloads.networks.layers import Classifier, Fusion, chain, group_channels, norm_of, shortcut


def resnet(config: ResNet) -> Classifier:
    """Returns units relu(short(x) + bn(conv(relu(bn(conv(x)))))), `config.units` a group."""
    norm = norm_of(config)
    groups = []
    for inputs, outputs in group_channels(config):
        sources = [inputs] + [outputs] * (config.units - 1)
        units = [
            Fusion(
                [
                    shortcut(source, outputs, norm=norm),
                    chain(source, outputs, layers=2, norm=norm, last_relu=False),
                ]
            )
            for source in sources
        ]
        groups.append(nn.Sequential(*units))
    return Classifier(config, groups)
