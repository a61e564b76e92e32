"""Images of known structure, made from nothing.

Shapes: N images, C channels, H height, W width.
"""

from __future__ import annotations

import functools
import math

import torch

from workloads.data.configs import Synthetic
from workloads.data.split import Split


@functools.lru_cache(maxsize=4)
def load(config: Synthetic) -> tuple[Split, Split, Split]:
    """Returns train, validation and test; the same at every call, whatever a study's seeds."""
    quarter = config.images // 4
    return _make(config, config.images, 0), _make(config, quarter, 1), _make(config, quarter, 2)


def _make(config: Synthetic, count: int, number: int) -> Split:
    random = torch.Generator().manual_seed(number)
    y_N = torch.arange(count) % config.classes
    phase_N11 = torch.rand((count, 1, 1), generator=random) * 2 * math.pi
    across_W = torch.arange(config.size) * 2 * math.pi / config.size
    wave_NHW = torch.sin((y_N[:, None, None] + 1) / 2 * across_W + phase_N11).expand(-1, config.size, -1)
    noise_NHW = torch.randn((count, config.size, config.size), generator=random) * math.sqrt(0.5)
    return Split(x_NCHW=(wave_NHW + noise_NHW)[:, None].contiguous(), y_N=y_N)
