"""The update rule of a training and its precision, as configuration. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from workloads.ranges import is_finite, one_of, require

Decay: TypeAlias = Literal["all", "filters", "no_bias"]
Precision: TypeAlias = Literal["float32", "bfloat16", "float16", "float64"]
MemoryFormat: TypeAlias = Literal["auto", "channels_last", "contiguous"]
MEMORY_FORMATS: Final = ("auto", "channels_last", "contiguous")
PRECISIONS: Final = ("float32", "bfloat16", "float16", "float64")


@dataclass(frozen=True, slots=True, kw_only=True)
class SGD:
    """Stochastic gradient descent with momentum, in torch's form: the learning rate is outside the momentum.

    Source: Zhao et al. 2016, section 6.2 (momentum 0.9, weight decay 1e-4, learning rate 0.1); their
    code uses Nesterov's momentum and decays every parameter, biases and BN's gamma and beta included.

    Attributes:
        lr: Peak learning rate.
        momentum: Share of the last update that is kept, in [0, 1).
        nesterov: Looks ahead along the momentum (Zhao et al., code).
        weight_decay: L2 penalty's coefficient.
        decay: What is decayed: "all" parameters (Zhao et al., code); "filters", those that are no vectors, so
            neither biases nor BN's gamma and beta nor Dirac scalings (Zagoruyko and Komodakis 2017, code:
            `dim() != 1`); "no_bias", all but biases, BN's beta among them (Larsson et al. 2017, template).
        bias_rate: What the learning rate of biases is multiplied by (Larsson et al. 2017, template: 2).
    """

    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 1e-4
    decay: Decay = "all"
    bias_rate: float = 1.0

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
        one_of("decay", self.decay, ("all", "filters", "no_bias"))
        require(
            is_finite(self.bias_rate) and self.bias_rate >= 0,
            "bias_rate",
            self.bias_rate,
            "a finite number of at least 0",
        )
