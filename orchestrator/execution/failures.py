"""Why an attempt ended, told from the exception: cause, one line, a trimmed traceback without locals."""

from __future__ import annotations

import errno
import re
import traceback
from collections.abc import Iterator
from types import TracebackType

from orchestrator.errors import CorruptError, TargetError
from orchestrator.execution.secrets import without_secrets
from orchestrator.model.run import Cause, Failure

MESSAGE_LIMIT = 500
TRACEBACK_LIMIT = 8_000
_OWN = "orchestrator.execution"

# What serializers say when the disk is full and they have swallowed the OSError.
_FULL = ("no space left on device", "disk quota exceeded", "file write failed", "pytorchstreamwriter failed")
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})
_MEMORY_NAMES = frozenset({"OutOfMemoryError"})  # torch.cuda's and torch's; torch itself is not imported here
_MEMORY_TEXTS = (
    "cuda out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
)
_USERINFO = re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]*(?=@)")


class ReportError(ValueError):
    """A workload yielded something that cannot be recorded; the message names the field."""


def failure_of(error: BaseException) -> Failure:
    """Returns why an attempt ended: the cause by the exception's type, its text, where it was raised.

    Args:
        error: What the workload, or saving its checkpoint, raised.
    """
    name = type(error).__name__
    text = str(error).strip()
    line = text.splitlines()[0] if text else ""
    message = f"{name}: {line}" if line else name
    return Failure(
        cause=cause_of(error),
        message=_shortened(redacted(message), MESSAGE_LIMIT),
        traceback=trimmed(error),
    )


def cause_of(error: BaseException) -> Cause:
    """Returns the cause that an exception, or one that it was raised from, stands for."""
    for each in _chain(error):
        if isinstance(each, CorruptError):
            return Cause.CORRUPT
        if isinstance(each, TargetError):  # the store cannot be reached: the next trial would not fare better
            return Cause.DISK
        text = str(each).lower()
        if isinstance(each, MemoryError) or type(each).__name__ in _MEMORY_NAMES:
            return Cause.OUT_OF_MEMORY
        if isinstance(each, OSError) and each.errno in _DISK:
            return Cause.DISK
        if isinstance(each, OSError) and each.errno == errno.ENOMEM:
            return Cause.OUT_OF_MEMORY
        if isinstance(each, RuntimeError):
            if any(part in text for part in _FULL):
                return Cause.DISK
            if any(part in text for part in _MEMORY_TEXTS):
                return Cause.OUT_OF_MEMORY
    return Cause.ERROR


def trimmed(error: BaseException) -> str:
    """Returns the traceback from the workload's first frame on, its end kept when it is long.

    No values of locals, and no user names or passwords of URLs, are in it.
    """
    trace = _outside(error.__traceback__)
    text = "".join(traceback.format_exception(type(error), error, trace))
    return _shortened(redacted(text), TRACEBACK_LIMIT, keep_end=True)


def redacted(text: str) -> str:
    """Returns the text with secrets and `user:password@` of URLs masked."""
    return without_secrets(_USERINFO.sub("***:***", text))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def _outside(trace: TracebackType | None) -> TracebackType | None:
    """Returns the traceback without our own leading frames, which say nothing about the fault."""
    first = trace
    while first is not None and first.tb_frame.f_globals.get("__name__", "").startswith(_OWN):
        first = first.tb_next
    return first or trace


def _shortened(text: str, limit: int, *, keep_end: bool = False) -> str:
    if len(text) <= limit:
        return text
    return f"...\n{text[-limit:]}" if keep_end else f"{text[:limit]}..."
