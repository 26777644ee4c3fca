"""What a render tells while it runs: a Listener gets each event as it happens, on Trio's thread, and must not block."""

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import attrs

from clipcut.errors import Reason
from clipcut.plan import Edit, Method
from clipcut.results import ClipResult
from clipcut.settings import Settings


class Stage(enum.StrEnum):
    """What is being done for a clip at work."""

    FETCH = "fetch"
    PROBE = "probe"
    COPY = "copy"
    WAIT = "wait"
    ENCODE = "encode"
    CHECK = "check"


@attrs.frozen
class Retry:
    """A request that is sent again.

    Attributes:
        attempt: How often it is sent again with this, from 1.
        delay_s: How long it waited before that, in seconds.
        reason: Why the one before failed.
    """

    attempt: int
    delay_s: float
    reason: Reason


Told = Callable[[Retry], None]
"""Whoever waits for a request, and is told when it is sent again."""


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

    def clip_retry(self, edit: Edit, retry: Retry) -> None:
        """A request that a clip waits for is sent again."""

    def source_resolved(self, video_id: str, source: str, facts: Mapping[str, object]) -> None:
        """A network source was found to be readable; ``source`` is its address without secrets."""

    def settings_changed(self, before: Settings, after: Settings, names: Sequence[str]) -> None:
        """Some settings are others from now on; ``names`` says which."""

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

    def clip_retry(self, edit: Edit, retry: Retry) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.clip_retry(edit, retry)

    def source_resolved(self, video_id: str, source: str, facts: Mapping[str, object]) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.source_resolved(video_id, source, facts)

    def settings_changed(self, before: Settings, after: Settings, names: Sequence[str]) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.settings_changed(before, after, names)

    def warning(self, event: str, message: str) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.warning(event, message)
