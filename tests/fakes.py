"""Doubles that play back outcomes: a cutter that only takes time, a listener that remembers."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import attrs
import trio

from clipcut.errors import Reason, SourceError
from clipcut.events import Retry, Stage, Told
from clipcut.plan import Edit, Method, Plan, Rung, Slot
from clipcut.results import ClipResult, CutFile
from clipcut.settings import Settings
from clipcut.timeline import Clip, Output
from clipcut.used import Used


def make_cut(edit: Edit, method: Method) -> CutFile:
    """Make what a cutter would give: nothing is on disk."""
    used = Used(fps=Fraction(30), start_timecode=None, frames=(0, edit.slot.frames))
    name = Path(f"{edit.index}.mov")
    is_filled = method is Method.PLACEHOLDER
    return CutFile(name, None, edit.slot.frames, edit.slot.samples, used=None if is_filled else used)


@attrs.define
class FakeCutter:
    """Takes ``seconds`` for each rung, none for placeholders; ``outcomes`` names errors by (clip id, method).

    ``finished`` names what an earlier render made, ``gone`` the rungs that a look already finds missing, ``asks`` those
    of both kinds that nobody knows of before somebody was asked, which takes a second.
    """

    seconds: float | Callable[[Edit], float] = 0.0
    finished: frozenset[tuple[str, Method]] = frozenset()
    gone: Mapping[str, tuple[Method, ...]] = attrs.field(factory=dict)
    asks: frozenset[tuple[str, Method]] = frozenset()
    outcomes: Mapping[tuple[str, Method], Exception] = attrs.field(factory=dict)
    calls: list[tuple[str, Method]] = attrs.field(factory=list)
    events: list[tuple[str, str]] = attrs.field(factory=list)
    at_work: int = 0
    peak: int = 0

    def knows(self, edit: Edit, rung: Rung) -> bool:
        """Know of all that was finished, or is gone, unless somebody has to be asked."""
        key = (edit.name, rung.method)
        return key not in self.asks and (key in self.finished or rung.method in self.gone.get(edit.name, ()))

    async def find(self, edit: Edit, rung: Rung, told: Told) -> tuple[CutFile, ...]:
        """Find what was finished before."""
        if (edit.name, rung.method) in self.asks:
            self.events.append(("asked", edit.name))
            await trio.sleep(1)
        await trio.lowlevel.checkpoint()
        if rung.method in self.gone.get(edit.name, ()):
            raise SourceError(Reason.MISSING_FILE, "gone")
        if (edit.name, rung.method) in self.finished:
            return (make_cut(edit, rung.method),)
        return ()

    async def cut(self, edit: Edit, rung: Rung, told: Told) -> tuple[CutFile, ...]:
        """Wait, then play back the outcome."""
        self.calls.append((edit.name, rung.method))
        self.at_work += 1
        self.peak = max(self.peak, self.at_work)
        try:
            seconds = self.seconds(edit) if callable(self.seconds) else self.seconds
            await trio.sleep(0 if rung.method is Method.PLACEHOLDER else seconds)
        finally:
            self.at_work -= 1
        if (error := self.outcomes.get((edit.name, rung.method))) is not None:
            raise SourceError(error.reason, str(error)) if isinstance(error, SourceError) else error
        return (make_cut(edit, rung.method),)


@attrs.define
class Recorder:
    """A Listener that remembers every event as (name, clip id or text)."""

    events: list[tuple[str, str]] = attrs.field(factory=list)
    slots: list[int] = attrs.field(factory=list)
    waits: list[float] = attrs.field(factory=list)

    def clip_started(self, edit: Edit, parallel_slot: int) -> None:
        """Remember a start and its place."""
        self.events.append(("started", edit.name))
        self.slots.append(parallel_slot)

    def clip_stage(self, edit: Edit, method: Method, stage: Stage) -> None:
        """Stages are not remembered."""

    def clip_finished(self, result: ClipResult) -> None:
        """Remember an end."""
        self.events.append(("finished", result.edit.name))

    def clip_throttled(self, edit: Edit, per_video_limit: int, waited_s: float) -> None:
        """Remember a wait."""
        self.events.append(("throttled", edit.name))
        self.waits.append(waited_s)

    def clip_retry(self, edit: Edit, retry: Retry) -> None:
        """Remember a request that was sent again."""
        self.events.append(("retry", edit.name))

    def source_resolved(self, video_id: str, source: str, facts: Mapping[str, object]) -> None:
        """Remember a source that was found."""
        self.events.append(("resolved", video_id))

    def settings_changed(self, before: Settings, after: Settings, names: Sequence[str]) -> None:
        """Remember each setting that changed."""
        self.events += [("changed", name) for name in names]

    def warning(self, event: str, message: str) -> None:
        """Remember a warning."""
        self.events.append(("warning", event))


def make_plan(*video_ids: str, ladder: tuple[Rung, ...] | None = None) -> Plan:
    """Make a plan of one-second clips ``c0``, ``c1`` …, one per given video."""
    rungs = ladder or (Rung(Method.LOCAL, "v.mp4"), Rung(Method.PLACEHOLDER))
    edits = tuple(
        Edit(
            index=index,
            clip=Clip(id=f"c{index}", video_id=video_id, start=Fraction(0), duration=Fraction(1)),
            slot=Slot(start_frame=index * 30, frames=30, start_sample=index * 48000, samples=48000),
            ladder=rungs,
        )
        for index, video_id in enumerate(video_ids)
    )
    return Plan(output=Output(), edits=edits)
