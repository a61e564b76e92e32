"""What a study may cost at most."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.model.plan import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits past which nothing more is begun; None for none.

    Attributes:
        device_s: Seconds of devices: of GPUs where a trial holds one, else of CPUs, by the share it holds.
            All attempts of the study's own submissions count.
        wall_s: Seconds that one driver may go on.
        disk_bytes: Parts and checkpoints of the study's trials.
    """

    device_s: float | None = None
    wall_s: float | None = None
    disk_bytes: int | None = None

    def __str__(self) -> str:
        """Returns "2 device hours, 1.5 h of driving, 10 GB"."""
        told = [] if self.device_s is None else [f"{self.device_s / 3600:.3g} device hours"]
        told += [] if self.wall_s is None else [f"{self.wall_s / 3600:.3g} h of driving"]
        told += [] if self.disk_bytes is None else [f"{self.disk_bytes / 1e9:.3g} GB"]
        return ", ".join(told)


def share(resources: Resources) -> float:
    """Returns how many devices a trial holds: GPUs, or CPUs where it holds no GPU."""
    return resources.gpu or resources.cpu
