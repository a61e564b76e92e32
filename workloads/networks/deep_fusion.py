"""Deeply-fused nets: three or six fusions, inception-like units, merge-and-run units.

Source: Zhao et al. 2016: Figure 3(b) and 3(c), Figure 6(a) and 7(b), Figure 6(b) and 7(c).
"""

from __future__ import annotations

from typing import cast, final

import torch.nn.functional as F
from torch import Tensor, nn

from workloads.networks.configs import DFN, DFNIL, DFNMR
from workloads.networks.layers import (
    Classifier,
    ConvBN,
    Fusion,
    Norm,
    chain,
    group_channels,
    head,
    norm_of,
    shortcut,
    stem,
)


def dfn(config: DFN) -> Classifier:
    """Returns the fusion of a deep plain net with the five-layer net.

    The first fusion of a group joins the branch with a 3x3 convolution, in group 1 too, where no channels
    change; with six fusions the second joins it with the identity.
    """
    norm = norm_of(config)
    groups = []
    for inputs, outputs in group_channels(config):
        fusions = [_fusion(ConvBN(inputs, outputs, relu=False, norm=norm), inputs, outputs, config)]
        if config.fusions == 6:
            fusions.append(_fusion(nn.Identity(), outputs, outputs, config))
        groups.append(nn.Sequential(*fusions))
    return Classifier(config, groups)


def _fusion(left: nn.Module, inputs: int, outputs: int, config: DFN) -> Fusion:
    right = chain(inputs, outputs, layers=config.branch_layers, norm=norm_of(config), last_relu=False)
    return Fusion([left, right])


def dfn_il(config: DFNIL) -> Classifier:
    """Returns units relu(short(x) + R1(x) + R2(x)): summed, not averaged."""
    norm = norm_of(config)
    groups = []
    for inputs, outputs in group_channels(config):
        sources = [inputs] + [outputs] * (config.units - 1)
        units = [
            Fusion(
                [
                    shortcut(source, outputs, norm=norm),
                    chain(source, outputs, layers=2, norm=norm, last_relu=False),
                    chain(source, outputs, layers=2, norm=norm, last_relu=False),
                ]
            )
            for source in sources
        ]
        groups.append(nn.Sequential(*units))
    return Classifier(config, groups)


@final
class MergeAndRun(nn.Module):
    """One merge-and-run unit on two lines a and b.

    f = (short_a(a) + short_b(b)) / 2, then a' = relu(f + R1(a)) and b' = relu(f + R2(b)). Where the channels
    change each line has a projection of its own.

    Source: Zhao et al. 2016, Figure 6(b); section 6.2: "merge is an averaging operation".
    """

    def __init__(self, inputs: int, outputs: int, *, norm: Norm) -> None:
        super().__init__()
        self.short_a = shortcut(inputs, outputs, norm=norm)
        self.short_b = shortcut(inputs, outputs, norm=norm)
        self.branch_a = chain(inputs, outputs, layers=2, norm=norm, last_relu=False)
        self.branch_b = chain(inputs, outputs, layers=2, norm=norm, last_relu=False)

    def forward(self, a_NCHW: Tensor, b_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the two lines after the unit."""
        merged_NCHW, a_NCHW, b_NCHW = self._parts(a_NCHW, b_NCHW)
        return F.relu(merged_NCHW + a_NCHW), F.relu(merged_NCHW + b_NCHW)

    def join(self, a_NCHW: Tensor, b_NCHW: Tensor) -> Tensor:
        """Returns relu(f + R1(a) + R2(b)), the end of the last unit: f once, both branches summed."""
        merged_NCHW, a_NCHW, b_NCHW = self._parts(a_NCHW, b_NCHW)
        return F.relu(merged_NCHW + a_NCHW + b_NCHW)

    def _parts(self, a_NCHW: Tensor, b_NCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        merged_NCHW = 0.5 * (self.short_a(a_NCHW) + self.short_b(b_NCHW))
        return merged_NCHW, self.branch_a(a_NCHW), self.branch_b(b_NCHW)


@final
class MergeAndRunNet(nn.Module):
    """Merge-and-run units in a row; both lines begin as the stem's output."""

    def __init__(self, config: DFNMR) -> None:
        super().__init__()
        norm = norm_of(config)
        self.stem = stem(config)
        self.units = nn.ModuleList(
            MergeAndRun(inputs if i == 0 else outputs, outputs, norm=norm)
            for inputs, outputs in group_channels(config)
            for i in range(config.units)
        )
        self.head = head(config)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns logits_NK."""
        a_NCHW = b_NCHW = self.stem(x_NCHW)
        *units, last = self.units
        for unit in units:
            a_NCHW, b_NCHW = unit(a_NCHW, b_NCHW)
        return cast(Tensor, self.head(cast(MergeAndRun, last).join(a_NCHW, b_NCHW)))


def dfn_mr(config: DFNMR) -> MergeAndRunNet:
    """Returns the merge-and-run net."""
    return MergeAndRunNet(config)
