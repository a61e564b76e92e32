"""Causes, messages and tracebacks of failures."""

from __future__ import annotations

import errno

import pytest

from orchestrator.errors import CorruptError, TargetError
from orchestrator.execution.failures import MESSAGE_LIMIT, TRACEBACK_LIMIT, failure_of, redacted
from orchestrator.model.run import Cause


class OutOfMemoryError(RuntimeError):
    """Bears the name of torch's."""


def raised(error: BaseException, *, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (MemoryError(), Cause.OUT_OF_MEMORY),
        (OutOfMemoryError("CUDA"), Cause.OUT_OF_MEMORY),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), Cause.OUT_OF_MEMORY),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), Cause.OUT_OF_MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), Cause.OUT_OF_MEMORY),
        (OSError(errno.ENOSPC, "No space left on device"), Cause.DISK),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Cause.DISK),
        (RuntimeError("PytorchStreamWriter failed writing file data/0"), Cause.DISK),
        (OSError(errno.EIO, "Input/output error"), Cause.DISK),
        (OSError(errno.EROFS, "Read-only file system"), Cause.DISK),
        (OSError(errno.EACCES, "Permission denied"), Cause.ERROR),
        (CorruptError("digest"), Cause.CORRUPT),
        (TargetError("the bucket does not answer"), Cause.DISK),
        (ValueError("memory"), Cause.ERROR),
        (SystemExit(1), Cause.ERROR),
    ],
)
def test_the_cause_follows_the_type(error: BaseException, cause: Cause) -> None:
    assert failure_of(raised(error)).cause is cause


def test_an_exception_that_hides_a_full_disk_is_seen_through() -> None:
    hidden = raised(RuntimeError("could not save"), cause=OSError(errno.ENOSPC, "No space left"))
    assert failure_of(hidden).cause is Cause.DISK


def test_message_is_one_short_line() -> None:
    failure = failure_of(raised(ValueError("first\nsecond")))
    assert failure.message == "ValueError: first"
    assert len(failure_of(raised(ValueError("x" * 10_000))).message) <= MESSAGE_LIMIT + 3
    assert failure_of(raised(KeyboardInterrupt())).message == "KeyboardInterrupt"


def test_traceback_is_trimmed_and_bears_no_locals_and_no_passwords() -> None:
    password = "hun" + "ter2"

    def deep(n: int) -> None:
        local = password  # noqa: F841
        if n == 0:
            raise ValueError(f"cannot reach postgres://ada:{password}@db.example/x")
        deep(n - 1)

    with pytest.raises(ValueError, match="postgres") as caught:
        deep(400)
    failure = failure_of(caught.value)
    assert len(failure.traceback) <= TRACEBACK_LIMIT + 4
    assert password not in failure.traceback
    assert password not in failure.message
    assert "postgres://***:***@db.example/x" in failure.message
    assert failure.traceback.rstrip().endswith("postgres://***:***@db.example/x")


def test_redaction_leaves_other_text_alone() -> None:
    text = "see https://example.org/a:b@c and user@host"
    assert redacted(text) == text
