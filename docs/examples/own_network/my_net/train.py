"""The training loop: it yields a report an epoch. Alone: `python -m my_net.train`."""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from my_net.spec import Config
from workloads.api import Placement, Report, to_plain


def digits():
    """Returns images and labels of the training, validation and test split."""
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))  # of no seed of a study
    return [(x[part], y[part]) for part in order.split([1000, 300, 497])]


def build(config):
    return nn.Sequential(
        nn.Linear(64, config.hidden), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(config.hidden, 10)
    )


def error(net, x, y):
    net.eval()
    with torch.no_grad():
        return float((net(x).argmax(1) != y).float().mean())


def saver(net, optimizer, epoch, config):
    """Returns what writes everything that continuing needs; it is called before the next step, or never."""
    state = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
    state |= {"random": torch.get_rng_state(), "config": to_plain(config)}
    return lambda folder: torch.save(state, folder / "state.pt")


class MyNet:
    def train(self, config, *, seeds, data, resume, placement):
        fit, validation, test = digits()
        for index, seed in enumerate(seeds):
            torch.manual_seed(seed)
            net = build(config)
            optimizer = torch.optim.SGD(net.parameters(), lr=config.lr, momentum=0.9)
            epoch = 0
            if index in resume:  # goes on as if it had never been interrupted
                saved = torch.load(resume[index] / "state.pt", weights_only=True)
                net.load_state_dict(saved["net"])
                optimizer.load_state_dict(saved["optimizer"])
                torch.set_rng_state(saved["random"])
                epoch = saved["epoch"]
            while epoch < config.epochs:
                net.train()
                for batch in torch.randperm(len(fit[1])).split(50):
                    loss = F.cross_entropy(net(fit[0][batch]), fit[1][batch])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                epoch += 1
                metrics = {"train_loss": loss.item(), "validation_error": error(net, *validation)}
                save, done = saver(net, optimizer, epoch, config), epoch / config.epochs
                yield Report(index=index, step=epoch, metrics=metrics, save=save, progress=done)
            metrics, save = {"test_error": error(net, *test)}, saver(net, optimizer, epoch, config)
            yield Report(index=index, evaluation="test", step=epoch, metrics=metrics, save=save)

    def evaluate(self, checkpoints, conditions, *, data, placement):
        saved = torch.load(checkpoints[0] / "state.pt", weights_only=True)
        net = build(Config(**saved["config"]))
        net.load_state_dict(saved["net"])
        x, y = digits()[2]
        for index, each in enumerate(conditions):
            random = np.random.default_rng([each.seed, each.draw])
            noise = random.normal(0, each.parameters.get("sigma", 0.0), x.shape)
            shown = x + torch.tensor(noise, dtype=torch.float32)
            yield Report(index=index, metrics={"test_error": error(net, shown, y)})


WORKLOAD = MyNet()

if __name__ == "__main__":
    for report in WORKLOAD.train(Config(), seeds=[0], data=Path(), resume={}, placement=Placement()):
        print(report.step, dict(report.metrics))
