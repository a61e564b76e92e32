"""Placements that cannot be."""

from __future__ import annotations

import pytest
import torch

from workloads.api import Placement
from workloads.placement import device_of, placed


def test_a_placement_names_a_device_that_is_there() -> None:
    assert device_of(Placement()) == torch.device("cpu")
    with pytest.raises(ValueError, match="devices: got none"):
        device_of(Placement(devices=()))


def test_a_missing_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="got 'cuda:3', but this machine's torch sees no CUDA device"):
        device_of(Placement(devices=("cuda:3",)))


def test_settings_come_back_after_an_error() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()

    def fail_inside() -> None:
        with placed(Placement(threads=threads + 1), torch.Generator().manual_seed(1)):
            assert torch.get_num_threads() == threads + 1
            assert torch.are_deterministic_algorithms_enabled()
            torch.rand(3)
            raise ArithmeticError("fault")

    with pytest.raises(ArithmeticError):
        fail_inside()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()
