"""Scaling of the loss, without which small gradients vanish in float16.

Source: Micikevicius et al. 2018, section 3.2; growth and backoff as torch's GradScaler has them.
"""

from __future__ import annotations

from typing import Final, final

import torch

_GROWTH, _BACKOFF, _EVERY = 2.0, 0.5, 2000
FIRST: Final = 65536.0


@final
class LossScale:
    """A factor of the loss that grows while gradients stay finite and shrinks when they do not.

    Attributes:
        value: The factor.
        good: Steps with finite gradients since it last changed.
    """

    def __init__(self) -> None:
        """Begins with 2^16, as torch does."""
        self.value, self.good = FIRST, 0

    def unscale(self, gradients_P: torch.Tensor) -> bool:
        """Divides gradients by the factor and adapts it; returns whether they are finite, to be learnt from.

        Args:
            gradients_P: Gradients of the scaled loss, changed in place.
        """
        gradients_P.mul_(1 / self.value)
        if not bool(gradients_P.isfinite().all()):
            self.value, self.good = self.value * _BACKOFF, 0
            return False
        self.good += 1
        if self.good == _EVERY:
            self.value, self.good = self.value * _GROWTH, 0
        return True

    def state(self) -> torch.Tensor:
        """Returns what `set_state` takes, for a checkpoint."""
        return torch.tensor([self.value, self.good], dtype=torch.float64)

    def set_state(self, state: torch.Tensor) -> None:
        """Continues where `state` was taken."""
        value, good = state.tolist()
        self.value, self.good = value, int(good)
