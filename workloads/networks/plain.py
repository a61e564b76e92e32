"""Plain nets and component nets.

Source: Zhao et al. 2016, Figure 3(a) (plain), Figure 1(c) and Table 1 (components).
"""

from __future__ import annotations

from workloads.networks.configs import Component, Plain
from workloads.networks.layers import Classifier, chain, group_channels, norm_of


def plain(config: Plain | Component) -> Classifier:
    """Returns a chain of layers; a component differs from a plain net only in its groups' lengths."""
    return Classifier(
        config,
        [
            chain(inputs, outputs, layers=layers, norm=norm_of(config))
            for (inputs, outputs), layers in zip(group_channels(config), config.group_layers, strict=True)
        ],
    )
