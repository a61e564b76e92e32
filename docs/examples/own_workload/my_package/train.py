"""Ridge regression on scikit-learn's diabetes data, as a workload of one's own.

Run it by itself with `python -m my_package.train`, or in a study with `workload: my_package.train:SPEC`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workloads.api import Family, Placement, Report, Spec, from_plain, to_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Ridge:
    """What a study may vary: penalty, and how many of the 442 patients are trained on."""

    penalty: float = 1.0
    patients: int = 300

    def __post_init__(self):
        """Checks ranges; a study shows the message at the line that is at fault."""
        if self.penalty < 0 or not 20 <= self.patients <= 400:
            raise ValueError(f"got {self}, allowed are penalty >= 0 and 20 <= patients <= 400")


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """A test-time condition: standard deviation of noise on the inputs."""

    scale: float = 0.0


def measure(weights, x, y):
    """Returns the share of the variance that the weights do not explain."""
    return float(np.mean((x @ weights[1:] + weights[0] - y) ** 2) / np.var(y))


class Regression:
    """Two generators: one trains, one measures what was trained."""

    def data(self, seed, patients):
        """Returns (x, y) to train on and (x, y) to test on, split by the seed."""
        from sklearn.datasets import load_diabetes

        x, y = load_diabetes(return_X_y=True)
        x, order = x / x.std(0), np.random.default_rng(seed).permutation(len(y))
        return x[order[:patients]], y[order[:patients]], x[order[400:]], y[order[400:]]

    def train(self, config, *, seeds, data, resume, placement):
        """Yields one report a seed: the fit is exact, so there is no curve."""
        for index, seed in enumerate(seeds):
            x, y, test_x, test_y = self.data(seed, config.patients)
            a = np.column_stack([np.ones(len(x)), x])
            penalty = config.penalty * np.diag([0.0] + [1.0] * x.shape[1])
            weights = np.linalg.solve(a.T @ a + penalty, a.T @ y)
            saved = json.dumps({"config": to_plain(config), "seed": seed, "weights": weights.tolist()})
            yield Report(
                index=index,
                evaluation="test",
                step=1,
                metrics={"test_error": measure(weights, test_x, test_y)},
                save=lambda folder, text=saved: (folder / "model.json").write_text(text),
                progress=1.0,
            )

    def evaluate(self, checkpoints, conditions, *, data, placement):
        """Yields one report a condition."""
        model = json.loads((checkpoints[0] / "model.json").read_text())
        _, _, x, y = self.data(model["seed"], from_plain(Ridge, model["config"]).patients)
        for index, condition in enumerate(conditions):
            scale = from_plain(Noise, condition.parameters).scale
            noise = scale * np.random.default_rng((condition.seed, condition.draw)).standard_normal(x.shape)
            error = measure(np.array(model["weights"]), x + noise, y)
            yield Report(index=index, metrics={"test_error": error})


WORKLOAD = Regression()
SPEC = Spec(
    name="ridge_on_diabetes",
    version=1,
    config=Ridge,
    metrics={"test": ("test_error",)},
    families={"noise": Family(parameters=Noise, metrics=("test_error",), random=True)},
    runtime="my_package.train:WORKLOAD",
)

if __name__ == "__main__":
    for report in WORKLOAD.train(Ridge(), seeds=[0, 1, 2], data=Path(), resume={}, placement=Placement()):
        print(report.index, dict(report.metrics))
