"""Checkpoints that are sealed beside the training: digests, the disk, an upload.

To write the files takes the network as it is at that step, and so the training waits for that. What follows
only reads files that nobody changes any more: it has a thread of its own, and the training goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Final, TypeAlias

from orchestrator.model.run import CheckpointRef

LARGE_BYTES: Final = 4 * 2**20  # a smaller one is sealed before the next step would have ended

Write: TypeAlias = Callable[[Path], None]


class Sealing:
    """One checkpoint on its way into the store.

    Attributes:
        large: Whether it is worth going on beside it.
    """

    def __init__(self, save: Callable[[Write], CheckpointRef], *, write: Write, check: Write) -> None:
        """Writes the files and returns; the rest goes on in a thread.

        Args:
            save: `CheckpointStore.save` of this checkpoint, given what writes the files.
            write: Writes the files into a folder; called here, in the caller's thread.
            check: Raises if a file must not be in a store; called in the other thread.

        Raises:
            Exception: What `write` raised, or the store before there was a folder; nothing is left of it.
        """
        place: Future[Path] = Future()
        written: Future[None] = Future()

        def hand_over(folder: Path) -> None:
            place.set_result(folder)
            written.result()
            check(folder)

        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="orch-seal")
        self._sealed = pool.submit(save, hand_over)
        pool.shutdown(wait=False)  # the thread ends with its work
        try:
            either: tuple[Future[Any], ...] = (place, self._sealed)
            wait(either, return_when=FIRST_COMPLETED)
            if not place.done():
                self._sealed.result()  # raises: there was no folder to write to
            folder = place.result()
            write(folder)
            self.large = (
                sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) >= LARGE_BYTES
            )
        except BaseException:
            written.set_exception(_Abandoned())
            wait((self._sealed,))
            raise
        written.set_result(None)

    @property
    def done(self) -> bool:
        """Whether `result` would return or raise at once."""
        return self._sealed.done()

    def result(self) -> CheckpointRef:
        """Returns the checkpoint when it is whole and durable.

        Raises:
            Exception: What the store or `check` raised; nothing is left of it.
        """
        return self._sealed.result()


class _Abandoned(Exception):
    """Tells the store that the files will not be written."""
