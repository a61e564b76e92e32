"""What can be measured inside a network while it trains, as known without torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_COLUMNS: Final = ("column_loss", "column_error")
_SCALINGS: Final = ("mean_a", "std_a", "mean_b", "std_b")
# kind of network -> metrics
PROBED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "fractalnet": _COLUMNS,
        "fractal_column": _COLUMNS,
        "diracnet": _SCALINGS,
        "diracnet_imagenet": _SCALINGS,
    }
)
METRICS: Final = tuple(dict.fromkeys(metric for metrics in PROBED.values() for metric in metrics))
COORDS: Final = ("column", "layer", "group")
