"""Named random streams: one seed feeds each use of randomness through a stream of its own.

Changing how many numbers one use draws (an augmentation switched on, say) then leaves all the others
as they were, so that cells of a study stay comparable seed by seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import torch

NAMES: Final = ("initialisation", "order", "augmentation", "regularisation", "modules")


def stream_seed(name: str, seed: int) -> int:
    """Returns the 63-bit seed of a stream: blake2b of its name and the training's seed."""
    digest = hashlib.blake2b(f"{name}:{seed}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1  # torch takes a signed 64-bit seed


def generator(name: str, seed: int) -> torch.Generator:
    """Returns a fresh CPU generator of the stream; draws are the same on every device."""
    return torch.Generator().manual_seed(stream_seed(name, seed))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """The random streams of one training.

    Attributes:
        initialisation: Initial weights.
        order: Order of the images in each epoch.
        augmentation: Crops and flips.
        regularisation: Whatever a network draws in its forward pass: it stands in for torch's global
            generator while the training runs.
        modules: Which parts of a network a mini-batch trains (stochastic depth, drop-path).
    """

    initialisation: torch.Generator
    order: torch.Generator
    augmentation: torch.Generator
    regularisation: torch.Generator
    modules: torch.Generator

    @classmethod
    def of(cls, seed: int) -> Streams:
        """Returns the streams of a seed at their beginning."""
        return cls(**{name: generator(name, seed) for name in NAMES})

    def state(self) -> dict[str, torch.Tensor]:
        """Returns name -> state (uint8 vector), for a checkpoint."""
        return {name: getattr(self, name).get_state() for name in NAMES}

    def set_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continues every stream where `state` was taken."""
        for name in NAMES:
            if name in state:  # a stream that came later than a checkpoint is at its beginning
                getattr(self, name).set_state(state[name])
