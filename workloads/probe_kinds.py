"""What can be measured inside a network while it trains, as known without torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# kind of network -> metrics
PROBED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"fractalnet": ("column_loss", "column_error")}
)
METRICS: Final = tuple(dict.fromkeys(metric for metrics in PROBED.values() for metric in metrics))
COORDS: Final = ("column",)
