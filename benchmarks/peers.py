"""The peers of the trials: Ray Tune as it is used by everybody, and as it is at its fastest."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

DEPTHS = (14, 26)
KINDS = ("resnet", "plain")
WIDTH = 0.5
ENOUGH = 8  # epochs after which every network has learnt something


def plain_tune_s(trials: int, directory: Path) -> float:
    """Returns the seconds that `Tuner.fit` takes for N trials of one number, everything by default."""
    from ray import tune

    def train(config: dict[str, Any]) -> None:
        tune.report({"test_error": config["x"] / 1000})

    begin = time.perf_counter()
    grid = tune.Tuner(
        train,
        param_space={"x": tune.grid_search(list(range(trials)))},
        run_config=tune.RunConfig(storage_path=str(directory)),
    ).fit()
    elapsed_s = time.perf_counter() - begin
    errors = sorted(result.metrics["test_error"] for result in grid)
    assert errors == [x / 1000 for x in range(trials)], "plain Tune lost trials"
    return elapsed_s


def tuned_tune_s(trials: int, directory: Path) -> float:
    """Returns the seconds of Tune with reused actors, without loggers; the process must have them off.

    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS=1 and TUNE_GLOBAL_CHECKPOINT_S are read as Ray is imported.
    """
    from ray import tune

    class Trivial(tune.Trainable):  # type: ignore[misc]
        def setup(self, config: dict[str, Any]) -> None:
            self._x = config["x"]

        def step(self) -> dict[str, Any]:
            return {"test_error": self._x / 1000, "done": True}

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._x = new_config["x"]
            return True

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            Path(checkpoint_dir, "x").write_text(str(self._x))

        def load_checkpoint(self, checkpoint_dir: str) -> None:
            self._x = int(Path(checkpoint_dir, "x").read_text())

    begin = time.perf_counter()
    grid = tune.Tuner(
        Trivial,
        param_space={"x": tune.grid_search(list(range(trials)))},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(
            storage_path=str(directory),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    ).fit()
    elapsed_s = time.perf_counter() - begin
    assert len(grid) == trials, "Tune lost trials"
    return elapsed_s


def plain_digits_s(seeds: int, epochs: int, directory: Path) -> float:
    """Returns the seconds of `Tuner.fit` for the digits trainings, each the function that one would write."""
    from ray import tune

    space = {
        "kind": tune.grid_search(list(KINDS)),
        "depth": tune.grid_search(list(DEPTHS)),
        "seed": tune.grid_search(list(range(seeds))),
        "epochs": epochs,
    }
    begin = time.perf_counter()
    grid = tune.Tuner(digits, param_space=space, run_config=tune.RunConfig(storage_path=str(directory))).fit()
    elapsed_s = time.perf_counter() - begin
    learnt = [result.metrics["test_error"] < 0.5 for result in grid]
    assert epochs < ENOUGH or all(learnt), "plain Tune learnt nothing"
    assert len(grid) == seeds * len(KINDS) * len(DEPTHS), "plain Tune lost trials"
    return elapsed_s


def digits(config: dict[str, Any]) -> None:
    """Trains one network on the digits with torch's own parts, and reports each epoch."""
    import torch
    import torch.nn.functional as F
    from ray import tune

    from workloads.data.digits import load
    from workloads.networks.build import build, initialise
    from workloads.networks.configs import Plain, ResNet

    torch.set_num_threads(1)
    torch.manual_seed(config["seed"])
    kind = {"resnet": ResNet, "plain": Plain}[config["kind"]]
    network = build(kind(depth=config["depth"], width=WIDTH, classes=10, in_channels=1, input_size=8))
    initialise(network, torch.Generator().manual_seed(config["seed"]))
    train, _, test = load()
    mean, std = train.x_NCHW.mean(), train.x_NCHW.std()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    epochs = config["epochs"]
    milestones = [round(epochs * share) for share in (0.5, 0.75, 0.875)]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones)
    for _ in range(epochs):
        network.train()
        for at_B in torch.randperm(len(train)).split(64):
            padded = F.pad((train.x_NCHW[at_B] - mean) / std, (1, 1, 1, 1))
            top, left = (int(each) for each in torch.randint(0, 3, (2,)))
            optimizer.zero_grad()
            F.cross_entropy(network(padded[..., top : top + 8, left : left + 8]), train.y_N[at_B]).backward()
            optimizer.step()
        schedule.step()
        network.eval()
        with torch.no_grad():
            wrong = network((test.x_NCHW - mean) / std).argmax(1) != test.y_N
        tune.report({"test_error": float(wrong.float().mean())})
