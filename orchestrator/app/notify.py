"""What people are told of a study while they are elsewhere, and when (`[[notify]]` of the settings)."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

from orchestrator.app.claims import try_claims
from orchestrator.app.secrets import secrets_of
from orchestrator.app.session import Session, SystemClock
from orchestrator.app.view import View
from orchestrator.driver.progress import Progress, Summary
from orchestrator.errors import OrchError, TargetError, UsageError
from orchestrator.model.claim import Judged, Verdict
from orchestrator.model.notice import VARIABLE, Happened, Notice, NotifyRule
from orchestrator.model.plan import State, TrialKey
from orchestrator.model.run import Submission
from orchestrator.model.study import Study
from orchestrator.notification.command import CommandNotifier
from orchestrator.notification.sender import Sender
from orchestrator.notification.webhook import WebhookNotifier
from orchestrator.ports import Clock, Notifier
from orchestrator.settings import Settings

SHOWN: Final = 5  # failures that a notice names
# A worker without progress is ended after `hang_s`, which is news of its own: that comes first.
STALLED: Final = 1.5


@dataclass(slots=True, kw_only=True)
class Notices:
    """What is told of one submission; nothing that happens here can delay or fail it.

    Attributes:
        rules: Who wants what, and what sends it.
        study: The study's name; submission: its id.
        stalled_s: So long without any sign of a trial is told.
        wait_s: How long the end waits for what is not sent yet, at most.
        failed_before: Trials whose failure was told before.
        known: Claim -> its verdict before anything ran.
        note: Where it is said that something could not be sent.
        clock: Time.
    """

    rules: Sequence[tuple[NotifyRule, Sender]]
    study: str
    submission: str
    stalled_s: float
    wait_s: float
    failed_before: Collection[TrialKey] = frozenset()
    known: Mapping[str, Verdict] = field(default_factory=dict)
    note: Callable[[str], None] = lambda text: None
    clock: Clock

    _heard: int = -1
    _heard_at: float = 0.0
    _silent: bool = False  # and that has been told

    def __enter__(self) -> Notices:
        """Starts to watch."""
        self._heard_at = self.clock.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tells of a driver that stopped by itself; waits for what is not sent yet, unless interrupted."""
        if isinstance(error, TargetError):
            self._tell(Happened.STALLED, f"its driver stopped: {error}", reason=str(error))
        now = error is not None and not isinstance(error, Exception)
        for rule, sender in self.rules:
            if problem := sender.finish(0.0 if now else self.wait_s):
                self.note(f"note: {rule.name}: {problem}")

    def progress(self, progress: Progress) -> None:
        """Tells of a study of which nothing has been heard for long, once until something is."""
        now = self.clock.monotonic()
        elsewhere = bool(progress.counts.get(State.RUNNING)) and not progress.running
        if progress.heard != self._heard or elsewhere:
            self._heard, self._heard_at, self._silent = progress.heard, now, False
        elif not self._silent and now - self._heard_at >= self.stalled_s:
            self._silent = True
            left = progress.total - progress.done
            self._tell(
                Happened.STALLED,
                f"nothing has been heard of its trials for {self.stalled_s / 60:.3g} min; "
                f"{len(progress.running)} run, {left} are left",
                silent_s=self.stalled_s,
                running=len(progress.running),
                left=left,
            )

    def ended(self, summary: Summary) -> None:
        """Tells how a drive that had something to do ended; one that was asked to stop is no news."""
        counts = {state.value: number for state, number in summary.counts.items() if number}
        left = sum(number for state, number in summary.counts.items() if not state.final)
        failures = {key: each for key, each in summary.failures.items() if key not in self.failed_before}
        if failures:
            first = list(failures.items())[:SHOWN]
            self._tell(
                Happened.FAILED,
                f"{len(failures)} of {sum(summary.counts.values())} trials failed, the first: {first[0][1]}",
                failed=len(failures),
                counts=counts,
                failures=[{"trial": key, "message": message} for key, message in first],
            )
        if summary.halted:
            self._tell(Happened.STALLED, f"its driver stopped: {summary.halted}", reason=summary.halted)
        elif summary.spent and left:
            self._tell(
                Happened.BUDGET, f"{summary.spent}; {left} trials are left", reason=summary.spent, left=left
            )
        elif not left and not summary.interrupted:
            troubled = ", ".join(f"{counts[each]} {each}" for each in _TROUBLED if each in counts)
            self._tell(
                Happened.DONE,
                f"done: {summary.trained} trained, {summary.evaluated} evaluated"
                + (f", {summary.tuned} tuned" if summary.tuned else "")
                + (f", {troubled}" if troubled else ""),
                trained=summary.trained,
                evaluated=summary.evaluated,
                counts=counts,
            )

    def judged(self, claims: Sequence[Judged]) -> None:
        """Tells the verdicts that are new; for seeds by a rule this is when the rule asks for no more."""
        new = [
            each
            for each in claims
            if each.verdict is not Verdict.INCOMPLETE and each.verdict is not self.known.get(each.name)
        ]
        if new:
            self._tell(
                Happened.CLAIM,
                "; ".join(f"{each.name}: {each.verdict.value} ({each.says})" for each in new),
                claims=[
                    {"name": each.name, "says": each.says, "verdict": each.verdict.value} for each in new
                ],
            )

    def _tell(self, event: Happened, text: str, **details: Any) -> None:
        notice = Notice(
            event=event.value,
            study=self.study,
            submission=self.submission,
            text=f"{self.study}: {text}",
            at=self.clock.time(),
            host=socket.gethostname(),
            details=details,
        )
        for rule, sender in self.rules:
            if event in rule.on:
                sender.put(notice)


