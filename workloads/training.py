"""The one training loop, as a machine that can stop, save and continue after any mini-batch.

A training that was interrupted and continued is bit-identical to one that was not (on a CPU, with equal
threads): weights, momentum, streams, position and partial sums are all in the checkpoint, and the
learning rate follows from the number of finished steps alone.

Shapes: B images of a mini-batch, P all parameters of the network.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from workloads import checkpoint, predictions, probes, ranks
from workloads.api import Json, Placement, Report
from workloads.collective import Group
from workloads.configs import TrainConfig, canonical
from workloads.data import sets
from workloads.evaluations.measurement import Measurement
from workloads.faster import told
from workloads.learner import Learner, Learns
from workloads.networks.build import build, initialise
from workloads.placement import device_memory_mb, device_of, placed
from workloads.schedules import Length, described
from workloads.streams import Streams, generator

REPORT_EVERY_S: Final = 2.0
# Steps between two looks at whether the sums are finite: each look waits for the device.
_LOOK_EVERY: Final = 16
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where a training stands when it stops to report.

    Attributes:
        step: Finished epochs.
        metrics: What was measured there; empty in the middle of an epoch.
        ended: Nothing is left to do.
        diverged: It ended because a loss was not finite.
        progress: Share of the steps that are done.
    """

    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    ended: bool = False
    diverged: bool = False
    progress: float = 0.0


