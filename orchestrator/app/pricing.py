"""What one trial will take: by past ones like it, by how much there is to compute, by others of its kind."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias, final

from orchestrator.driver.superseded import KEPT
from orchestrator.model.forecast import Past, Span
from orchestrator.model.plan import Trial, TrialKey
from workloads.api import Cost, Spec, Work, from_plain, load_object

Shape: TypeAlias = tuple[str, ...]

RECENT: Final = 50  # the newest of a shape count: machines and code change
ALIKE: Final = 1.25  # least factor up and down where like trials took the time
COUNTED: Final = 2.0  # where it follows from how much there is to compute
NEAR: Final = 2.5  # where others of their kind did
EXACT: Final = 1.05  # of sizes that are counted
PART_BYTES: Final = 4_000.0  # of a part with the few rows of one trial
CONFIGS: Final = 8  # past configs that a new one is compared with
COUNTING_S: Final = 5.0  # of this process, that a plan may cost: a config takes a tenth of a second or more


class Counting(Protocol):
    """What can be counted of a workload's configs before they run; None where it cannot."""

    def cost(self, workload: str, config: Mapping[str, Any]) -> Cost | None:
        """Returns what a training by a config comes to."""
        ...

    def checkpoint_bytes(self, workload: str, config: Mapping[str, Any]) -> float | None:
        """Returns how large a checkpoint of it is."""
        ...


@final
class Nothing:
    """Counts nothing."""

    def cost(self, workload: str, config: Mapping[str, Any]) -> Cost | None:
        """Returns None."""
        return None

    def checkpoint_bytes(self, workload: str, config: Mapping[str, Any]) -> float | None:
        """Returns None."""
        return None


@final
class Counted:
    """Counts as the workload's Spec says, whose code is loaded when something is asked for.

    After `COUNTING_S` no more is counted.
    """

    def __init__(self, workload: str, spec: Spec) -> None:
        """Takes the workload's name in studies, and what is known of it."""
        self._workload = workload
        self._spec = spec
        self._left_s = COUNTING_S

    def cost(self, workload: str, config: Mapping[str, Any]) -> Cost | None:
        """Returns what a training by a config comes to."""
        found = self._asked(self._spec.estimate, workload, config)
        return found if isinstance(found, Cost) else None

    def checkpoint_bytes(self, workload: str, config: Mapping[str, Any]) -> float | None:
        """Returns how large a checkpoint of it is."""
        found = self._asked(self._spec.checkpoint_bytes, workload, config)
        return float(found) if isinstance(found, int | float) else None

    def _asked(self, function: str, workload: str, config: Mapping[str, Any]) -> Any:
        if not function or workload != self._workload or self._left_s <= 0:
            return None
        try:
            counting = load_object(function)
            began = time.process_time()  # what else the machine does changes no forecast
            found = counting(from_plain(self._spec.config, config))
            self._left_s -= time.process_time() - began
        except Exception:  # a config of another version, a machine without torch, a fault of a user's code
            return None
        return found


