"""How the learning rate runs over a training, as configuration. Torch-free.

A rate is a function of the number of finished steps and of the training's length alone, so a schedule has no
state and a checkpoint need not hold any.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, TypeAlias, final

from workloads.ranges import count, is_count, is_finite, one_of, require, share


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """How long a training is.

    Attributes:
        epochs: Passes over the training split.
        epoch_steps: Mini-batches in each.
    """

    epochs: int
    epoch_steps: int

    @property
    def steps(self) -> int:
        """Returns the number of mini-batches of the whole training."""
        return self.epochs * self.epoch_steps


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Warmup:
    """A smaller learning rate at the beginning; the schedule goes on beneath it, and both multiply.

    Source: He et al. 2016, section 3.1 ("constant": 0.01 for the first 400 steps of ResNet-110); Goyal et al.
    2017, section 2.2 ("linear").

    Attributes:
        form: "constant" holds the share `start`; "linear" rises from it to 1.
        steps: Steps that it lasts; 0 for none. Either this or `fraction` is given, not both.
        fraction: Fraction of the training that it lasts.
        start: First share of the schedule's rate, in [0, 1].
    """

    form: Literal["constant", "linear"] = "constant"
    steps: int = 0
    fraction: float = 0.0
    start: float = 0.1

    def __post_init__(self) -> None:
        """Checks ranges."""
        one_of("form", self.form, ("constant", "linear"))
        count("steps", self.steps, least=0)
        require(
            is_finite(self.fraction) and 0 <= self.fraction < 1,
            "fraction",
            self.fraction,
            "0 <= fraction < 1",
        )
        share("start", self.start, zero=True)
        require(
            not (self.steps and self.fraction),
            "warmup",
            {"steps": self.steps, "fraction": self.fraction},
            "one of steps and fraction, not both",
        )

    def scale(self, step: int, length: Length) -> float:
        """Returns what the schedule's rate is multiplied by; see `Step.scale`."""
        lasts = self.steps or self.fraction * length.steps
        if step >= lasts:
            return 1.0
        if self.form == "constant":
            return self.start
        return self.start + (1 - self.start) * step / lasts


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """The learning rate stays."""

    name: Literal["constant"] = "constant"
    warmup: Warmup = field(default_factory=Warmup)

    def drops(self, length: Length) -> tuple[int, ...]:
        """Returns the numbers of finished steps after which the rate falls: none."""
        return ()

    def scale(self, step: int, length: Length) -> float:
        """Returns the share of the peak learning rate at a step; see `Step.scale`."""
        return self.warmup.scale(step, length)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The learning rate falls by a factor at fixed fractions of the training.

    Source: Zhao et al. 2016, section 6.2: x0.1 after 1/2, 3/4 and 7/8 of the epochs.

    Attributes:
        at: Fractions of the training, increasing, each in (0, 1).
        factor: What the learning rate is multiplied by at each, in (0, 1].
        warmup: A smaller rate at the beginning.
    """

    name: Literal["step"] = "step"
    at: tuple[float, ...] = (0.5, 0.75, 0.875)
    factor: float = 0.1
    warmup: Warmup = field(default_factory=Warmup)

    def __post_init__(self) -> None:
        """Checks ranges."""
        fits = all(is_finite(each) and 0 < each < 1 for each in self.at) and _increasing(self.at)
        require(fits, "at", list(self.at), "increasing fractions between 0 and 1")
        share("factor", self.factor)

    def drops(self, length: Length) -> tuple[int, ...]:
        """Returns the numbers of finished steps after which the rate falls.

        Args:
            length: Of the training.
        """
        return tuple(math.ceil(fraction * length.steps) for fraction in self.at)

    def scale(self, step: int, length: Length) -> float:
        """Returns the share of the peak learning rate at a step.

        Args:
            step: Finished steps, 0 to `length.steps` - 1.
            length: Of the training.
        """
        return _fallen(self.factor, self.drops(length), step) * self.warmup.scale(step, length)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Milestones:
    """The learning rate falls by a factor at fixed epochs or steps, however long the training is.

    A milestone at or after the training's end never comes; the training's log says so.

    Source: He et al. 2016 (after 32,000 and 48,000 steps); Zagoruyko and Komodakis 2017, released code (after
    60, 120 and 160 epochs).

    Attributes:
        epochs: Finished epochs, increasing. Either these or `steps` are given, not both.
        steps: Finished steps, increasing.
        factor: What the learning rate is multiplied by at each, in (0, 1].
        warmup: A smaller rate at the beginning.
    """

    name: Literal["milestones"] = "milestones"
    epochs: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    factor: float = 0.1
    warmup: Warmup = field(default_factory=Warmup)

    def __post_init__(self) -> None:
        """Checks ranges."""
        for name, values in (("epochs", self.epochs), ("steps", self.steps)):
            fits = all(is_count(each) and each >= 1 for each in values) and _increasing(values)
            require(fits, name, list(values), "increasing whole numbers of at least 1")
        require(
            bool(self.epochs) != bool(self.steps),
            "milestones",
            {"epochs": list(self.epochs), "steps": list(self.steps)},
            "either epochs or steps; for a rate that stays choose schedule.name: constant",
        )
        share("factor", self.factor)

    def drops(self, length: Length) -> tuple[int, ...]:
        """Returns the numbers of finished steps after which the rate falls; see `Step.drops`."""
        return self.steps or tuple(each * length.epoch_steps for each in self.epochs)

    def scale(self, step: int, length: Length) -> float:
        """Returns the share of the peak learning rate at a step; see `Step.scale`."""
        return _fallen(self.factor, self.drops(length), step) * self.warmup.scale(step, length)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RemainingHalves:
    """The learning rate falls by a factor each time the number of remaining epochs has halved.

    Of 400 epochs that is after 200, 300, 350, 375, 387, ...: the rule as printed never ends, a floor ends it.
    Epochs are rounded down, and the last fall leaves at least one epoch.

    Source: Larsson et al. 2017, section 4.1. The floor is ours: the paper names none.

    Attributes:
        factor: What the learning rate is multiplied by at each, in (0, 1).
        floor: Smallest share of the peak that is reached; 1e-4 allows four falls by ten.
        warmup: A smaller rate at the beginning.
    """

    name: Literal["remaining_halves"] = "remaining_halves"
    factor: float = 0.1
    floor: float = 1e-4
    warmup: Warmup = field(default_factory=Warmup)

    def __post_init__(self) -> None:
        """Checks ranges."""
        require(is_finite(self.factor) and 0 < self.factor < 1, "factor", self.factor, "0 < factor < 1")
        share("floor", self.floor)

    def drops(self, length: Length) -> tuple[int, ...]:
        """Returns the numbers of finished steps after which the rate falls; see `Step.drops`."""
        # the tolerance: 0.1 ** 4 is just above 1e-4
        most = math.floor(math.log(self.floor) / math.log(self.factor) + 1e-9)
        halves = (length.epochs / 2**number for number in range(1, most + 1))
        return tuple(
            math.floor(length.epochs - remaining) * length.epoch_steps
            for remaining in halves
            if remaining >= 1
        )

    def scale(self, step: int, length: Length) -> float:
        """Returns the share of the peak learning rate at a step; see `Step.scale`."""
        return _fallen(self.factor, self.drops(length), step) * self.warmup.scale(step, length)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """The learning rate falls by a factor every so many epochs.

    Source: Zhao et al. 2016, section 6.5 (by 10 every 30 epochs) and A.1 (by 2 every 10 epochs).

    Attributes:
        epochs: Epochs between two falls.
        factor: What the learning rate is multiplied by at each, in (0, 1].
        warmup: A smaller rate at the beginning.
    """

    name: Literal["every"] = "every"
    epochs: int = 30
    factor: float = 0.1
    warmup: Warmup = field(default_factory=Warmup)

    def __post_init__(self) -> None:
        """Checks ranges."""
        count("epochs", self.epochs, least=1)
        share("factor", self.factor)

    def drops(self, length: Length) -> tuple[int, ...]:
        """Returns the numbers of finished steps after which the rate falls; see `Step.drops`."""
        return tuple(each * length.epoch_steps for each in range(self.epochs, length.epochs, self.epochs))

    def scale(self, step: int, length: Length) -> float:
        """Returns the share of the peak learning rate at a step; see `Step.scale`."""
        return _fallen(self.factor, self.drops(length), step) * self.warmup.scale(step, length)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine:
    """The learning rate falls from its peak to zero along half a cosine.

    Source: Loshchilov and Hutter 2017, equation 5, without restarts.

    Attributes:
        warmup: A smaller rate at the beginning.
    """

    name: Literal["cosine"] = "cosine"
    warmup: Warmup = field(default_factory=Warmup)

    def drops(self, length: Length) -> tuple[int, ...]:
        """Returns the numbers of finished steps after which the rate falls at once: none."""
        return ()

    def scale(self, step: int, length: Length) -> float:
        """Returns the share of the peak learning rate at a step; see `Step.scale`."""
        return 0.5 * (1 + math.cos(math.pi * step / length.steps)) * self.warmup.scale(step, length)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OneCycle:
    """The learning rate rises to its peak and falls to almost nothing, each along half a cosine.

    Source: Smith and Topin 2018; the form and the defaults are those of torch's OneCycleLR, momentum
    left constant. For trainings of few epochs.

    Attributes:
        warmup: Fraction of the training in which it rises, in (0, 1).
        start: First learning rate's share of the peak.
        end: Last learning rate's share of the peak.
    """

    name: Literal["one_cycle"] = "one_cycle"
    warmup: float = 0.3
    start: float = 0.04
    end: float = 4e-6

    def __post_init__(self) -> None:
        """Checks ranges."""
        require(is_finite(self.warmup) and 0 < self.warmup < 1, "warmup", self.warmup, "0 < warmup < 1")
        share("start", self.start)
        share("end", self.end, zero=True)

    def drops(self, length: Length) -> tuple[int, ...]:
        """Returns the numbers of finished steps after which the rate falls at once: none."""
        return ()

    def scale(self, step: int, length: Length) -> float:
        """Returns the share of the peak learning rate at a step; see `Step.scale`."""
        top = max(self.warmup * length.steps - 1, 1e-9)  # the step of the peak, as torch counts it
        last = max(length.steps - 1, top)
        if step <= top:
            return _between(self.start, 1.0, step / top)
        return _between(1.0, self.end, (step - top) / max(last - top, 1e-9))


def _between(first: float, last: float, share: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * share))


def _increasing(values: tuple[float, ...]) -> bool:
    return all(low < high for low, high in pairwise(values))


def _fallen(factor: float, drops: tuple[int, ...], step: int) -> float:
    return float(factor ** bisect_right(drops, step))


Schedule: TypeAlias = Step | Milestones | RemainingHalves | Every | Cosine | OneCycle | Constant


def described(schedule: Schedule, length: Length) -> str:
    """Returns where a schedule changes the rate of a training, in steps and epochs, for a log."""
    drops = schedule.drops(length)
    if isinstance(schedule, OneCycle | Cosine | Constant):
        said = f"{schedule.name} over {length.steps} steps"
    else:
        places = [f"{each} (epoch {each / length.epoch_steps:g})" for each in drops if each < length.steps]
        said = f"x{schedule.factor:g} after step {', '.join(places)}" if places else "constant"
        if len(places) < len(drops):
            said += f"; {len(drops) - len(places)} later than the last step {length.steps}: never"
    if not isinstance(schedule, OneCycle):
        lasts = schedule.warmup.steps or schedule.warmup.fraction * length.steps
        if lasts:
            said += f"; {schedule.warmup.form} warm-up from x{schedule.warmup.start:g} for {lasts:g} steps"
    return said
