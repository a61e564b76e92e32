"""Settings of an installation: flag > ORCH_* > the target's > ./orch.toml > the user's config > default.

A target is a table `[targets.NAME]` of settings, for one machine or cluster. Nothing here changes what a
study means: that is in its file.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import Field, ValidationError, field_serializer, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from orchestrator.errors import UsageError
from orchestrator.model.groups import node_groups
from orchestrator.model.notice import NotifyRule, rules_of
from orchestrator.model.place import checked, masked

PROJECT_FILE = "orch.toml"
_SECRET = frozenset({"notify", "webhook"})  # what was got there is not printed


class Settings(BaseSettings):
    """Where things are and how much may run at once."""

    model_config = SettingsConfigDict(env_prefix="ORCH_", extra="forbid", frozen=True)

    target: str | None = Field(None, description="Table of `targets` whose settings are in force.")
    store: str = Field(
        ".orch",
        description="Directory of registry, results, checkpoints and logs; or s3://bucket/prefix, for all "
        "but the registry.",
    )
    registry_url: str | None = Field(
        None,
        description="Database of the registry; default: registry.db (SQLite) in the store. "
        "A store in a bucket needs one.",
    )
    mlflow_uri: str | None = Field(
        None,
        description="MLflow tracking URI; default: mlflow.db (SQLite) in the store, or none for a store "
        "in a bucket; 'off' for none.",
    )
    data_dir: Path = Field(Path("data"), description="Directory of data sets that are not embedded.")
    executor: Literal["ray", "inline"] = Field("ray", description="Where trials run by default.")
    ray_address: str | None = Field(
        None, description="Address of a Ray cluster to join; default: a local one that ends with orch."
    )
    jobs_address: str | None = Field(
        None,
        description="Address of a Ray cluster's dashboard, http://HOST:8265: where --no-wait starts drivers.",
    )
    scales_to: str | None = Field(
        None,
        description="Nodes that the cluster's autoscaler may have in all, those that stand counted in: "
        "'8 x 16 CPU + 64 GB, 4 x 8 CPU + 1 GPU + 32 GB'; default: those that stand.",
    )
    max_concurrent: int | None = Field(
        None, ge=1, description="Bundles at once, at most; default: what fits."
    )
    checkpoint_interval_s: float = Field(
        30.0, ge=0, description="Least time between two checkpoints of a running training."
    )
    hang_s: float = Field(
        600.0,
        gt=0,
        description="A worker that makes no progress for so long is ended, and its trials are tried again.",
    )
    min_free_gb: float = Field(
        1.0,
        ge=0,
        description="Free GB of the store's disk below which nothing is submitted, resumed, imported.",
    )
    lease_s: float = Field(60.0, ge=2, description="A driver that is silent for so long has lost its study.")
    mirror_wait_s: float = Field(
        60.0, ge=0, description="How long the end of a submission waits for MLflow to catch up."
    )
    workload_modules: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Packages that `workload: package.module:SPEC` may name."
    )
    secrets_file: Path | None = Field(
        None,
        description='File of NAME = "value" for ${secret:NAME}, mode 0600; ORCH_SECRET_NAME comes first.',
    )
    notify: tuple[NotifyRule, ...] = Field(
        (),
        description="Whom to tell of what: [[notify]] tables, each with a command or a webhook, and `on`.",
    )
    notify_wait_s: float = Field(
        10.0, gt=0, description="How long a notification may take, and the end of a submission waits for it."
    )

    targets: dict[str, dict[str, Any]] = Field(
        {}, repr=False, description="Settings of each machine or cluster: [targets.NAME] in a file."
    )

    @field_validator("store", mode="before")
    @classmethod
    def _place(cls, value: Any) -> Any:
        return checked(os.fspath(value)) if isinstance(value, str | os.PathLike) else value

    @field_validator("notify", mode="before")
    @classmethod
    def _rules(cls, value: Any) -> Any:
        return rules_of(value)

    @field_serializer("notify", when_used="json")
    def _shown_rules(self, value: tuple[NotifyRule, ...]) -> list[dict[str, Any]]:
        return [rule.shown() for rule in value]

    @field_serializer("registry_url", "mlflow_uri", when_used="json")
    def _shown_url(self, value: str | None) -> str | None:
        return None if value is None else masked(value)

    @field_serializer("targets", when_used="json")
    def _shown_targets(self, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {name: {key: _shown(key, own) for key, own in table.items()} for name, table in value.items()}

    @field_validator("scales_to")
    @classmethod
    def _groups(cls, value: str | None) -> str | None:
        node_groups(value or "")
        return value

    @field_validator("workload_modules", mode="before")
    @classmethod
    def _comma_list(cls, value: Any) -> Any:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Returns the sources, strongest first."""
        return (
            init_settings,
            env_settings,
            TomlConfigSettingsSource(settings_cls, Path(PROJECT_FILE)),
            TomlConfigSettingsSource(settings_cls, user_file()),
        )


