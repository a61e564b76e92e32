"""Secrets of the settings and of trials, as this installation keeps them."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.errors import SecretError
from orchestrator.execution.secrets import Secrets, names_in
from orchestrator.model.plan import Trial
from orchestrator.settings import Settings


def secrets_of(settings: Settings) -> Secrets:
    """Returns where secrets are kept."""
    file = settings.secrets_file
    return Secrets(file=None if file is None else file.expanduser().absolute())


def filled_url(url: str, settings: Settings) -> str:
    """Returns an address of the settings with its secrets in it; what is shown is the address without.

    Raises:
        SecretError: One cannot be had.
    """
    return secrets_of(settings).filled(url, in_url=True)


def require_secrets(trials: Iterable[Trial], executor: str, settings: Settings) -> None:
    """Looks up what trials will need, where they run on this machine: nothing begins that must fail.

    Args:
        trials: What is to run.
        executor: Where.
        settings: As loaded.

    Raises:
        SecretError: One cannot be had.
    """
    if executor == "ray" and settings.ray_address is not None:
        return  # the nodes have their own
    held = secrets_of(settings)
    names = dict.fromkeys(
        name for trial in trials for part in (trial.config, trial.parameters) for name in names_in(part)
    )
    wrong = []
    for name in names:
        try:
            held.value(name)
        except SecretError as error:
            wrong.append(str(error))
    if wrong:
        raise SecretError("; ".join(wrong))
