"""What the scalings of a DiracNet's layers have become: how much of each filter is delta, how much learned.

The normalised filters have norm 1, and so has the delta, so |b| / |a| of an output is the size of the
learned part of its filter over that of the delta. An output without a delta (a layer with more outputs than
inputs) has no such ratio: its a acts on nothing, is never moved, and is left out.

Source: Zagoruyko and Komodakis 2017, section 3.3 and Figure 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from workloads.networks.dirac_conv import DiracWeight


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """The scalings of one layer.

    Attributes:
        layer: Position among the network's layers with scalings, from 0.
        group: Group that the layer is in, from 1.
        mean_a: Mean of a over the outputs that have a delta (Figure 2).
        std_a: Its population standard deviation over them.
        mean_b: Mean of b over all outputs (Figure 2); NaN without weight normalisation.
        std_b: Its population standard deviation over them; NaN without weight normalisation.
        ratios: |b| / |a| of each output that has a delta; empty without weight normalisation.
    """

    layer: int
    group: int
    mean_a: float
    std_a: float
    mean_b: float
    std_b: float
    ratios: tuple[float, ...]

    def degraded(self, threshold: float) -> float:
        """Returns the share of outputs whose learned part is smaller than `threshold` times their delta.

        The paper does not say when a plane is degraded. Ours: its filter is the delta and little else, so
        that the layer hands its input on. An a of 0 has an infinite ratio.
        """
        return sum(ratio < threshold for ratio in self.ratios) / len(self.ratios)


@torch.no_grad()
def scalings(network: nn.Module) -> list[Scaling]:
    """Returns the scalings of each layer that has them, from the image to the logits; [] of other networks.

    Args:
        network: A DiracNet, in training or trained.
    """
    found: list[Scaling] = []
    for group, layers in enumerate(getattr(network, "groups", ()), start=1):
        for part in layers.modules():
            if isinstance(part, DiracWeight) and part.a is not None:
                found.append(_scaling(len(found), group, part, part.a))
    return found


def _scaling(layer: int, group: int, part: DiracWeight, a_O: Tensor) -> Scaling:
    # P outputs with a delta
    a_P = a_O.double()[part.passing_O]
    b_O = part.b.double() if part.b is not None else a_O.new_full((1,), torch.nan)
    ratios_P = [] if part.b is None else (b_O[part.passing_O].abs() / a_P.abs()).tolist()
    return Scaling(
        layer=layer,
        group=group,
        mean_a=float(a_P.mean()),
        std_a=float(a_P.std(correction=0)),
        mean_b=float(b_O.mean()),
        std_b=float(b_O.std(correction=0)),
        ratios=tuple(ratios_P),
    )
