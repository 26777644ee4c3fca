"""One HLS video of a render: its playlists once, its segments as clips need them, where its time begins."""

import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from fractions import Fraction
from pathlib import Path

import trio

from clipcut.errors import Reason, SourceError
from clipcut.events import Told
from clipcut.ffmpeg.need import SOUND_MARGIN
from clipcut.ffmpeg.probe import MediaInfo
from clipcut.plan import Edit
from clipcut.redact import redact_url
from clipcut.sources.gather import gather
from clipcut.sources.hls import Segment
from clipcut.sources.hls_part import HlsPart, Origin, Span, renamed
from clipcut.sources.join import join
from clipcut.sources.parts import split
from clipcut.sources.shared import Shared
from clipcut.sources.stage import Stage
from clipcut.sources.tracks import Track, TrackLoader, Tracks, covering
from clipcut.timeline import Output


class HlsVideo:
    """A video behind a playlist."""

    def __init__(
        self,
        *,
        edits: Sequence[Edit],
        loader: TrackLoader,
        stage: Stage,
        output: Output,
        nursery: trio.Nursery,
        folder: Path,
        probe_turned: Callable[[Path], Awaitable[MediaInfo]],
        found: Callable[[Tracks], object],
    ) -> None:
        """Know nothing yet.

        Args:
            edits: All clips of the video.
            loader: Fetches its playlists.
            stage: Where its segments are.
            output: The output's form.
            nursery: Where downloads run.
            folder: The private work folder, for files that are put together.
            probe_turned: Looks into a file, and finds out how its picture is turned.
            found: Is told of the playlists.
        """
        self._edits = edits
        self._stage = stage
        self._output = output
        self._folder = folder
        self._threads = loader.threads
        self._loader = loader
        self._probe_turned = probe_turned
        self._found = found
        self._ended: set[int] = set()
        self._tracks = Shared(nursery, self._load)
        self._origins: dict[int, Shared[Origin]] = {}
        self._nursery = nursery

    async def _load(self, told: Told) -> Tracks:
        tracks = await self._loader.load(told)
        for edit in self._edits:
            if edit.index not in self._ended:
                for part in self._split(tracks, edit):
                    part.expect()
        self._found(tracks)
        return tracks

    def _split(self, tracks: Tracks, edit: Edit) -> list[HlsPart]:
        begins = [run[0].begin for run in tracks.video.playlist.runs]
        return [self._part(tracks, run, piece) for run, piece in split(edit, begins, self._output)]

    def _part(self, tracks: Tracks, run: int, edit: Edit) -> HlsPart:
        begin = edit.clip.start if edit.is_silent else edit.clip.start - SOUND_MARGIN
        last = edit.clip.start + (edit.slot.frames - Fraction(1, 2)) / self._output.fps

        def span(track: Track) -> Span:
            segments = track.playlist.runs[run]
            first, end = covering(segments, begin, last)
            return Span(track=track, segments=segments, first=first, last=end)

        return HlsPart(
            edit=edit,
            picture=span(tracks.video),
            sound=span(tracks.audio) if tracks.audio is not None and not edit.is_silent else None,
            is_last_run=run + 1 == len(tracks.video.playlist.runs),
            name=redact_url(self._loader.access.url),
            origin=functools.partial(self._origin, run, tracks.video),
            stage=self._stage,
            folder=self._folder,
            threads=self._threads,
        )

    @contextlib.asynccontextmanager
    async def parts(self, edit: Edit, told: Told) -> AsyncIterator[list[HlsPart]]:
        """Give what a clip is cut from: a part for each run of timestamps that it has frames of, in order.

        Args:
            edit: One of the video's clips.
            told: Is told of requests that are sent again for it.

        Raises:
            SourceError: The playlists can't be had or used.
        """
        parts: list[HlsPart] = []
        try:
            parts = self._split(await self._tracks.get(told), edit)
            yield parts
        finally:
            self._ended.add(edit.index)
            with trio.CancelScope(shield=True):
                await self._stage.release(edit.index)
                for part in parts:
                    await part.clear()

    async def _origin(self, run: int, track: Track, told: Told) -> Origin:
        """Return where a run's time begins; looked up once."""
        if run not in self._origins:
            self._origins[run] = Shared(self._nursery, functools.partial(self._find_origin, run, track))
        return await self._origins[run].get(told)

    async def _find_origin(self, run: int, track: Track, told: Told) -> Origin:
        """Look into the run's first segment: all of it if a clip needs it in any case, else its head."""
        segments = track.playlist.runs[run]
        segment = next((segment for segment in segments if not segment.is_gap), segments[0])
        is_whole = self._stage.is_expected(track.item(segment))
        info = await self._look(run, track, segment, told, is_whole=is_whole)
        if not is_whole and (info is None or not info.is_zero_sure):
            info = await self._look(run, track, segment, told, is_whole=True)
        if info is None:
            raise SourceError(Reason.UNDECODABLE, f"{track.noun} {segment.number} has no picture to begin with")
        return Origin(info.video.zero - segment.begin, info.video.rotation)

    async def _look(self, run: int, track: Track, segment: Segment, told: Told, *, is_whole: bool) -> MediaInfo | None:
        """Look into a segment, or only its head; None if that is too little to see anything."""
        *init, item = track.items([segment])
        items = [*init, item if is_whole else item.head()]
        reader = -1 - run  # no clip's number
        self._stage.expect(items, reader)
        target = self._folder / f"run-{run:06}.piece"
        try:
            files = await gather(*(functools.partial(self._stage.get, item, told) for item in items))
            await trio.to_thread.run_sync(join, files, target, limiter=self._threads)
            return await self._probe_turned(target)
        except SourceError as exc:
            if is_whole or exc.reason not in (Reason.UNDECODABLE, Reason.NO_VIDEO):
                raise renamed(exc, target, item.what) from exc
            return None
        finally:
            with trio.CancelScope(shield=True):
                await self._stage.release(reader)
                await trio.to_thread.run_sync(functools.partial(target.unlink, missing_ok=True), limiter=self._threads)