def user_file() -> Path:
    """Returns the path of the user's own config file."""
    return Path(platformdirs.user_config_dir("orch")) / "config.toml"


def load_settings(flags: Mapping[str, Any] | None = None) -> Settings:
    """Returns the settings in force.

    Args:
        flags: What the command line gave; None values are left out.

    Raises:
        UsageError: A source has an unknown key or a value of the wrong kind.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    settings = _made(given, given)
    if settings.target is None:
        return settings
    return _made({**_of_target(settings, given), **given}, given)


def _of_target(settings: Settings, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of the chosen target that neither a flag nor the environment gives.

    Raises:
        UsageError: No such target, or a target that holds targets.
    """
    found = settings.targets.get(str(settings.target))
    if found is None:
        known = ", ".join(settings.targets) or "none"
        raise UsageError(
            f"target: got {settings.target!r} ({_source('target', given)}), known are: {known}; write "
            f"[targets.{settings.target}] into {PROJECT_FILE}"
        )
    for name in ("target", "targets"):
        if name in found:
            raise UsageError(f"[targets.{settings.target}]: {name!r} has no place in a target's settings")
    return {name: value for name, value in found.items() if not _in_environment(name)}


def _made(values: Mapping[str, Any], given: Mapping[str, Any]) -> Settings:
    try:
        return Settings(**values)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"])
            known = name in given or name not in values
            source = _source(name, given) if known else "target"
            allowed = ", ".join(Settings.model_fields)
            if problem["type"] == "extra_forbidden":
                near = difflib.get_close_matches(name, Settings.model_fields, n=1)
                meant = f"; did you mean {near[0]!r}?" if near else ""
                lines.append(f"unknown setting {name!r} ({source}){meant}; known settings: {allowed}")
                continue
            got = problem["input"]
            told = masked(got) if isinstance(got, str) else got
            shown = "" if _SECRET & set(map(str, problem["loc"])) else f", got {told!r}"
            lines.append(f"setting {name!r} ({source}): {problem['msg']}{shown}")
        raise UsageError("\n".join(lines)) from None
    except SettingsError as error:
        raise UsageError(str(error)) from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{PROJECT_FILE} or {user_file()}: not valid TOML: {error}") from None


def _shown(name: str, value: Any) -> Any:
    """Returns a setting of a target as it may be printed."""
    if name == "notify":
        try:
            return [rule.shown() for rule in rules_of(value)]
        except ValueError as error:
            return str(error)
    if name == "webhook":
        return "***"
    return masked(value) if isinstance(value, str) else value


def origins(flags: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Returns for each setting which source gave it."""
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    settings = load_settings(flags)
    own = _of_target(settings, given) if settings.target is not None else {}
    return {
        name: f"target {settings.target}" if name in own and name not in given else _source(name, given)
        for name in Settings.model_fields
    }


def _in_environment(name: str) -> bool:
    return f"ORCH_{name.upper()}" in {key.upper() for key in os.environ}


def _source(name: str, given: Mapping[str, Any]) -> str:
    if name in given:
        return "flag"
    if _in_environment(name):
        return f"ORCH_{name.upper()}"
    for path in (Path(PROJECT_FILE), user_file()):
        if path.is_file():
            try:
                content = tomllib.loads(path.read_text(encoding="utf-8"))
            except (tomllib.TOMLDecodeError, OSError):
                continue
            if name in content:
                return str(path)
    return "default"
