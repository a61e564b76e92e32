"""Secrets: found where they are used, handed to the workload, and masked in all that leaves the process.

A study says `${secret:NAME}`. What stands for it is never in a plan, a key, the registry or a message: a
worker looks it up at the last moment, in its environment (ORCH_SECRET_NAME) or in a file of its user alone.
"""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from orchestrator.errors import SecretError
from workloads.api import SECRET, Secret

PREFIX: Final = "ORCH_SECRET_"
SHORTEST: Final = 4  # characters: to mask a shorter one would blot out what is no secret
MASK: Final = "***"
_BLOCK: Final = 2**20

# What was looked up in this process, every form in which it may be written -> the secret's name.
_revealed: dict[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Where secrets are kept; holds none, and is picklable.

    Attributes:
        file: TOML of NAME = "value", which only its owner may read; None for the environment alone.
    """

    file: Path | None = None

    def value(self, name: str) -> str:
        """Returns a secret, which from now on is masked in what this process tells.

        Raises:
            SecretError: It is nowhere, too short, or its file is open to others.
        """
        found = os.environ.get(PREFIX + name)
        if found is None:
            found = self._filed(name)
        if len(found) < SHORTEST:
            raise SecretError(
                f"the secret {name} has {len(found)} characters; allowed are {SHORTEST} and more, since a "
                "shorter one cannot be masked"
            )
        _revealed.update(dict.fromkeys(_forms(found), name))
        return found

    def filled(self, text: str, *, in_url: bool = False) -> str:
        """Returns a text with secrets in place of their references.

        Args:
            text: As written.
            in_url: Whether it is a URL of which a secret is a part: it is quoted then.

        Raises:
            SecretError: One cannot be had.
        """
        if (whole := SECRET.fullmatch(text)) is not None:
            return self.value(whole[1])
        return SECRET.sub(
            lambda found: quote(self.value(found[1]), safe="") if in_url else self.value(found[1]), text
        )

    def reveal(self, plain: Any) -> Any:
        """Returns plain data in which texts with references are `workloads.api.Secret`s.

        Raises:
            SecretError: One cannot be had.
        """
        if isinstance(plain, str):
            return Secret(self.filled(plain), plain) if SECRET.search(plain) else plain
        if isinstance(plain, Mapping):
            return {name: self.reveal(value) for name, value in plain.items()}
        if isinstance(plain, list | tuple):
            return [self.reveal(value) for value in plain]
        return plain

    def _filed(self, name: str) -> str:
        where = f"set {PREFIX}{name} in the environment"
        if self.file is None:
            raise SecretError(f"the secret {name} is not set; {where}, or name a secrets_file in orch.toml")
        try:
            with self.file.open("rb") as stream:
                status = os.fstat(stream.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise SecretError(f"secrets_file {self.file} is not a regular file")
                if status.st_mode & 0o077 or status.st_uid not in (0, os.geteuid()):
                    mode = stat.S_IMODE(status.st_mode)
                    raise SecretError(
                        f"secrets_file {self.file}: others may read it (mode {mode:04o}); allowed is a "
                        f"file of your own with mode 0600: chmod 600 {self.file}"
                    )
                held = tomllib.load(stream)
        except OSError as error:
            raise SecretError(f"secrets_file {self.file} cannot be read: {error.strerror}; {where}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            # The decoder's own words quote the text.
            raise SecretError(f'secrets_file {self.file} is no TOML; write lines NAME = "value"') from None
        found = held.get(name)
        if not isinstance(found, str):
            raise SecretError(
                f'secrets_file {self.file} has no text {name}; write {name} = "value", or {where}'
            )
        return found


def names_in(plain: Any) -> Iterator[str]:
    """Yields the names of the secrets that plain data refer to."""
    if isinstance(plain, str):
        yield from SECRET.findall(plain)
    elif isinstance(plain, Mapping):
        for value in plain.values():
            yield from names_in(value)
    elif isinstance(plain, list | tuple):
        for value in plain:
            yield from names_in(value)


def without_secrets(text: str) -> str:
    """Returns a text in which no secret stands that was looked up in this process."""
    for form in sorted(_revealed, key=len, reverse=True):
        if form in text:
            text = text.replace(form, MASK)
    return text


def secret_in(folder: Path) -> str | None:
    """Returns in which file of a folder which secret stands ("config.json: TOKEN"), or None."""
    forms = {form.encode(): name for form, name in _revealed.items()}
    if not forms:
        return None
    longest = max(map(len, forms))
    for path in sorted(each for each in folder.rglob("*") if each.is_file() and not each.is_symlink()):
        with path.open("rb") as stream:
            tail = b""
            while block := stream.read(_BLOCK):
                window = tail + block
                for form, name in forms.items():
                    if form in window:
                        return f"{path.relative_to(folder).as_posix()}: {name}"
                tail = window[-longest:]
    return None


def _forms(value: str) -> set[str]:
    """Returns a secret as it is, as JSON and Python write it, as in URLs, and its long lines."""
    lines = [line.strip() for line in value.splitlines()] if "\n" in value else []
    forms = {value, json.dumps(value)[1:-1], repr(value)[1:-1], quote(value, safe=""), quote(value)}
    return forms | {line for line in lines if len(line) >= 8}
