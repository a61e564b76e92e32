"""What makes a step faster and moves its rounding: memory format, tensor cores, compiled code.

A study asks for each by name, since it is part of what is computed. The slow plain reference is the same
training with `memory_format: contiguous`, `tf32: false` and `compile: false`; tests hold them equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import nn

from workloads.api import Json
from workloads.configs import TrainConfig

_LIMIT: Final = (
    64  # graphs of one network: one for each size of mini-batch, and parts that drop-path switches
)


def channels_last(config: TrainConfig, device: torch.device) -> bool:
    """Returns whether filters lie in memory with their channels last, and so what is computed from them.

    On a CPU it makes a step 8 % (8x8 images) to 50 % (32x32) faster, and is what "auto" means there.
    """
    return config.memory_format == "channels_last" or (
        config.memory_format == "auto" and device.type == "cpu"
    )


def compiled(network: nn.Module) -> Callable[..., Any]:
    """Returns a network's forward pass, compiled at its first calls.

    Its parameters stay the network's own. Each size of mini-batch has a graph of its own: one for all sizes
    would be made at the second size, so that a continued training could take another than the first one did.
    """
    # the compiler is loaded here, and is told what `placement.deterministically` has set without it
    torch.use_deterministic_algorithms(torch.are_deterministic_algorithms_enabled())
    torch._dynamo.reset()  # graphs of earlier networks of the process count towards torch's limit
    compile_: Any = torch.compile
    with_limit: Callable[..., Any] = compile_(network, dynamic=False)

    def forward(*arguments: Any) -> Any:
        with torch._dynamo.config.patch(recompile_limit=_LIMIT, fail_on_recompile_limit_hit=True):
            return with_limit(*arguments)

    return forward


def told(config: TrainConfig, device: torch.device) -> Mapping[str, Json]:
    """Returns what a training's step was made of, for its provenance."""
    return {
        "precision": config.precision,
        "memory_format": "channels_last" if channels_last(config, device) else "contiguous",
        "tf32": config.tf32 and device.type == "cuda",
        "compiled": config.compile,
    }