NOTHING_COUNTED: Final = Nothing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a trial will take.

    Attributes:
        how: "alike", "counted", "near" or "unknown": what the time is judged by.
        time_s: None where nothing is known.
        disk_bytes: Likewise.
    """

    how: str
    time_s: Span | None
    disk_bytes: Span | None


class Judge:
    """Prices of trials by what they are, from the particular to the general."""

    def __init__(
        self,
        past: Sequence[Past],
        *,
        counting: Counting,
        host: str | None,
        interval_s: float,
    ) -> None:
        """Takes what is known.

        Args:
            past: What took how long, newest first.
            counting: What can be counted of a config.
            host: The machine that trials will run on, None where any may be.
            interval_s: Between two checkpoints of a training.
        """
        self._texts: dict[int, str] = {}
        self._costs: dict[tuple[str, str], Cost | None] = {}
        self._prices: dict[tuple[Any, ...], Price] = {}
        self._counting, self._host, self._interval_s = counting, host, interval_s
        self._seen: dict[Shape, list[Past]] = defaultdict(list)
        for each in past:
            for shape in self._shapes(each.stage, each.workload, each.family, each.parameters, each.config):
                if len(self._seen[shape]) < RECENT:
                    self._seen[shape].append(each)

    def of(self, trial: Trial, trials: Mapping[TrialKey, Trial]) -> Price:
        """Returns what a trial of a plan will take."""
        config = trial.config
        if trial.networks and trial.networks[0] in trials:
            config = trials[trial.networks[0]].config
        shapes = self._shapes(trial.stage, trial.workload, trial.family, trial.parameters, config)
        alike = (shapes[0], trial.resources)
        if alike not in self._prices:
            self._prices[alike] = self._price(trial, shapes, config)
        return self._prices[alike]

    def _price(self, trial: Trial, shapes: list[Shape], config: Mapping[str, Any]) -> Price:
        if trial.stage == "tune":  # until candidates have run, it is a training
            shapes[1:1] = self._shapes("train", trial.workload, "", {}, config)
        how, time_s = self._time(trial, shapes, config)
        return Price(how=how, time_s=time_s, disk_bytes=self._disk(trial, shapes, config, time_s))

    def _time(
        self, trial: Trial, shapes: Sequence[Shape], config: Mapping[str, Any]
    ) -> tuple[str, Span | None]:
        exact = self._seen.get(shapes[0], [])
        own = [each.seconds for each in exact if self._same_machine(each, trial)]
        if own:
            return "alike", _span(own, ALIKE)
        counted = self._computed(trial, config)
        if counted is not None:
            return "counted", counted
        for shape in shapes:
            if seen := self._seen.get(shape):
                return "near", _span([each.seconds for each in seen], NEAR)
        return "unknown", None

    def _computed(self, trial: Trial, config: Mapping[str, Any]) -> Span | None:
        """Returns the time that follows from the past config nearest to this one, on the same machine."""
        kind = "train" if trial.stage == "tune" else trial.stage
        took: dict[str, tuple[Mapping[str, Any], list[float]]] = {}
        for each in self._seen.get((kind, trial.workload, trial.family), []):
            same = trial.stage != "evaluate" or self._text(each.parameters) == self._text(trial.parameters)
            if same and self._same_machine(each, trial):
                took.setdefault(self._text(each.config), (each.config, []))[1].append(each.seconds)
        wanted = self._work(trial, config) if took else None
        if wanted is None:
            return None
        best: tuple[float, Span] | None = None
        for other, seconds in list(took.values())[:CONFIGS]:
            work = self._work(trial, other)
            if work is None:
                continue
            # Which of the two takes the time is not known: it lies between them.
            by = sorted((wanted.flops / work.flops, wanted.operations / work.operations))
            low, high = (statistics.fmean(seconds) * factor for factor in by)
            distance = sum(abs(math.log(factor)) for factor in by)
            if best is None or distance < best[0]:
                mid = math.sqrt(low * high)
                best = distance, Span(low=min(low, mid / COUNTED), mid=mid, high=max(high, mid * COUNTED))
        return None if best is None else best[1]

    def _work(self, trial: Trial, config: Mapping[str, Any]) -> Work | None:
        cost = self._cost(trial.workload, config)
        if cost is None:
            return None
        found = cost.test if trial.stage == "evaluate" else cost.train
        return found if found.flops > 0 and found.operations > 0 else None

    def _cost(self, workload: str, config: Mapping[str, Any]) -> Cost | None:
        key = (workload, self._text(config))
        if key not in self._costs:
            self._costs[key] = self._counting.cost(workload, config)
        return self._costs[key]

    def _disk(
        self, trial: Trial, shapes: Sequence[Shape], config: Mapping[str, Any], time_s: Span | None
    ) -> Span | None:
        exact = [each.disk_bytes for each in self._seen.get(shapes[0], []) if each.disk_bytes]
        if exact:
            return _span(exact, EXACT)
        if trial.stage == "evaluate":
            for shape in shapes[1:]:
                if seen := [each.disk_bytes for each in self._seen.get(shape, []) if each.disk_bytes]:
                    return _span(seen, NEAR)
            return Span(low=0.0, mid=PART_BYTES, high=NEAR * PART_BYTES)
        one = self._counting.checkpoint_bytes(trial.workload, config)
        if one is None:
            return None
        # The last one; and the one before it, where there was time for more than one.
        several = time_s is None or time_s.mid > self._interval_s
        return Span(
            low=one / EXACT,
            mid=one * (KEPT if several else 1) + PART_BYTES,
            high=one * KEPT * EXACT + NEAR * PART_BYTES,
        )

    def _same_machine(self, each: Past, trial: Trial) -> bool:
        return (each.resources is None or each.resources == trial.resources) and (
            self._host is None or each.host in ("", self._host)
        )

    def _shapes(
        self, stage: str, workload: str, family: str, parameters: Mapping[str, Any], config: Mapping[str, Any]
    ) -> list[Shape]:
        own = (stage, workload, family)
        if stage != "evaluate":
            return [(*own, self._text(config)), own]
        return [(*own, self._text(parameters), self._text(config)), (*own, self._text(config)), own]

    def _text(self, value: Mapping[str, Any]) -> str:
        # Equal documents of a registry, or of a cell, are one object: each is written once.
        known = self._texts.get(id(value))
        if known is None:
            known = self._texts[id(value)] = json.dumps(value, sort_keys=True, default=list)
        return known


def _span(seen: Sequence[float], least: float) -> Span:
    """Returns the mean with a range: what was seen, and never narrower than a factor of `least`."""
    mean = statistics.fmean(seen)
    return Span(low=min(*seen, mean / least), mid=mean, high=max(*seen, mean * least))
