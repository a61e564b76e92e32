"""What a study may vary. Planning imports this and nothing else: no torch here."""

from dataclasses import dataclass

from workloads.api import Family, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    hidden: int = 32
    dropout: float = 0.0
    lr: float = 0.1
    epochs: int = 10

    def __post_init__(self):  # a study shows this message at the line that is at fault
        if self.hidden < 1 or self.epochs < 1 or self.lr <= 0 or not 0 <= self.dropout < 1:
            raise ValueError(f"hidden, epochs >= 1, lr > 0 and 0 <= dropout < 1 are allowed; got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """A test-time condition: the trained network is shown images with noise of this size."""

    sigma: float = 0.0


SPEC = Spec(
    name="my_net",
    version=1,  # raise it when a default or the meaning of a field changes
    config=Config,
    metrics={"train": ("train_loss", "validation_error"), "test": ("test_error",)},
    families={"noise": Family(parameters=Noise, metrics=("test_error",), random=True)},
    runtime="my_net.train:WORKLOAD",
)
