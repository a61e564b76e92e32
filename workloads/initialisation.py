"""Distributions of initial weights, as configuration. Torch-free; `networks.draws` draws from them.

Biases start at 0 and batch normalisation at gamma 1, beta 0 under every scheme.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from workloads.ranges import is_finite, one_of, require


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class He:
    """Convolutions: normal, variance 2 / fan-in. Last layer: uniform in ±1/sqrt(fan-in).

    Source: He et al. 2015, equation 10; Zhao et al. 2016, section 6.2 and code.
    """

    name: Literal["he"] = "he"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Xavier:
    """Every layer uniform, with a variance that keeps activations' size in a linear network.

    Source: Glorot and Bengio 2010, equation 16. Larsson et al. 2017, section 4.1, used Caffe's filler.

    Attributes:
        form: "caffe": ±sqrt(3 / fan-in), the filler's default; "both": ±sqrt(6 / (fan-in + fan-out)).
    """

    name: Literal["xavier"] = "xavier"
    form: Literal["caffe", "both"] = "caffe"

    def __post_init__(self) -> None:
        """Checks values."""
        one_of("form", self.form, ("caffe", "both"))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """Convolutions: normal with one standard deviation for every filter shape.

    Source: Zagoruyko and Komodakis 2017, section 3.4 (from 1e-8 to 1, and all zeros, which fails).

    Attributes:
        std: Standard deviation; 0 for all zeros.
        head: Whether the last layer is drawn so too; otherwise it is as under "he".
    """

    name: Literal["normal"] = "normal"
    std: float = 0.01
    head: bool = False

    def __post_init__(self) -> None:
        """Checks ranges."""
        require(is_finite(self.std) and self.std >= 0, "std", self.std, "a finite number of at least 0")
        require(isinstance(self.head, bool), "head", self.head, "true or false")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Orthogonal:
    """Convolutions: filters as the rows (or columns) of a random orthogonal matrix, times a gain.

    Source: Saxe et al. 2014; Zagoruyko and Komodakis 2017, section 3.4 (a sweep of the gain).

    Attributes:
        gain: What the orthogonal matrix is multiplied by.
        head: Whether the last layer is drawn so too; otherwise it is as under "he".
    """

    name: Literal["orthogonal"] = "orthogonal"
    gain: float = 1.0
    head: bool = False

    def __post_init__(self) -> None:
        """Checks ranges."""
        require(is_finite(self.gain) and self.gain > 0, "gain", self.gain, "a finite number above 0")
        require(isinstance(self.head, bool), "head", self.head, "true or false")


Initialisation: TypeAlias = He | Xavier | Normal | Orthogonal