@final
class Training:
    """The training of one network, or one rank's part in it."""

    def __init__(
        self,
        config: TrainConfig,
        seed: int,
        data: sets.DataSet,
        device: torch.device,
        group: Group | None = None,
        learner: Callable[[nn.Module], Learns] | None = None,
    ) -> None:
        """Initialises a network; see `restore` to continue another's.

        Args:
            config: Canonical configuration.
            seed: Feeds every stream.
            data: The data set, on the device.
            device: Where to compute.
            group: The ranks that train it together, or None for one alone.
            learner: From the network to what learns for it with others, which calls `next_batch` and
                `learnt`; None for one that `advance` makes learn.
        """
        self.config, self.seed, self._data = config, seed, data
        self.streams = Streams.of(seed)
        self.network: nn.Module = build(config.network)
        initialise(self.network, self.streams.initialisation, config.initialisation)
        self.network.to(device)
        self._group = group
        self._alone = Learner(self.network, config, device, group) if learner is None else None
        self._learner: Learns = self._alone or learner(self.network)  # type: ignore[misc]
        self._loader = sets.loader(data.train, config.data, config.batch_size)
        self._length = Length(epochs=config.epochs, epoch_steps=len(self._loader))
        self._epoch = 0
        self._position = 0  # mini-batches done in this epoch
        self._order = self._loader.order(self.streams.order)
        self._sums = self._learner.nothing()
        self._end: Point | None = None

    @property
    def epoch_steps(self) -> int:
        """Returns the number of mini-batches of an epoch."""
        return len(self._loader)

    @property
    def finished_steps(self) -> int:
        """Returns the number of mini-batches learnt from; a save belongs to one such number."""
        return self._epoch * len(self._loader) + self._position

    def advance(self, stop: Callable[[], bool]) -> Point:
        """Trains up to the next epoch's end, the training's end, or until asked to stop.

        Args:
            stop: Asked after every mini-batch.
        """
        if (point := self.finish()) is not None:
            return point
        while True:
            self._learn()
            if (point := self.look()) is not None:
                return point
            if stop():
                return self.here()

    def finish(self) -> Point | None:
        """Returns the end of a training that has nothing left to learn, tested if need be; else None."""
        if self._end is None and self._epoch == self.config.epochs:
            found = self._evaluate(self._data.test, "test")
            return self._ended(found, diverged=not math.isfinite(found["test_loss"]))
        return self._end

    def look(self) -> Point | None:
        """Returns where a training stands after a step if there is anything to tell, else None."""
        at_end = self._position == len(self._loader)
        if (at_end or self._position % _LOOK_EVERY == 0) and not bool(self._sums.isfinite().all()):
            return self._ended(self._epoch_metrics(), diverged=True)
        return self._finish_epoch() if at_end else None

    def here(self) -> Point:
        """Returns where a training stands, nothing measured."""
        return self._point({})

    def inside(self) -> Iterator[Measurement]:
        """Yields what is measured inside the network after the epoch that has just ended, if that is due."""
        if self._position == 0 and probes.due(self.config, self._epoch):
            yield from probes.look(self.network, self.config, self._data)

    def follow(self) -> None:
        """Learns from the next mini-batch and nothing more: what a rank other than 0 does when called."""
        self._learn()
        if self._position == len(self._loader):
            self._next_epoch()

    def apart(self, rank: int) -> torch.Generator:
        """Returns what stands in for the regularisation stream on another rank, whose masks must differ."""
        return generator(f"regularisation/{rank}/{self.finished_steps}", self.seed)

    def _learn(self) -> None:
        assert self._alone is not None
        if self._group is not None:
            self._group.call()
        x_BCHW, y_B = self.next_batch()
        self.learnt(self._alone.learn(x_BCHW, y_B, self.lr, self.streams.modules))

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """Returns images x_BCHW and classes y_B of the next mini-batch, augmented, once."""
        return self._loader.batch(self._order, self._position, self.streams.augmentation)

    def learnt(self, sums: Tensor) -> None:
        """Notes that the next mini-batch was learnt from; see `Learner.learn` for its sums."""
        self._sums += sums
        self._position += 1

    @property
    def lr(self) -> float:
        """Returns the learning rate of the next step."""
        return self._lr(self.finished_steps)

    def notes(self, device: torch.device) -> dict[str, Json]:
        """Returns how it was computed on a device, for the result's provenance."""
        waits = self._loader.waits
        return {
            **told(self.config, device),
            **({"loader_waited": round(waits.share, 3)} if waits else {}),
            **({"device_memory_mb": device_memory_mb(device)} if device.type == "cuda" else {}),
        }

    def rates(self) -> str:
        """Returns where the learning rate changes, as text."""
        return described(self.config.schedule, self._length)

    def _lr(self, step: int) -> float:
        return self.config.optimizer.lr * self.config.schedule.scale(step, self._length)

    def _epoch_metrics(self) -> dict[str, float]:
        loss, errors, images, *top5 = self._sums.tolist()
        found = {
            "train_loss": loss / images,
            "train_error": errors / images,
            "lr": self._lr(self.finished_steps - 1),
        }
        if top5:
            found["train_top5_error"] = top5[0] / images
        return found

    def _finish_epoch(self) -> Point:
        metrics = self._epoch_metrics()
        due = (self._epoch + 1) % self.config.evaluate_every == 0 or self._epoch + 1 == self.config.epochs
        if due and len(self._data.validation):
            metrics |= self._evaluate(self._data.validation, "validation")
            if not math.isfinite(metrics["validation_loss"]):
                return self._ended(metrics, diverged=True)
        if (waits := self._loader.waits) is not None:
            _LOG.info(
                "epoch %d: the loader was waited for %.0f %% of the time", self._epoch + 1, 100 * waits.share
            )
        self._next_epoch()
        return self._point(metrics)

    def _next_epoch(self) -> None:
        self._epoch, self._position = self._epoch + 1, 0
        self._sums.zero_()
        self._order = self._loader.order(self.streams.order)

    def _evaluate(self, split: sets.Images, name: str) -> dict[str, float]:
        """Returns loss and errors for a split, their names beginning with the split's."""
        output = self._learner.outputs(split)
        log_NK = predictions.log_probabilities(self.network, output)
        loss, error = predictions.measure(log_NK, split.y_N)
        found = {f"{name}_loss": loss, f"{name}_error": error}
        if self._learner.top5:
            found[f"{name}_top5_error"] = int(predictions.top5_errors(log_NK, split.y_N)) / len(split)
        return found

    def _point(self, metrics: Mapping[str, float]) -> Point:
        return Point(step=self._epoch, metrics=metrics, progress=self.finished_steps / self._length.steps)

    def _ended(self, metrics: Mapping[str, float], *, diverged: bool) -> Point:
        step = self._epoch + 1 if diverged and self._epoch < self.config.epochs else self._epoch
        self._end = Point(step=step, metrics=metrics, ended=True, diverged=diverged, progress=1.0)
        return self._end

    # --- checkpoints ------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Writes everything that `restore` needs into an existing empty directory."""
        tensors = {f"stream.{name}": state for name, state in self.streams.state().items()}
        tensors |= {"momentum": self._learner.momentum(), "order": self._order, "sums": self._sums}
        if self._learner.loss_scale is not None:
            tensors["loss_scale"] = self._learner.loss_scale.state()
        state: dict[str, Any] = {"epoch": self._epoch, "position": self._position, "end": None}
        if self._end is not None:
            # as text: JSON has no NaN, and a diverged training's loss is one
            metrics = {name: repr(value) for name, value in self._end.metrics.items()}
            state["end"] = {"step": self._end.step, "diverged": self._end.diverged, "metrics": metrics}
        checkpoint.write(
            folder,
            config=self.config,
            seed=self.seed,
            network=self.network.state_dict(),
            tensors=tensors,
            state=state,
        )

    def restore(self, folder: Path) -> None:
        """Continues from a checkpoint.

        Raises:
            ValueError: It belongs to another configuration or seed.
        """
        config, seed = checkpoint.read_config(folder)
        if (config, seed) != (self.config, self.seed):
            raise ValueError(
                f"checkpoint {folder}: got one of seed {seed} and {config}, "
                f"allowed is seed {self.seed} and {self.config}"
            )
        self.network.load_state_dict(checkpoint.read_network(folder))
        tensors, state = checkpoint.read_training(folder)
        self.streams.set_state(
            {
                name.removeprefix("stream."): each
                for name, each in tensors.items()
                if name.startswith("stream.")
            }
        )
        self._learner.set_momentum(tensors["momentum"])
        if self._learner.loss_scale is not None:
            self._learner.loss_scale.set_state(tensors["loss_scale"])
        self._order = tensors["order"]
        self._sums.copy_(tensors["sums"])
        self._epoch, self._position = state["epoch"], state["position"]
        if (end := state["end"]) is not None:
            metrics = {name: float(text) for name, text in end["metrics"].items()}
            self._end = Point(
                step=end["step"], metrics=metrics, ended=True, diverged=end["diverged"], progress=1.0
            )


