"""What a store knows of training seeds as one network, for a plan with `fuse: auto`."""

from __future__ import annotations

import socket

from orchestrator.app.forecast import machine_of
from orchestrator.app.session import Session
from orchestrator.model.study import Study
from orchestrator.settings import Settings
from orchestrator.study.fusing import NOTHING, Known


def known_fusing(session: Session | None, settings: Settings, study: Study) -> Known:
    """Returns measurements, the slots of this machine, and the groups of what was begun.

    On this machine only what was measured on it counts; in a cluster whatever any of its nodes found.

    Args:
        session: The store, None before there is one.
        settings: As loaded.
        study: As declared.
    """
    if study.fuse != "auto":
        return NOTHING
    machine = machine_of(settings)
    if session is None:
        return Known(machine=machine)
    verdicts = session.registry.verdicts()
    here = socket.gethostname()
    trials = session.registry.trials(study.name)
    statuses = session.registry.statuses(list(trials))
    return Known(
        verdicts={
            each.pace: each for each in verdicts if settings.ray_address is not None or each.host == here
        },
        machine=machine,
        recorded={key: trial.group for key, trial in trials.items() if statuses[key].epoch},
    )
