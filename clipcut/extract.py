"""The nursery: one task per edit; each climbs down its ladder and leaves a ClipResult, in timeline order by index.

Expected failures become values inside the task, as one raised error would cancel all the others. Only what ends the
render as a whole is raised: a full disk, too many placeholders, ``--on-missing fail``.
"""

import math

import trio

from clipcut.climb import Climb, milliseconds_since
from clipcut.cut import Cutter
from clipcut.errors import RenderError
from clipcut.events import Listener
from clipcut.limits import Limits, Place
from clipcut.options import OnMissing, PlaceholderLimit
from clipcut.plan import Edit, Plan, launch_order
from clipcut.results import ClipResult, CutFile, Status, status_after

WINDOW = 1024
"""So many clips wait for a place or are at work: a task takes 6 kB, and there may be very many clips."""


class Extraction:
    """The clips of one render, on their way from edit to result."""

    def __init__(
        self,
        plan: Plan,
        limits: Limits,
        listener: Listener,
        *,
        on_missing: str,
        max_placeholders: PlaceholderLimit,
        deadline: float = math.inf,
    ) -> None:
        """Get ready; nothing is at work before ``run``. ``deadline`` is by Trio's clock."""
        self._plan = plan
        self._limits = limits
        self._listener = listener
        self._on_missing = on_missing
        self._max_placeholders = max_placeholders
        self._results: list[ClipResult | None] = [None] * len(plan.edits)
        self._ready = [trio.Event() for _ in plan.edits]
        self._scope = trio.CancelScope()
        self._placeholders = 0
        self._deadline = deadline
        self._has_told_of_late = False
        self.unfinished = len(plan.edits)
        """How many clips have not ended yet."""

    def results(self) -> tuple[ClipResult, ...]:
        """Return a result for every clip, in timeline order; one that never came to its end is ``cancelled``."""
        return tuple(
            result or ClipResult(edit=edit, status=Status.CANCELLED)
            for edit, result in zip(self._plan.edits, self._results, strict=True)
        )

    def finished(self) -> tuple[ClipResult, ...]:
        """Return the results that are there by now, in timeline order."""
        return tuple(result for result in self._results if result is not None)

    async def clip(self, index: int) -> ClipResult:
        """Wait for a clip that is done."""
        await self._ready[index].wait()
        result = self._results[index]
        assert result is not None  # noqa: S101  _finish sets it before the event
        assert result.cut  # noqa: S101  a clip without any ends the render
        return result

    async def run(self, cutter: Cutter) -> None:
        """Extract every clip.

        Raises:
            RenderError: In an exception group; the render as a whole can't go on.
        """
        window = trio.Semaphore(WINDOW)
        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            for edit in launch_order(self._plan.edits, min(self._limits.cores, self._limits.max_parallelism)):
                # start, not start_soon: clips queue for their places in this order
                await window.acquire()
                await nursery.start(self._extract, edit, cutter, window)

    async def _extract(
        self, edit: Edit, cutter: Cutter, window: trio.Semaphore, *, task_status: trio.TaskStatus[None]
    ) -> None:
        task_status.started()
        async with self._limits.place(edit.clip.video_id) as place:
            if place.throttled_s is not None:
                self._listener.clip_throttled(edit, self._limits.per_video_limit, place.throttled_s)
            climb = Climb(edit, cutter, self._listener, self._deadline, may_fill=self._on_missing != OnMissing.FAIL)
            result = await self._conclude(edit, place, climb)
            if (error := self._refusal(result)) is not None:
                self._scope.cancel()  # before the place goes on to a clip that would have to stop at once
                raise error
        self._ready[edit.index].set()
        window.release()

    async def _conclude(self, edit: Edit, place: Place, climb: Climb) -> ClipResult:
        """Have a clip climb, and note how that ended, however it ended."""
        began = trio.current_time()
        status: Status = Status.CANCELLED
        cut: tuple[CutFile, ...] = ()
        try:
            cut = await climb.find()
            if not cut:
                self._listener.clip_started(edit, place.start())
                cut = await climb.make()
            self._tell_if_late(climb)
            status = status_after(climb.attempts) if cut else Status.FAILED
        except RenderError:
            status = Status.FAILED
            raise
        finally:
            is_cached = bool(cut) and climb.is_cached
            result = ClipResult(
                edit=edit,
                status=status,
                attempts=tuple(climb.attempts),
                parallel_slot=None if is_cached else place.parallel_slot,
                duration_ms=0 if is_cached else milliseconds_since(began),
                is_cached=is_cached,
                cut=cut,
            )
            if cut or place.parallel_slot is not None or status is Status.FAILED:
                self._note(result)  # else it was cancelled before it came to anything
        return result

    def _note(self, result: ClipResult) -> None:
        self._results[result.edit.index] = result
        self.unfinished -= 1
        self._placeholders += result.status is Status.FALLBACK_PLACEHOLDER
        self._listener.clip_finished(result)

    def _tell_if_late(self, climb: Climb) -> None:
        if climb.is_late and not self._has_told_of_late:
            self._has_told_of_late = True
            words = f"{self.unfinished} of {len(self._results)} clips are not finished, and become placeholders"
            self._listener.warning("render.deadline", words)

    def _refusal(self, result: ClipResult) -> RenderError | None:
        """Return why the render ends with this result, where the settings say that it is too much."""
        name = result.edit.name
        if not result.cut:
            why = result.attempts[-1].message if result.attempts else "it has no media"
            return RenderError(f"Clip {name} can't be had, and no placeholder is wanted or possible: {why}.")
        total = len(self._results)
        if self._max_placeholders.exceeded_by(self._placeholders, total):
            limit = self._max_placeholders.text
            return RenderError(
                f"{self._placeholders} of {total} clips are placeholders, more than --max-placeholders {limit}."
            )
        return None
