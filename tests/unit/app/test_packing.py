"""How trials share a machine."""

from __future__ import annotations

from orchestrator.app.packing import Machine, packing, this_machine
from orchestrator.execution.memory import STEP_MB, held_mb, peak_mb
from orchestrator.model.forecast import Past


def past(memory_mb: float, device_memory_mb: float = 0.0) -> Past:
    return Past(
        stage="train",
        workload="w",
        config={},
        seconds=2.0,
        memory_mb=memory_mb,
        device_memory_mb=device_memory_mb,
    )


def test_a_trial_takes_a_processor_until_memory_is_short() -> None:
    machine = Machine(cpus=8, memory_mb=16 * 1024)
    assert packing(machine, []).why.startswith("8 trials at once: 8 processors, one thread a trial")
    assert not packing(machine, []).by_memory
    small = packing(machine, [past(500), past(700)])
    assert (small.at_once, small.by_memory) == (8, False)
    large = packing(machine, [past(500), past(3 * 1024)])
    assert (large.at_once, large.by_memory) == (4, True)  # nine tenths of 16 GiB, 3 GiB each
    assert "the largest worker of 2 trials held 3 GiB of 16 GiB, so that memory has room for 4" in large.why
    assert packing(machine, [past(99 * 1024)]).at_once == 1
    assert packing(Machine(cpus=3, memory_mb=None), [past(99 * 1024)]).at_once == 3


def test_a_gpu_is_shared_by_what_trials_held_of_it() -> None:
    machine = Machine(cpus=8, memory_mb=64 * 1024, gpus_mb=(24 * 1024, 24 * 1024))
    assert packing(Machine(cpus=8, memory_mb=None), [past(1, 1)]).gpu == ""
    assert "once some have run" in packing(machine, [past(500)]).gpu
    assert packing(machine, [past(500, 5 * 1024)]).gpu.startswith("4 trials a GPU (resources: {gpu: 0.25})")
    assert packing(machine, [past(500, 20 * 1024)]).gpu.startswith("1 trials a GPU (resources: {gpu: 1})")


def test_this_machine_is_seen() -> None:
    machine = this_machine()
    assert machine.cpus >= 1
    assert machine.memory_mb is None or machine.memory_mb > 100
    held = peak_mb()
    assert held is not None
    assert 10 < held < (machine.memory_mb or 1e9)
    rounded = held_mb()
    assert rounded is not None
    assert rounded % STEP_MB == 0
    assert held <= rounded
