"""How a network is trained, as configuration: optimizer and learning-rate schedules. Torch-free.

The learning rate is a function of the number of finished steps alone, so a schedule has no state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias


def require(fits: bool, name: str, got: object, allowed: str) -> None:
    """Raises the ValueError that names a field, what was got and what is allowed, unless it fits."""
    if not fits:
        raise ValueError(f"{name}: got {got!r}, allowed is {allowed}")


def is_count(value: object) -> bool:
    """Returns whether a value is an integer (and not a bool)."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_finite(value: object) -> bool:
    """Returns whether a value is a finite number (and not a bool)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SGD:
    """Stochastic gradient descent with momentum.

    Source: Zhao et al. 2016, section 6.2 (momentum 0.9, weight decay 1e-4, learning rate 0.1); their
    code uses Nesterov's momentum and decays every parameter, biases and BN's gamma and beta included.

    Attributes:
        lr: Peak learning rate.
        momentum: Share of the last update that is kept, in [0, 1).
        nesterov: Looks ahead along the momentum (Zhao et al., code).
        weight_decay: L2 penalty's coefficient, on every parameter (Zhao et al., code).
    """

    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        """Checks ranges."""
        require(is_finite(self.lr) and self.lr > 0, "lr", self.lr, "a finite number above 0")
        require(
            is_finite(self.momentum) and 0 <= self.momentum < 1,
            "momentum",
            self.momentum,
            "0 <= momentum < 1",
        )
        require(isinstance(self.nesterov, bool), "nesterov", self.nesterov, "true or false")
        require(
            is_finite(self.weight_decay) and self.weight_decay >= 0,
            "weight_decay",
            self.weight_decay,
            "a finite number of at least 0",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The learning rate falls by a factor at fixed fractions of the training.

    Source: Zhao et al. 2016, section 6.2: x0.1 after 1/2, 3/4 and 7/8 of the epochs.

    Attributes:
        at: Fractions of the training, increasing, each in (0, 1).
        factor: What the learning rate is multiplied by at each, in (0, 1].
    """

    name: Literal["step"] = "step"
    at: tuple[float, ...] = (0.5, 0.75, 0.875)
    factor: float = 0.1

    def __post_init__(self) -> None:
        """Checks ranges."""
        increasing = all(is_finite(each) and 0 < each < 1 for each in self.at) and all(
            low < high for low, high in zip(self.at, self.at[1:], strict=False)
        )
        require(increasing, "at", list(self.at), "increasing fractions between 0 and 1")
        require(is_finite(self.factor) and 0 < self.factor <= 1, "factor", self.factor, "0 < factor <= 1")

    def scale(self, step: int, steps: int) -> float:
        """Returns the share of the peak learning rate at a step.

        Args:
            step: Finished steps, 0 to steps - 1.
            steps: Steps of the whole training.
        """
        return self.factor ** sum(step >= fraction * steps for fraction in self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine:
    """The learning rate falls from its peak to zero along half a cosine.

    Source: Loshchilov and Hutter 2017, equation 5, without restarts.
    """

    name: Literal["cosine"] = "cosine"

    def scale(self, step: int, steps: int) -> float:
        """Returns the share of the peak learning rate at a step; see `Step.scale`."""
        return 0.5 * (1 + math.cos(math.pi * step / steps))


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCycle:
    """The learning rate rises to its peak and falls to almost nothing, each along half a cosine.

    Source: Smith and Topin 2018; the form and the defaults are those of torch's OneCycleLR, momentum
    left constant. For trainings of few epochs.

    Attributes:
        warmup: Fraction of the training in which it rises, in (0, 1).
        start: First learning rate's share of the peak.
        end: Last learning rate's share of the peak.
    """

    name: Literal["one_cycle"] = "one_cycle"
    warmup: float = 0.3
    start: float = 0.04
    end: float = 4e-6

    def __post_init__(self) -> None:
        """Checks ranges."""
        require(is_finite(self.warmup) and 0 < self.warmup < 1, "warmup", self.warmup, "0 < warmup < 1")
        require(is_finite(self.start) and 0 < self.start <= 1, "start", self.start, "0 < start <= 1")
        require(is_finite(self.end) and 0 <= self.end <= 1, "end", self.end, "0 <= end <= 1")

    def scale(self, step: int, steps: int) -> float:
        """Returns the share of the peak learning rate at a step; see `Step.scale`."""
        top = max(self.warmup * steps - 1, 1e-9)  # the step of the peak, as torch counts it
        last = max(steps - 1, top)
        if step <= top:
            return _between(self.start, 1.0, step / top)
        return _between(1.0, self.end, (step - top) / max(last - top, 1e-9))


def _between(first: float, last: float, share: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * share))


Schedule: TypeAlias = Step | Cosine | OneCycle
