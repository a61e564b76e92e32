"""Convolutions in one, two and three dimensions whose filters are a scaled delta and a residual.

Convolving with the delta alone is the identity: it is 1 at (i, i, centre) and 0 elsewhere (equation 2 as
printed has 1 at every tap, which contradicts equation 1). Where a convolution has more outputs than inputs,
the delta of those beyond is 0; where it has fewer, the inputs beyond are not passed on: so too
`torch.nn.init.dirac_`. The centre of K taps is K // 2, so that with a padding of K // 2 and stride 1 output t
is input t; for even K there is one output more.

Shapes: N images, O outputs, I inputs of a group, then one to three spatial dimensions: K taps of a filter.
Source: Zagoruyko and Komodakis 2017, equations 1 to 5 and 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias, cast, final

import torch
from torch import Tensor, nn

# delta: I + W (equation 8); scaled: diag(a) I + W (4); normalised: diag(a) I + diag(b) W / ||W|| (5)
Form: TypeAlias = Literal["delta", "scaled", "normalised"]
# as torch's normalize: a filter of zeros stays one
_LEAST_NORM: Final = 1e-12


def delta(shape: Sequence[int], *, groups: int = 1) -> Tensor:
    """Returns delta_OIK..., the filters that pass their input on.

    Args:
        shape: (O, I, K, ...), I of one group.
        groups: Of the convolution, each with O / groups outputs.
    """
    filters = torch.zeros(*shape)
    outputs = shape[0] // groups
    passed = torch.arange(min(outputs, shape[1]))
    centre = tuple(taps // 2 for taps in shape[2:])
    for group in range(groups):
        index: tuple[Any, ...] = (group * outputs + passed, passed, *centre)
        filters[index] = 1.0
    return filters


@final
class DiracWeight(nn.Module):
    """The filters that a Dirac convolution convolves with, from its weights.

    Attributes:
        form: Which equation.
        a: a_O, scalings of the delta; None in equation 8.
        b: b_O, scalings of the normalised filters; None but in equation 5.
        delta: delta_OIK..., a constant.
        passing_O: Whether an output has a delta at all.
    """

    delta: Tensor
    passing_O: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        *,
        groups: int = 1,
        form: Form = "normalised",
        initial_a: float = 1.0,
        initial_b: float = 0.1,
    ) -> None:
        """Makes the scalings and the delta.

        Args:
            shape: Of the weights, (O, I, K, ...).
            groups: Of the convolution.
            form: Which equation.
            initial_a: a at first (section 2).
            initial_b: b at first (section 2).
        """
        super().__init__()
        self.form: Final = form
        self._initial = initial_a, initial_b
        self._filter = tuple(range(1, len(shape)))
        self._column = (-1, *(1 for _ in shape[1:]))
        self.a = nn.Parameter(torch.empty(shape[0])) if form != "delta" else None
        self.b = nn.Parameter(torch.empty(shape[0])) if form == "normalised" else None
        constant = delta(shape, groups=groups)
        # constants follow from the shape, so a checkpoint need not hold them
        self.register_buffer("delta", constant, persistent=False)
        self.register_buffer("passing_O", constant.flatten(1).any(1), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Leaves the scalings at their initial values."""
        for scaling, value in zip((self.a, self.b), self._initial, strict=True):
            if scaling is not None:
                nn.init.constant_(scaling, value)

    def forward(self, weight: Tensor) -> Tensor:
        """Returns the filters.

        Args:
            weight: weight_OIK..., the W of the equations.
        """
        if self.b is not None:
            # not flattened: weights may lie in memory with their channels last, and that would copy them
            norm = torch.linalg.vector_norm(weight, dim=self._filter, keepdim=True).clamp_min(_LEAST_NORM)
            weight = weight * (self.b.view(self._column) / norm)
        if self.a is None:
            return weight + self.delta
        return torch.addcmul(weight, self.a.view(self._column), self.delta)


@final
class DiracConv1d(nn.Conv1d):
    """A convolution of sequences with the filters of `DiracWeight`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        form: Form = "normalised",
        initial_a: float = 1.0,
        initial_b: float = 0.1,
        **geometry: Any,
    ) -> None:
        """Takes `torch.nn.Conv1d`'s stride, padding, dilation, groups and bias; without bias by default."""
        super().__init__(inputs, outputs, kernel, **{"bias": False} | geometry)
        self.dirac = _dirac(self, form, initial_a, initial_b)

    def forward(self, input: Tensor) -> Tensor:
        """Returns the convolved sequences (N, O, length)."""
        return cast(Tensor, self._conv_forward(input, self.dirac(self.weight), self.bias))


@final
class DiracConv2d(nn.Conv2d):
    """A convolution of images with the filters of `DiracWeight`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        form: Form = "normalised",
        initial_a: float = 1.0,
        initial_b: float = 0.1,
        **geometry: Any,
    ) -> None:
        """Takes `torch.nn.Conv2d`'s stride, padding, dilation, groups and bias; without bias by default."""
        super().__init__(inputs, outputs, kernel, **{"bias": False} | geometry)
        self.dirac = _dirac(self, form, initial_a, initial_b)

    def forward(self, input: Tensor) -> Tensor:
        """Returns the convolved images (N, O, height, width)."""
        return cast(Tensor, self._conv_forward(input, self.dirac(self.weight), self.bias))


@final
class DiracConv3d(nn.Conv3d):
    """A convolution of volumes with the filters of `DiracWeight`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int, int],
        *,
        form: Form = "normalised",
        initial_a: float = 1.0,
        initial_b: float = 0.1,
        **geometry: Any,
    ) -> None:
        """Takes `torch.nn.Conv3d`'s stride, padding, dilation, groups and bias; without bias by default."""
        super().__init__(inputs, outputs, kernel, **{"bias": False} | geometry)
        self.dirac = _dirac(self, form, initial_a, initial_b)

    def forward(self, input: Tensor) -> Tensor:
        """Returns the convolved volumes (N, O, depth, height, width)."""
        return cast(Tensor, self._conv_forward(input, self.dirac(self.weight), self.bias))


def filters(conv: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> Tensor:
    """Returns what a convolution convolves with: its weights, or what a Dirac convolution makes of them."""
    if isinstance(conv, DiracConv1d | DiracConv2d | DiracConv3d):
        return cast(Tensor, conv.dirac(conv.weight))
    return conv.weight


def _dirac(
    conv: nn.Conv1d | nn.Conv2d | nn.Conv3d, form: Form, initial_a: float, initial_b: float
) -> DiracWeight:
    return DiracWeight(
        conv.weight.shape, groups=conv.groups, form=form, initial_a=initial_a, initial_b=initial_b
    )