def train(
    config: TrainConfig,
    *,
    seeds: Sequence[int],
    data: Path,
    resume: Mapping[int, Path],
    placement: Placement,
    report_every_s: float = REPORT_EVERY_S,
) -> Iterator[Report]:
    """Yields the reports of one network for each seed, one network after the other.

    Args:
        config: Configuration, canonical or not.
        seeds: One for each network; none of them changes another's result.
        data: Directory of the data sets.
        resume: Position in `seeds` -> checkpoint to continue from.
        placement: Threads and devices.
        report_every_s: Seconds after which an empty report offers a checkpoint; 0 for every mini-batch.

    Raises:
        ValueError: A checkpoint of another training, or a device that is not there.
    """
    config = canonical(config)
    ranks.check(config, placement)
    own = ranks.of_rank(placement, 0)
    device = device_of(own)
    for index, seed in enumerate(seeds):
        begun = resume.get(index)
        with ranks.together(config, seed=seed, data=data, resume=begun, placement=placement) as group:
            with placed(own):
                training = Training(config, seed, load(config, data, device), device, group)
                if begun is not None:
                    training.restore(begun)
            _LOG.info("seed %d: learning rate %g, %s", seed, config.optimizer.lr, training.rates())
            while True:
                overdue = alarm(report_every_s)
                with placed(own, training.streams.regularisation):
                    point = training.advance(overdue)
                yield from reports(training, point, index, own)
                if point.ended:
                    break


def reports(training: Training, point: Point, index: int, placement: Placement) -> Iterator[Report]:
    """Yields what there is to tell of a training that has stopped at a point.

    Args:
        training: The training.
        point: Where it stands.
        index: Position of its seed.
        placement: Of this process.
    """
    # before the report that offers a checkpoint: what it holds is never measured again
    measurements = training.inside() if point.metrics and not point.ended else iter(())
    while True:
        with placed(placement, training.streams.regularisation):
            found = next(measurements, None)
        if found is None:
            break
        yield Report(index=index, step=point.step, metrics=found.metrics, coords=found.coords)
    yield Report(
        index=index,
        evaluation="test" if point.ended and not point.diverged else "train",
        step=point.step,
        metrics=point.metrics,
        save=_saver(training),
        progress=point.progress,
        diverged=point.diverged,
        notes=training.notes(device_of(placement)) if point.ended else {},
    )


def load(config: TrainConfig, data: Path, device: torch.device) -> sets.DataSet:
    """Returns the data set of a training, on a device."""
    return sets.load(config.data, data, device)


def alarm(after_s: float) -> Callable[[], bool]:
    """Returns what says whether so many seconds have passed since."""
    deadline = time.monotonic() + after_s
    return lambda: time.monotonic() >= deadline


def _saver(training: Training) -> Callable[[Path], None]:
    """Returns a function that saves the training as it is now, and refuses once it has moved on."""
    reported = training.finished_steps

    def save(folder: Path) -> None:
        if training.finished_steps != reported:
            raise RuntimeError(
                f"save: got a call after step {training.finished_steps} for a report of step {reported}; "
                "call it before asking for the next report"
            )
        training.save(folder)

    return save
