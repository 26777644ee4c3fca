"""A video in segments, as HLS has it: the segments as clips need them, and where the time of each run begins."""

import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import attrs
import trio

from clipcut.errors import Reason, SourceError
from clipcut.events import Told
from clipcut.ffmpeg.need import SOUND_MARGIN, SOUND_TAIL
from clipcut.ffmpeg.probe import MediaInfo
from clipcut.ffmpeg.readers import Readers
from clipcut.plan import Edit
from clipcut.sources.gather import gather
from clipcut.sources.segments.part import Origin, SegmentedPart, Span, put_together
from clipcut.sources.segments.playlist import Segment
from clipcut.sources.segments.split import split
from clipcut.sources.segments.stage import Stage
from clipcut.sources.segments.track import Track, Tracks, covering
from clipcut.sources.shared import Shared
from clipcut.timeline import Output


@attrs.define(kw_only=True, eq=False)
class SegmentedVideo:
    """A video in segments.

    Attributes:
        tracks: Its playlists.
        name: What it is called in messages.
        stage: Where its segments are.
        output: The output's form.
        nursery: Where downloads run.
        folder: A folder of its own, for files that are put together.
        threads: A place for each thread.
        readers: Who opens media.
        probe_shown: Looks into a file, and finds out how its pictures are to be shown.
    """

    tracks: Tracks
    name: str
    stage: Stage
    output: Output
    nursery: trio.Nursery
    folder: Path
    threads: trio.CapacityLimiter
    readers: Readers
    probe_shown: Callable[[Path], Awaitable[MediaInfo]]
    _origins: dict[int, Shared[Origin]] = attrs.field(init=False, factory=dict)

    def expect(self, edits: Iterable[Edit]) -> None:
        """Have what these clips need kept, once it is there, until each has ended."""
        for edit in edits:
            for part in self.split(edit):
                part.expect()

    def split(self, edit: Edit) -> list[SegmentedPart]:
        """Return what a clip is cut from: a part for each run of timestamps that it has frames of, in order."""
        begins = [run[0].begin for run in self.tracks.video.playlist.runs]
        return [self._part(run, piece) for run, piece in split(edit, begins, self.output)]

    def _part(self, run: int, edit: Edit) -> SegmentedPart:
        video, audio = self.tracks.video, self.tracks.audio if not edit.is_silent else None
        start, stop = edit.clip.start, edit.clip.start + edit.clip.length
        last = start + (edit.slot.frames - Fraction(1, 2)) / self.output.fps  # when its last picture is looked for

        def span(track: Track, begin: Fraction, end: Fraction) -> Span:
            segments = track.playlist.runs[run]
            return Span(track, segments, *covering(segments, begin, end))

        if edit.is_silent or audio is not None:
            picture = span(video, start, last)
        else:
            picture = span(video, start - SOUND_MARGIN, max(last, stop + SOUND_TAIL))
        return SegmentedPart(
            edit=edit,
            picture=picture,
            sound=span(audio, start - SOUND_MARGIN, stop) if audio is not None else None,
            is_last_run=run + 1 == len(video.playlist.runs),
            name=self.name,
            origin=functools.partial(self._origin, run, video),
            stage=self.stage,
            folder=self.folder,
            threads=self.threads,
            readers=self.readers,
        )

    @contextlib.asynccontextmanager
    async def parts(self, edit: Edit) -> AsyncIterator[Sequence[SegmentedPart]]:
        """Give what a clip is cut from; what only it needed is gone when the block is left."""
        parts = self.split(edit)
        try:
            async with self.stage.reading(edit.index):
                yield parts
        finally:
            with trio.CancelScope(shield=True):
                for part in parts:
                    await part.clear()

    async def _origin(self, run: int, track: Track, told: Told) -> Origin:
        """Return where a run's time begins; looked up once."""
        if run not in self._origins:
            self._origins[run] = Shared(self.nursery, functools.partial(self._find_origin, run, track))
        return await self._origins[run].get(told)

    async def _find_origin(self, run: int, track: Track, told: Told) -> Origin:
        """Look into the run's first segment: all of it if a clip needs it in any case, else its head."""
        segment = track.first(run)
        is_whole = self.stage.is_expected(track.item(segment))
        info = await self._look(run, track, segment, told, is_whole=is_whole)
        if not is_whole and (info is None or not info.is_zero_sure):
            info = await self._look(run, track, segment, told, is_whole=True)
        if info is None:
            raise SourceError(Reason.UNDECODABLE, f"{track.noun} {segment.number} has no picture to begin with")
        return Origin(info.video.zero - segment.begin, info.video)

    async def _look(self, run: int, track: Track, segment: Segment, told: Told, *, is_whole: bool) -> MediaInfo | None:
        """Look into a segment, or only its head; None if that is too little to see anything."""
        *init, item = track.items([segment])
        items = [*init, item if is_whole else item.head()]
        reader = -1 - run  # no clip's number
        self.stage.expect(items, reader)
        target = self.folder / f"run-{run:06}.piece"
        try:
            async with self.stage.reading(reader):
                files = await gather(*(functools.partial(self.stage.get, item, told) for item in items))
                await trio.to_thread.run_sync(put_together, track, [segment], files, target, limiter=self.threads)
                return await self.probe_shown(target)
        except SourceError as exc:
            if is_whole or exc.reason not in (Reason.UNDECODABLE, Reason.NO_VIDEO):
                raise exc.renamed(target, item.what) from exc
            return None
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(functools.partial(target.unlink, missing_ok=True), limiter=self.threads)
