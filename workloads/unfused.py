"""Why the networks of a configuration's seeds cannot be computed as one. Torch-free."""

from __future__ import annotations

from workloads.configs import TrainConfig
from workloads.data.photo_kinds import ImageFolder, ImageNet


def unfused(config: TrainConfig) -> str | None:
    """Returns the reason, as the end of a sentence that begins with "not fused:", or None.

    Args:
        config: Canonical configuration.
    """
    if config.precision == "float16":
        return "with precision float16 each network has a loss scale of its own"
    if config.compile:
        return "compiled code is made for one network at a time"
    if isinstance(config.data, ImageNet | ImageFolder):
        return f"{config.data.name} is decoded as it is needed, for one network at a time"
    return None
