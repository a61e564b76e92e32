"""Placements that cannot be."""

from __future__ import annotations

import subprocess
import sys

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


SPARE = """
import sys
from pathlib import Path
from workloads.api import Placement
from workloads.classification import describe
from workloads.configs import TrainConfig
from workloads.training import train
for report in train(TrainConfig(epochs=1), seeds=range(1), data=Path(), resume={}, placement=Placement()):
    pass
describe(TrainConfig())
spared = ("torch._dynamo", "torch._inductor", "torchvision", "scipy", "sympy", "triton")
print([name for name in spared if name in sys.modules])
"""


def test_a_training_on_digits_loads_nothing_that_it_does_not_need() -> None:
    done = subprocess.run([sys.executable, "-c", SPARE], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


LATER = """
import sys
import torch
from workloads.api import Placement
from workloads.faster import compiled
from workloads.placement import placed
with placed(Placement()):
    before = "torch._inductor" in sys.modules
    compiled(torch.nn.Linear(2, 2))
    within = torch._inductor.config.deterministic
print(before, within, torch._inductor.config.deterministic, torch.are_deterministic_algorithms_enabled())
"""


@pytest.mark.slow
def test_a_compiler_that_is_loaded_later_knows_what_was_set() -> None:
    done = subprocess.run([sys.executable, "-c", LATER], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False", "True", "False", "False"], done.stderr
