"""Dirac convolutions in one to three dimensions against loops, torch's own delta and gradients by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from workloads.networks.dirac_conv import (
    DiracConv1d,
    DiracConv2d,
    DiracConv3d,
    DiracWeight,
    Form,
    delta,
    filters,
)

CONVOLUTIONS: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
LAYERS: dict[int, Any] = {1: DiracConv1d, 2: DiracConv2d, 3: DiracConv3d}
KERNELS = [(1,), (3,), (4,), (5,), (3, 3), (2, 2), (4, 3), (1, 5), (3, 3, 3), (2, 3, 4)]
CHANNELS = [(4, 4), (3, 5), (5, 3), (1, 6), (6, 1)]


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer_of(
    kernel: tuple[int, ...], inputs: int, outputs: int, *, form: Form = "normalised", **geometry: Any
) -> Any:
    """A layer in double precision whose weights and scalings are not those of its beginning."""
    kind = LAYERS[len(kernel)]
    layer = kind(inputs, outputs, kernel if len(kernel) > 1 else kernel[0], form=form, **geometry).double()
    with torch.no_grad():
        for seed, parameter in enumerate(layer.parameters()):
            parameter.copy_(rand(*parameter.shape, seed=seed))
    return layer


# --- the delta --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize(("inputs", "outputs"), CHANNELS)
def test_the_delta_is_torchs(kernel: tuple[int, ...], inputs: int, outputs: int) -> None:
    ours = delta((outputs, inputs, *kernel))
    assert torch.equal(ours, torch.nn.init.dirac_(torch.empty(outputs, inputs, *kernel)))
    assert int(ours.sum()) == min(inputs, outputs)
    # equation 2 with its centre named: written out for every entry
    for at in torch.cartesian_prod(*(torch.arange(each) for each in ours.shape)).tolist():
        centre = all(tap == taps // 2 for tap, taps in zip(at[2:], kernel, strict=True))
        assert ours[tuple(at)] == float(at[0] == at[1] and centre)


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize(("inputs", "outputs"), [(6, 6), (6, 12), (12, 6)])
def test_the_delta_of_grouped_convolutions_is_torchs(groups: int, inputs: int, outputs: int) -> None:
    shape = (outputs, inputs // groups, 3, 3)
    assert torch.equal(delta(shape, groups=groups), torch.nn.init.dirac_(torch.empty(shape), groups))
    layer = layer_of((3, 3), inputs, outputs, groups=groups, padding=1)
    assert torch.equal(layer.dirac.delta, delta(shape, groups=groups).double())
    assert layer(rand(2, inputs, 5, 5)).shape == (2, outputs, 5, 5)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize(("inputs", "outputs"), CHANNELS)
def test_convolving_with_the_delta_is_the_identity(
    kernel: tuple[int, ...], inputs: int, outputs: int
) -> None:
    """Equation 1, by a layer whose a is 1 and b is 0; an even kernel gives one output more."""
    layer = layer_of(kernel, inputs, outputs, padding=tuple(taps // 2 for taps in kernel))
    with torch.no_grad():
        layer.dirac.a.fill_(1)
        layer.dirac.b.zero_()
    sides = (6, 5, 4)[: len(kernel)]
    x = rand(2, inputs, *sides)
    y = layer(x)
    assert y.shape[2:] == tuple(side + (taps % 2 == 0) for side, taps in zip(sides, kernel, strict=True))
    inside = (slice(None), slice(None), *(slice(side) for side in sides))
    passed = min(inputs, outputs)
    assert torch.equal(y[inside][:, :passed], x[:, :passed])
    assert torch.equal(y[:, passed:], torch.zeros_like(y[:, passed:]))
    assert layer.dirac.passing_O.tolist() == [output < passed for output in range(outputs)]


# --- the filters ------------------------------------------------------------------------------------


def slow(layer: Any) -> Tensor:
    """The filters one by one, from equations 4, 5 and 8."""
    rows = []
    centre = tuple(taps // 2 for taps in layer.weight.shape[2:])
    for output, weight in enumerate(layer.weight):
        row = weight
        if layer.dirac.b is not None:
            length = math.sqrt(sum(value**2 for value in weight.detach().reshape(-1).tolist()))
            row = layer.dirac.b[output] * weight / length
        row = row.clone()
        if output < layer.weight.shape[1]:
            row[(output, *centre)] = row[(output, *centre)] + (
                1 if layer.dirac.a is None else layer.dirac.a[output]
            )
        rows.append(row)
    return torch.stack(rows)


@pytest.mark.parametrize("form", ["delta", "scaled", "normalised"])
@pytest.mark.parametrize("kernel", [(3,), (4,), (3, 3), (2, 4), (3, 3, 3)], ids=str)
@pytest.mark.parametrize(("inputs", "outputs"), [(4, 4), (3, 5), (5, 3)])
def test_filters_are_those_of_a_slow_loop(
    form: Form, kernel: tuple[int, ...], inputs: int, outputs: int
) -> None:
    layer = layer_of(kernel, inputs, outputs, form=form)
    torch.testing.assert_close(filters(layer), slow(layer), rtol=0, atol=1e-14)
    x = rand(2, inputs, *(6, 5, 5)[: len(kernel)])
    torch.testing.assert_close(layer(x), CONVOLUTIONS[len(kernel)](x, slow(layer)), rtol=0, atol=1e-13)
    scalings = {"delta": set(), "scaled": {"dirac.a"}, "normalised": {"dirac.a", "dirac.b"}}
    assert {name for name, _ in layer.named_parameters()} == {"weight"} | scalings[form]
    # the delta is a constant: neither learned nor saved
    assert set(layer.state_dict()) == {name for name, _ in layer.named_parameters()}
    assert not layer.dirac.delta.requires_grad


@pytest.mark.parametrize(("inputs", "outputs"), [(4, 4), (3, 5), (5, 3)])
def test_gradients_are_those_worked_out_by_hand(inputs: int, outputs: int) -> None:
    """The chain rule of equation 5 for each filter: with n = W / ||W|| and G the gradient of the filter,
    da = G at the delta's place, db = G . n, dW = b (G - (G . n) n) / ||W||."""
    layer = layer_of((3, 3), inputs, outputs, padding=1)
    x, target = rand(3, inputs, 5, 4, seed=7), rand(3, outputs, 5, 4, seed=8)
    (layer(x) * target).sum().backward()
    # of the convolution alone, whose gradient is the correlation of input and target
    padded = F.pad(x, (1, 1, 1, 1))
    for output in range(outputs):
        gradient = torch.zeros(inputs, 3, 3, dtype=torch.float64)
        for channel in range(inputs):
            for row in range(3):
                for column in range(3):
                    patch = padded[:, channel, row : row + 5, column : column + 4]
                    gradient[channel, row, column] = (patch * target[:, output]).sum()
        weight, b = layer.weight[output].detach(), layer.dirac.b[output].item()
        length = weight.norm()
        n = weight / length
        expected_a = gradient[output, 1, 1] if output < inputs else torch.zeros((), dtype=torch.float64)
        along = (gradient * n).sum()
        for found, expected in (
            (layer.dirac.a, expected_a),
            (layer.dirac.b, along),
            (layer.weight, b * (gradient - along * n) / length),
        ):
            torch.testing.assert_close(found.grad[output], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", [(3,), (2, 3), (2, 2, 2)], ids=str)
@pytest.mark.parametrize("form", ["delta", "scaled", "normalised"])
def test_gradients_are_those_of_finite_differences(kernel: tuple[int, ...], form: Form) -> None:
    weight = DiracWeight((3, 2, *kernel), form=form).double()
    names = [name for name, _ in weight.named_parameters()]

    def made(values: Tensor, *scalings: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(
            weight, dict(zip(names, scalings, strict=True)), (values,)
        )
        return result

    inputs = [rand(3, 2, *kernel), *(rand(3, seed=seed) for seed, _ in enumerate(names, start=1))]
    assert torch.autograd.gradcheck(made, [each.requires_grad_() for each in inputs])


def test_the_norm_is_of_each_whole_filter() -> None:
    layer = layer_of((3, 3), 4, 6)
    learned = filters(layer).detach() - layer.dirac.a.detach().view(-1, 1, 1, 1) * layer.dirac.delta
    for output in range(6):
        assert float(learned[output].norm()) == pytest.approx(abs(layer.dirac.b[output].item()), abs=1e-14)


@pytest.mark.parametrize("factor", [1e-6, 0.5, 1000.0])
def test_the_size_of_the_weights_changes_steps_and_not_outputs(factor: float) -> None:
    """So N(0, 1) and He's scheme begin with one function; the step of W is as 1 / ||W|| squared."""
    layer, larger = (layer_of((3, 3), 3, 4, padding=1) for _ in range(2))
    with torch.no_grad():
        larger.weight.mul_(factor)
    x, target = rand(2, 3, 5, 5, seed=3), rand(2, 4, 5, 5, seed=4)
    for each in (layer, larger):
        (each(x) * target).sum().backward()
    torch.testing.assert_close(larger(x), layer(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(larger.weight.grad * factor, layer.weight.grad, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(larger.dirac.a.grad, layer.dirac.a.grad, rtol=1e-12, atol=1e-12)
    # along W nothing is to be gained
    along = (layer.weight * layer.weight.grad).detach().flatten(1).sum(1)
    assert float(along.abs().max()) < 1e-12


def test_scalings_begin_where_the_paper_says() -> None:
    layer = DiracConv2d(3, 5, 3)
    assert layer.dirac.a is not None
    assert layer.dirac.b is not None
    assert layer.dirac.a.tolist() == [1.0] * 5
    assert layer.dirac.b.tolist() == [torch.tensor(0.1).item()] * 5
    assert layer.bias is None
    layer.dirac.a.data.zero_()
    layer.dirac.reset_parameters()
    assert layer.dirac.a.tolist() == [1.0] * 5
    other = DiracConv2d(3, 5, 3, initial_a=0.5, initial_b=-2.0, bias=True)
    assert other.dirac.a is not None
    assert other.dirac.b is not None
    assert (other.dirac.a[0].item(), other.dirac.b[0].item()) == (0.5, -2.0)
    assert other.bias is not None


def test_filters_lie_in_memory_as_the_weights_do() -> None:
    """Trainings on a CPU have channels last, which convolutions are faster with."""
    layer = layer_of((3, 3), 4, 6)
    layer.weight.data = layer.weight.data.to(memory_format=torch.channels_last)
    made = filters(layer)
    assert made.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(made, slow(layer), rtol=0, atol=1e-14)


def test_a_filter_of_zeros_stays_one() -> None:
    layer = layer_of((3, 3), 2, 2)
    with torch.no_grad():
        layer.weight[0].zero_()
    expected = layer.dirac.a[0] * layer.dirac.delta[0]
    assert torch.equal(filters(layer)[0], expected)
