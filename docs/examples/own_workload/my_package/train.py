"""Ridge regression on scikit-learn's diabetes data. Alone: `python -m my_package.train`."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

from workloads.api import Placement, Report, Spec, to_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Ridge:  # what a study may vary: penalty, and how many of the 442 patients are trained on
    penalty: float = 1.0
    patients: int = 300

    def __post_init__(self):  # a study shows this message at the line that is at fault
        if self.penalty < 0 or not 20 <= self.patients <= 400:
            raise ValueError(f"got {self}, allowed are penalty >= 0 and 20 <= patients <= 400")


class Regression:
    def train(self, config, *, seeds, data, resume, placement):
        x, y = load_diabetes(return_X_y=True)
        a = np.column_stack([np.ones(len(x)), x / x.std(0)])
        for index, seed in enumerate(seeds):
            order = np.random.default_rng(seed).permutation(len(y))
            fit, test = order[: config.patients], order[400:]
            penalty = config.penalty * np.diag([0.0] + [1.0] * x.shape[1])
            weights = np.linalg.solve(a[fit].T @ a[fit] + penalty, a[fit].T @ y[fit])
            error = float(np.mean((a[test] @ weights - y[test]) ** 2) / np.var(y[test]))
            text = json.dumps({"config": to_plain(config), "weights": weights.tolist()})
            save = lambda folder, text=text: (folder / "model.json").write_text(text)  # noqa: E731
            yield Report(index=index, evaluation="test", step=1, metrics={"test_error": error}, save=save)

    def evaluate(self, checkpoints, conditions, *, data, placement):
        yield from ()  # it has no test-time conditions


WORKLOAD = Regression()
SPEC = Spec(
    name="ridge",
    version=1,
    config=Ridge,
    metrics={"test": ("test_error",)},
    runtime="my_package.train:WORKLOAD",
)

if __name__ == "__main__":
    for report in WORKLOAD.train(Ridge(), seeds=[0, 1, 2], data=Path(), resume={}, placement=Placement()):
        print(report.index, dict(report.metrics))
