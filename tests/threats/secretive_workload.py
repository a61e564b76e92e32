"""A workload that is handed a secret and tries to let it out by every way there is."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from workloads.api import Condition, Family, Placement, Report, Spec, to_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What it trains; `saves` is how it writes its config into checkpoints."""

    x: float = 0.0
    token: str = ""
    url: str = ""
    expects: str = ""  # sha256 of the token: so that a test sees that it was handed over
    saves: str = "plain"
    fails: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A parameter of an evaluation."""

    key: str = ""


class Leaky:
    """Tells everybody."""

    def train(
        self,
        config: Config,
        *,
        seeds: Sequence[int],
        data: Path,
        resume: Mapping[int, Path],
        placement: Placement,
    ) -> Iterator[Report]:
        """Yields two reports for each seed."""
        import hashlib

        assert hashlib.sha256(config.token.encode()).hexdigest() == config.expects, "not what was kept"
        assert f"{config.url}".endswith(f":{config.token}@host/")
        assert replace(config, x=1.0).token == config.token == asdict(config)["token"]
        print("printed", config.token, config.url)
        print(f"as JSON {json.dumps(config.token)} and {config!r}")
        logging.getLogger("leaky").warning("logged %s", config.token)
        if config.fails:
            raise ValueError(f"cannot sign in with {config.token} at {config.url}")
        for index, _ in enumerate(seeds):
            for evaluation in ("train", "test"):
                yield Report(
                    index=index,
                    evaluation=evaluation,  # type: ignore[arg-type]
                    step=1,
                    metrics={
                        "loss" if evaluation == "train" else "test_error": config.x,
                        f"of {config.token}": 1.0,
                    },
                    coords={"account": f"key {config.token}"} if evaluation == "train" else {},
                    save=lambda folder: save(config, folder),
                )

    def evaluate(
        self,
        checkpoints: Sequence[Path],
        conditions: Sequence[Condition],
        *,
        data: Path,
        placement: Placement,
    ) -> Iterator[Report]:
        """Yields one report for each condition."""
        for index, condition in enumerate(conditions):
            print("asked", condition.parameters)
            assert len(str(condition.parameters["key"])) == 24
            yield Report(
                index=index, metrics={"test_error": 0.5}, coords={"by": str(condition.parameters["key"])}
            )


def save(config: Config, folder: Path) -> None:
    """Writes a checkpoint: as it should be, or with the value in it."""
    plain: Any = to_plain(config) if config.saves == "plain" else {"token": str(config.token)}
    (folder / "config.json").write_text(json.dumps(plain))


WORKLOAD = Leaky()
SPEC = Spec(
    name="leaky",
    version=1,
    config=Config,
    metrics={"train": ("loss",), "test": ("test_error",)},
    coords={"train": ("account",)},
    families={"asked": Family(parameters=Key, metrics=("test_error",), coords=("by",))},
    runtime="tests.threats.secretive_workload:WORKLOAD",
)
