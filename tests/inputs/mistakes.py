"""Twenty-odd mistakes that people make in their first week, and how each comes about."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from tests.inputs.refusals import SOUND, TOY
from tests.street.orch import Orch


@contextmanager
def full_disk(orch: Orch) -> Iterator[None]:
    from orchestrator.store.results import ParquetResults

    full = OSError(errno.ENOSPC, "No space left on device", f"{orch.directory}/store/results")
    with mock.patch.object(ParquetResults, "write", side_effect=full):
        yield


@contextmanager
def held(orch: Orch) -> Iterator[None]:
    from orchestrator.model.run import Owner
    from orchestrator.registry.registry import open_registry

    orch("submit", "study.yaml", "--cells", "x=1")
    registry = open_registry(str(orch.directory / "store" / "registry.db"))
    lease = registry.acquire("toy", Owner(driver="d", host="lab-7", pid=os.getpid()), 60.0)
    try:
        yield
    finally:
        registry.release(lease)
        registry.close()


@contextmanager
def recorded(orch: Orch) -> Iterator[None]:
    orch("submit", "study.yaml")
    yield


def _nothing(orch: Orch) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A command that goes wrong.

    Attributes:
        name: Of its file.
        command: What is typed, without `orch`.
        study: study.yaml.
        files: Further files.
        around: What is the case meanwhile.
        told: Of the parts of the message those that say what to do about it.
    """

    name: str
    command: str = "submit study.yaml"
    study: str = SOUND
    files: dict[str, str] = field(default_factory=dict)
    around: Callable[[Orch], AbstractContextManager[None]] = _nothing
    told: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Writes the files."""
        for name, text in {"study.yaml": self.study, **self.files}.items():
            (folder / name).write_text(text, encoding="utf-8")


def _config(text: str) -> str:
    return SOUND.replace("epochs: 2", text)


def _tables(text: str) -> str:
    return SOUND + f"seeds: 3\ntables:\n  errors: {{{text}}}\n"


MISTAKES = (
    Mistake(name="typo_in_a_key", study=_config("epocs: 2"), told=("'epochs'",)),
    Mistake(name="typo_in_a_top_key", study=SOUND + "sedes: 5\n", told=("'seeds'",)),
    Mistake(
        name="typo_in_a_level",
        study=SOUND + "    width: {path: network.width, levels: [1, 2], when: {depth: 62}}\n",
        told=("14, 26",),
    ),
    Mistake(name="wrong_path", study=SOUND.replace("network.depth", "network.dept"), told=("'depth'",)),
    Mistake(
        name="wrong_network_option",
        study=SOUND.replace("name: resnet", "name: resnet, drop_path: local"),
        told=("fractalnet", "only where it belongs"),
    ),
    Mistake(name="impossible_depth", study=SOUND.replace("[14, 26]", "[14, 27]"), told=("27",)),
    Mistake(name="tabs", study=SOUND.replace("  type:", "\ttype:"), told=("spaces",)),
    Mistake(name="unclosed_bracket", study=SOUND.replace("[14, 26]", "[14, 26"), told=("closing bracket",)),
    Mistake(name="text_for_a_number", study=_config("epochs: ten"), told=("an integer", "'ten'")),
    Mistake(name="unknown_metric", study=_tables("rows: depth, metric: accuracy"), told=("test_error",)),
    Mistake(
        name="forgotten_dimension",
        study=_tables("metric: test_error"),
        told=("rows or columns", "average_over"),
    ),
    Mistake(
        name="one_seed_for_a_comparison",
        study=_tables("rows: depth, metric: test_error, baseline: {depth: 14}").replace(
            "seeds: 3", "seeds: 1"
        ),
        told=("seeds: 2",),
    ),
    Mistake(name="secret_written_out", study=_config("epochs: 2, api_key: abc123"), told=("${secret:NAME}",)),
    Mistake(
        name="own_workload_not_listed",
        study=TOY.replace("tests.toy_workload:SPEC", "my_lab.train:SPEC"),
        told=("workload_modules", "orch.toml"),
    ),
    Mistake(name="wrong_file_name", command="submit studdy.yaml", told=("study.yaml",)),
    Mistake(name="misspelt_command", command="sumbit study.yaml", told=("'submit'",)),
    Mistake(
        name="misspelt_option", command="submit study.yaml --max-concurent 2", told=("--max-concurrent",)
    ),
    Mistake(name="set_without_a_value", command="plan study.yaml --set epochs", told=("PATH=VALUE",)),
    Mistake(name="cells_that_do_not_exist", command="submit study.yaml --cells depth=15", told=("14, 26",)),
    Mistake(name="nothing_submitted_yet", command="table s", told=("orch submit", "--store")),
    Mistake(name="unknown_study", command="table toi", study=TOY, around=recorded, told=("toy",)),
    Mistake(
        name="misspelt_setting",
        command="plan study.yaml",
        files={"orch.toml": 'stor = "results"\n'},
        told=("store",),
    ),
    Mistake(
        name="store_that_cannot_be_made",
        command="submit study.yaml --store /proc/results",
        study=TOY,
        told=("--store DIR",),
    ),
    Mistake(name="missing_data_set", command="data check cifar10", told=("orch data fetch cifar10",)),
    Mistake(name="full_disk", study=TOY, around=full_disk, told=("orch resume toy",)),
    Mistake(name="held_by_another_driver", study=TOY, around=held, told=("lab-7",)),
)
