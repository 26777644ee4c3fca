"""The nursery: one task per edit; each climbs down its ladder and leaves a ClipResult, in timeline order by index.

Expected failures become values inside the task, as one raised error would cancel all the others. Only what ends the
render as a whole is raised: a full disk, too many placeholders, ``--on-missing fail``.
"""

import trio

from clipcut.cut import Cutter
from clipcut.errors import Reason, RenderError, SourceError
from clipcut.events import Listener, Retry
from clipcut.limits import Limits
from clipcut.plan import Edit, Method, Plan, Rung
from clipcut.results import Attempt, ClipResult, CutFile, Outcome, Status, status_after
from clipcut.settings import OnMissing, PlaceholderLimit


def milliseconds_since(began: float) -> int:
    """Return the milliseconds since a moment of Trio's clock."""
    return round((trio.current_time() - began) * 1000)


class Extraction:
    """The clips of one render, on their way from edit to result."""

    def __init__(
        self, plan: Plan, limits: Limits, listener: Listener, *, on_missing: str, max_placeholders: PlaceholderLimit
    ) -> None:
        """Get ready; nothing is at work before ``run``."""
        self._plan = plan
        self._limits = limits
        self._listener = listener
        self._on_missing = on_missing
        self._max_placeholders = max_placeholders
        self._results: list[ClipResult | None] = [None] * len(plan.edits)
        self._ready = [trio.Event() for _ in plan.edits]
        self._scope = trio.CancelScope()
        self._placeholders = 0
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

    async def pieces(self, index: int) -> tuple[CutFile, ...]:
        """Wait for a clip's finished pieces."""
        await self._ready[index].wait()
        result = self._results[index]
        assert result is not None  # noqa: S101  _finish sets it before the event
        assert result.cut  # noqa: S101  a clip without any ends the render
        return result.cut

    async def run(self, cutter: Cutter) -> None:
        """Extract every clip.

        Raises:
            RenderError: In an exception group; the render as a whole can't go on.
        """
        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            for edit in self._plan.edits:
                # start, not start_soon: clips queue for their places in timeline order, as the join wants them
                await nursery.start(self._extract, edit, cutter)

    async def _extract(self, edit: Edit, cutter: Cutter, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        async with self._limits.place(edit.clip.video_id) as place:
            if place.throttled_s is not None:
                self._listener.clip_throttled(edit, self._limits.per_video_limit, place.throttled_s)
            self._listener.clip_started(edit, place.parallel_slot)
            began = trio.current_time()
            attempts: list[Attempt] = []
            status: Status = Status.CANCELLED
            cut: tuple[CutFile, ...] = ()
            try:
                cut = await self._climb(edit, cutter, attempts)
                status = status_after(attempts) if cut else Status.FAILED
            except RenderError:
                status = Status.FAILED
                raise
            finally:
                result = ClipResult(
                    edit=edit,
                    status=status,
                    attempts=tuple(attempts),
                    parallel_slot=place.parallel_slot,
                    duration_ms=milliseconds_since(began),
                    cut=cut,
                )
                self._results[edit.index] = result
                self.unfinished -= 1
                self._placeholders += status is Status.FALLBACK_PLACEHOLDER
                self._listener.clip_finished(result)
            if (error := self._refusal(result)) is not None:
                self._scope.cancel()  # before the place goes on to a clip that would have to stop at once
                raise error
        self._ready[edit.index].set()

    async def _climb(self, edit: Edit, cutter: Cutter, attempts: list[Attempt]) -> tuple[CutFile, ...]:
        """Try one rung after the other; return nothing if no rung is left that may be used."""
        for rung in edit.ladder:
            if rung.method is Method.PLACEHOLDER and self._on_missing == OnMissing.FAIL:
                return ()
            if cut := await self._try(edit, rung, cutter, attempts):
                return cut
        return ()

    async def _try(self, edit: Edit, rung: Rung, cutter: Cutter, attempts: list[Attempt]) -> tuple[CutFile, ...]:
        began, retries = trio.current_time(), 0
        outcome, reason, message = Outcome.CANCELLED, None, None

        def told(retry: Retry) -> None:
            nonlocal retries
            retries += 1
            self._listener.clip_retry(edit, retry)

        try:
            cut = await cutter.cut(edit, rung, told)
        except SourceError as exc:
            is_gone = exc.is_known and exc.reason in (Reason.HTTP_404, Reason.HTTP_410)
            outcome = Outcome.SKIPPED if is_gone else Outcome.FAILED
            reason, message = exc.reason, str(exc)
            return ()
        except RenderError as exc:
            outcome, reason, message = Outcome.FAILED, Reason.DISK, str(exc)
            raise
        else:
            outcome = Outcome.OK
            return cut
        finally:
            attempts.append(
                Attempt(
                    method=rung.method,
                    outcome=outcome,
                    reason=reason,
                    message=message,
                    retries=retries,
                    duration_ms=milliseconds_since(began),
                )
            )

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
