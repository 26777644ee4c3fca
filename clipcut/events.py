"""What a render tells while it runs: a Listener gets each event as it happens, on Trio's thread, and must not block."""

from typing import Protocol

from clipcut.plan import Edit
from clipcut.results import ClipResult


class Listener(Protocol):
    """Whoever wants to know: the log, later the metrics and the live display."""

    def clip_started(self, edit: Edit, parallel_slot: int) -> None:
        """A clip is at work: it holds its video's place and a global one."""

    def clip_finished(self, result: ClipResult) -> None:
        """A clip has ended, one way or another."""

    def clip_throttled(self, edit: Edit, per_video_limit: int, waited_s: float) -> None:
        """A clip's wait for its video has ended, and a global place was free meanwhile."""

    def warning(self, event: str, message: str) -> None:
        """Something isn't as it should be, and the render goes on."""
