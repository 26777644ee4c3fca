"""What a render tells while it runs: a Listener gets each event as it happens, on Trio's thread, and must not block."""

import enum
from collections.abc import Sequence
from typing import Protocol

from clipcut.plan import Edit, Method
from clipcut.results import ClipResult


class Stage(enum.StrEnum):
    """What is being done for a clip at work."""

    PROBE = "probe"
    COPY = "copy"
    WAIT = "wait"
    ENCODE = "encode"
    CHECK = "check"


class Listener(Protocol):
    """Whoever wants to know: the log, the live display."""

    def clip_started(self, edit: Edit, parallel_slot: int) -> None:
        """A clip is at work: it holds its video's place and a global one."""

    def clip_stage(self, edit: Edit, method: Method, stage: Stage) -> None:
        """A clip at work goes on to the next stage of a rung; ``WAIT`` is for a free encoder."""

    def clip_finished(self, result: ClipResult) -> None:
        """A clip has ended, one way or another."""

    def clip_throttled(self, edit: Edit, per_video_limit: int, waited_s: float) -> None:
        """A clip's wait for its video has ended, and a global place was free meanwhile."""

    def warning(self, event: str, message: str) -> None:
        """Something isn't as it should be, and the render goes on."""


class Listeners:
    """Several listeners as one; each is told of every event, in the order they were given."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        """Tell all of these."""
        self._listeners = tuple(listeners)

    def clip_started(self, edit: Edit, parallel_slot: int) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.clip_started(edit, parallel_slot)

    def clip_stage(self, edit: Edit, method: Method, stage: Stage) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.clip_stage(edit, method, stage)

    def clip_finished(self, result: ClipResult) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.clip_finished(result)

    def clip_throttled(self, edit: Edit, per_video_limit: int, waited_s: float) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.clip_throttled(edit, per_video_limit, waited_s)

    def warning(self, event: str, message: str) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.warning(event, message)
