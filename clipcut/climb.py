"""One clip on its ladder: was it finished before? Else one rung after the other is tried, until the deadline."""

from collections.abc import Awaitable, Callable

import attrs
import trio

from clipcut.cut import Cutter
from clipcut.errors import Reason, RenderError, SourceError
from clipcut.events import Listener, Retry
from clipcut.plan import Edit, Method, Rung
from clipcut.results import Attempt, CutFile, Outcome

LATE_LOOK_S = 2.0
"""How long a clip may still look whether it was finished before when the deadline is past, in seconds."""

_Work = Callable[[Rung], Awaitable[tuple[CutFile, ...]]]


def milliseconds_since(began: float) -> int:
    """Return the milliseconds since a moment of Trio's clock."""
    return round((trio.current_time() - began) * 1000)


class Climb:
    """A clip's way down its ladder, with one attempt for each rung that it left behind or holds."""

    def __init__(self, edit: Edit, cutter: Cutter, listener: Listener, deadline: float, *, may_fill: bool) -> None:
        """Stand on the first rung.

        Args:
            edit: The clip.
            cutter: Who cuts.
            listener: Is told of requests that are sent again.
            deadline: When only the placeholder is left to try, by Trio's clock.
            may_fill: Whether the placeholder may be used.
        """
        self.attempts: list[Attempt] = []
        self.is_late = False
        """Whether the deadline came first."""
        self.is_cached = False
        """Whether an earlier render had finished it, and nothing of it was made in this one."""
        self._edit = edit
        self._cutter = cutter
        self._listener = listener
        self._deadline = deadline
        self._may_fill = may_fill
        self._found_out: Rung | None = None
        self._was_cut = False
        self._retries = 0
        self._began = trio.current_time()

    async def find(self) -> tuple[CutFile, ...]:
        """Return the clip as an earlier render finished it, as far as that is known without asking anybody.

        Rungs that can't be had at all are left behind. Nothing is returned if the clip has to come to work: to be made,
        or because somebody has to be asked whether it was.
        """
        for rung in self._edit.ladder:
            if self.is_late or not self._cutter.knows(self._edit, rung):
                return ()
            before = len(self.attempts)
            # after the deadline too: what was finished before is no less finished for that
            is_past = trio.current_time() >= self._deadline
            deadline = trio.current_time() + LATE_LOOK_S if is_past else self._deadline
            if cut := await self._until_late(rung, self._find, deadline):
                return cut
            if len(self.attempts) == before:  # it can be had, and wasn't finished
                return ()
        return ()

    async def make(self) -> tuple[CutFile, ...]:
        """Make the clip from the first rung that holds, or find it; return nothing if none is left that may be used."""
        for rung in self._edit.ladder[len(self.attempts) :]:
            if rung.method is Method.PLACEHOLDER:
                return await self._try(rung, self._cut) if self._may_fill else ()
            if not self.is_late and (cut := await self._until_late(rung, self._cut, self._deadline)):
                return cut
        return ()

    async def _until_late(self, rung: Rung, work: _Work, deadline: float) -> tuple[CutFile, ...]:
        with trio.CancelScope(deadline=deadline):
            return await self._try(rung, work)
        # nothing else comes here but the end of the scope
        self.is_late = True
        self.attempts[-1] = attrs.evolve(self.attempts[-1], reason=Reason.DEADLINE, message="the deadline came first")
        return ()

    async def _find(self, rung: Rung) -> tuple[CutFile, ...]:
        self._found_out = rung
        found = await self._cutter.find(self._edit, rung, self._told)
        self.is_cached = bool(found) and not self._was_cut
        return found

    async def _cut(self, rung: Rung) -> tuple[CutFile, ...]:
        if rung is not self._found_out and rung.method is not Method.PLACEHOLDER and (cut := await self._find(rung)):
            return cut
        self._was_cut = True
        return await self._cutter.cut(self._edit, rung, self._told)

    async def _try(self, rung: Rung, work: _Work) -> tuple[CutFile, ...]:
        """Do one thing with a rung; what comes of it is an attempt, unless it is nothing."""
        is_over = False
        try:
            cut = await work(rung)
            is_over = True
        except SourceError as exc:
            is_over = True
            is_gone = exc.is_known and exc.reason in (Reason.HTTP_404, Reason.HTTP_410)
            self._end(rung, Outcome.SKIPPED if is_gone else Outcome.FAILED, exc.reason, str(exc))
            return ()
        except RenderError as exc:
            is_over = True
            self._end(rung, Outcome.FAILED, Reason.DISK, str(exc))
            raise
        finally:
            if not is_over:  # cancellation, which may come in a group
                self._end(rung, Outcome.CANCELLED)
        if cut:
            self._end(rung, Outcome.OK)
        return cut

    def _end(self, rung: Rung, outcome: Outcome, reason: Reason | None = None, message: str | None = None) -> None:
        self.attempts.append(
            Attempt(
                method=rung.method,
                outcome=outcome,
                reason=reason,
                message=message,
                retries=self._retries,
                duration_ms=milliseconds_since(self._began),
            )
        )
        self._retries, self._began = 0, trio.current_time()

    def _told(self, retry: Retry) -> None:
        self._retries += 1
        self._listener.clip_retry(self._edit, retry)
