"""Exceptions of `orch`, one tree.

    OrchError                    anything a user should read as one clear message
    +-- DataError (1)            data: a data set that is missing, damaged or cannot be had
    +-- UsageError (2)           usage: a flag, a setting or a combination of them that cannot work
    |   +-- SecretError          secret-missing: a secret that cannot be had, or lies open to others
    +-- StudyError (2)           an invalid study file: carries every problem found, each with its code
    +-- NotFoundError (3)        no-such: no such study, cell, trial, table
    +-- TargetError (5)          target: a cluster, database or store that is unreachable or not allowed
    +-- IncompleteError (6)      incomplete: results are missing
    |   +-- CorruptError         corrupt: a part or checkpoint whose digest does not match
    +-- HeldError (7)            held: another driver holds the study
    +-- LeaseLostError (7)       lease-lost: this driver's lease has been taken over

The number is the exit code of the command line, the word the code that stands before the message. What is
none of these is a fault of orch itself: internal (70).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class OrchError(Exception):
    """A failure that is told to the user as one message, without a traceback."""

    exit_code = 1
    code = "failed"


class DataError(OrchError):
    """A data set that is missing, damaged or cannot be had."""

    code = "data"


class UsageError(OrchError, ValueError):
    """A flag or a combination of flags that cannot work."""

    exit_code = 2
    code = "usage"


class SecretError(UsageError):
    """A secret that cannot be had, or that lies where others can read it; never holds its value."""

    code = "secret-missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in a study file.

    Attributes:
        file: The file the offending text is in.
        line: 1-based line, 0 when there is no place.
        column: 1-based column, 0 when there is no place.
        code: Kind of the problem, in kebab case ("unknown-key").
        message: What is wrong, what was got, what is allowed, what to do.
    """

    file: str
    line: int = 0
    column: int = 0
    code: str
    message: str

    def __str__(self) -> str:
        """Returns `file:line:col: error[code]: message`."""
        place = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.file}{place}: error[{self.code}]: {self.message}"


class StudyError(OrchError, ValueError):
    """An invalid study: all its problems at once."""

    exit_code = 2
    code = "study"

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Takes every problem found, in the order of the text."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class NotFoundError(OrchError, LookupError):
    """No such study, cell, trial or table."""

    exit_code = 3
    code = "no-such"


class TargetError(OrchError):
    """A cluster, database or store that is unreachable or not allowed."""

    exit_code = 5
    code = "target"


class IncompleteError(OrchError):
    """Results are missing."""

    exit_code = 6
    code = "incomplete"


class CorruptError(IncompleteError):
    """A part or a checkpoint whose bytes do not match their recorded digest."""

    code = "corrupt"


class HeldError(OrchError):
    """Another driver holds the study."""

    exit_code = 7
    code = "held"


class LeaseLostError(OrchError):
    """This driver's lease has expired and was taken over."""

    exit_code = 7
    code = "lease-lost"