_TROUBLED: Final = ("diverged", "failed", "blocked", "cancelled")


def notices_of(
    session: Session,
    study: Study,
    submission: Submission,
    view: View,
    *,
    states: Mapping[TrialKey, State] | None,
) -> Notices:
    """Returns what is told of a submission.

    Args:
        session: The store.
        study: As recorded.
        submission: As recorded.
        view: Where it is said that something could not be sent.
        states: Of the study's trials before anything runs; None when nothing is to run, which is no news.
    """
    settings = session.settings
    rules = [] if states is None else senders(settings, view.note)
    known: dict[str, Verdict] = {}
    if study.claims and any(Happened.CLAIM in rule.on for rule, _ in rules):
        with suppress(OrchError, OSError):  # what cannot be read is told where it is needed
            known = {each.name: each.verdict for each in try_claims(session, study)[0]}
    return Notices(
        rules=rules,
        study=study.name,
        submission=submission.id,
        stalled_s=STALLED * settings.hang_s,
        wait_s=settings.notify_wait_s,
        failed_before=frozenset(key for key, state in (states or {}).items() if state is State.FAILED),
        known=known,
        note=view.note,
        clock=SystemClock(),
    )


def senders(settings: Settings, note: Callable[[str], None]) -> list[tuple[NotifyRule, Sender]]:
    """Returns who is told; of a rule that cannot work that is noted, and the others are returned."""
    found = []
    for rule in settings.notify:
        try:
            found.append((rule, Sender(notifier_of(rule, settings), limit_s=settings.notify_wait_s)))
        except UsageError as error:
            note(f"note: {rule.name}: {error}; nothing is sent there")
    return found


def notifier_of(rule: NotifyRule, settings: Settings) -> Notifier:
    """Returns what sends by a rule.

    Raises:
        UsageError: A secret or variable of it is not set, or holds no URL; or there is no such program.
    """
    if rule.command:
        if shutil.which(rule.command[0]) is None:
            raise UsageError("there is no such program")
        return CommandNotifier(rule.command)
    url = secrets_of(settings).filled(rule.webhook)
    for name in VARIABLE.findall(url):
        if not os.environ.get(name):
            raise UsageError(f"the environment variable {name} is not set")
    try:
        return WebhookNotifier(VARIABLE.sub(lambda found: os.environ[found[1]], url))
    except ValueError as error:
        raise UsageError(str(error)) from None


def send_test(rule: NotifyRule, settings: Settings) -> str:
    """Sends a test notice and waits for it; returns what went wrong, or ""."""
    notice = Notice(event="test", text="orch can reach you here", at=time.time(), host=socket.gethostname())
    try:
        notifier_of(rule, settings).send(notice, limit_s=settings.notify_wait_s)
    except OrchError as error:
        return str(error)
    return ""
