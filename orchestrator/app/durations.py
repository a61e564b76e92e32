"""What trials of a config have taken before, for bundles of a submission."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from orchestrator.app.pricing import NOTHING_COUNTED, Judge
from orchestrator.model.plan import Trial, TrialKey
from orchestrator.ports import Registry


def past_durations(registry: Registry, trials: Mapping[TrialKey, Trial]) -> Callable[[Trial], float | None]:
    """Returns what gives the seconds that trials like one took, None where there were none of its config.

    The past is read when it is first asked for: a submission of long trainings may never do so.
    """
    judges: list[Judge] = []

    def seconds(trial: Trial) -> float | None:
        if not judges:
            judges.append(Judge(registry.past(), counting=NOTHING_COUNTED, host=None, interval_s=math.inf))
        price = judges[0].of(trial, trials)
        return price.time_s.mid if price.how == "alike" and price.time_s is not None else None

    return seconds
