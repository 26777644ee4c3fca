"""What one clip needs of one run of an HLS video, as local files that can be cut like any other."""

import functools
import itertools
from collections.abc import Awaitable, Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import attrs
import trio

from clipcut.errors import Reason, SourceError
from clipcut.events import Told
from clipcut.ffmpeg.need import SOUND_SKEW, Side
from clipcut.ffmpeg.probe import AudioInfo, MediaInfo, VideoInfo, probe, probe_sound
from clipcut.ffmpeg.readers import Readers
from clipcut.plan import Edit
from clipcut.sources.gather import gather
from clipcut.sources.segments.join import join, join_in_place, seams_of, unwrapped
from clipcut.sources.segments.playlist import Segment
from clipcut.sources.segments.segment import Kind, kind_of
from clipcut.sources.segments.stage import Stage
from clipcut.sources.segments.track import Track

T = TypeVar("T")
_WRAPPING = (Kind.TRANSPORT_STREAM, Kind.PACKED_AUDIO)
"""Whose timestamps begin anew after 26.5 hours."""

_BLIND = Fraction(30)
"""How many seconds before the clip are looked through for the first keyframe of all, where nothing can be seen."""

SEAM = Fraction(1, 2)
"""By how many seconds a run of timestamps may end before the next begins: durations in playlists are rounded."""


@attrs.frozen
class Origin:
    """Where a run's time begins.

    Attributes:
        zero: The moment in its own time, in seconds, that is zero of source time.
        video: Its first picture, and how that is to be shown.
    """

    zero: Fraction
    video: VideoInfo


@attrs.define(eq=False)
class Span:
    """A row of segments of one run: ``segments[first : last + 1]``; it grows where it turns out to be too short."""

    track: Track
    segments: Sequence[Segment]
    first: int
    last: int
    step: int = 1

    @property
    def chosen(self) -> Sequence[Segment]:
        """The segments."""
        return self.segments[self.first : self.last + 1]

    def until(self, end: Fraction) -> Sequence[Segment]:
        """Return the segments, and those after them that begin before ``end``, in source time."""
        last = self.last
        while last + 1 < len(self.segments) and self.segments[last + 1].begin < end:
            last += 1
        return self.segments[self.first : last + 1]

    @property
    def has_before(self) -> bool:
        """Whether the run has segments before."""
        return self.first > 0

    @property
    def has_after(self) -> bool:
        """Whether the run has segments after."""
        return self.last + 1 < len(self.segments)

    def extend(self, side: Side) -> None:
        """Take one more, or before it some more."""
        if side is Side.BEFORE:
            self.first = max(0, self.first - self.step)
            self.step *= 2  # where keyframes are far apart, not one by one
        else:
            self.last += 1

    def refuse_gap(self) -> None:
        """See that the playlist doesn't say of a segment that it isn't there.

        Raises:
            SourceError: ``missing_file``.
        """
        for segment in self.chosen:
            if segment.is_gap:
                words = f"{self.track.noun} {segment.number} is missing at the source (EXT-X-GAP)"
                raise SourceError(Reason.MISSING_FILE, words)


def put_together(track: Track, segments: Sequence[Segment], files: Sequence[Path], target: Path) -> tuple[int, ...]:
    """Make one file of segments and what they need before them. Blocks; call it in a thread.

    Returns:
        Where in the file each segment begins, in bytes.
    """
    place = segments[0].resource.byte_range
    if track.keeps_places and place is not None:
        join_in_place(files[0], files[1:], target, place[0])
    else:
        join(files, target)
    sizes = [path.stat().st_size for path in files[-len(segments) :]]
    ends = itertools.accumulate(sizes, initial=target.stat().st_size - sum(sizes))
    return tuple(ends)[: len(segments)]


@attrs.define(kw_only=True, eq=False)
class SegmentedPart:
    """A part of a clip, within one run of timestamps.

    Attributes:
        edit: The frames of the clip that lie in the run.
        picture: The segments with its picture, and with its sound if that isn't separate.
        sound: The segments with its sound alone; None if there are none, or none are wanted.
        is_last_run: Whether the video ends where this run does.
        name: What the source is called in messages.
        origin: Looks up where the run's time begins.
        stage: Where segments are.
        folder: A folder of the video's own.
        threads: A place for each thread.
        readers: Who opens media.
    """

    edit: Edit
    picture: Span
    sound: Span | None
    is_last_run: bool
    name: str
    origin: Callable[[Told], Awaitable[Origin]]
    stage: Stage
    folder: Path
    threads: trio.CapacityLimiter
    readers: Readers

    @property
    def _picture_file(self) -> Path:
        return self.folder / f"{self.edit.stem}.piece"

    @property
    def _sound_file(self) -> Path:
        return self.folder / f"{self.edit.stem}.sound-piece"

    def expect(self) -> None:
        """Have the segments kept, once they are there, until the clip has ended.

        One more is kept where the clip ends so near to it that the last of its sound may lie there.
        """
        end = self.edit.clip.start + self.edit.clip.length + (0 if self.edit.is_silent else SOUND_SKEW)
        for span in (self.picture, self.sound):
            if span is not None:
                self.stage.expect(span.track.items(span.until(end)), self.edit.index)

    def extend(self, side: Side, *, is_sound: bool) -> None:
        """Need one segment more."""
        span = self.sound if is_sound else self.picture
        assert span is not None  # noqa: S101  what is too short is there
        span.extend(side)

    async def info(self, told: Told) -> MediaInfo:
        """Have the segments fetched and put together, and look into the result.

        A piece that begins between keyframes may not even tell the size of its picture; then it begins earlier.

        Raises:
            SourceError: They can't be had or used.
        """
        self.expect()
        origin, picture, sound = await gather(
            functools.partial(self.origin, told),
            functools.partial(self._files, self.picture, told),
            functools.partial(self._files, self.sound, told),
        )
        assert isinstance(origin, Origin)  # noqa: S101
        assert isinstance(picture, list)  # noqa: S101
        seams = await self._in_thread(
            put_together, self.picture.track, self.picture.chosen, picture, self._picture_file
        )
        try:
            info = await self.readers.run(probe, self._picture_file)
        except SourceError:
            if self.picture.has_before and self.edit.clip.start - self.picture.chosen[0].begin < _BLIND:
                self.picture.extend(Side.BEFORE)
                return await self.info(told)
            raise
        found = attrs.evolve(self._placed(info, origin), seams=seams)
        if isinstance(sound, list):
            found = attrs.evolve(found, audio=await self._sound_info(sound, found.video.zero))
        return found

    async def _files(self, span: Span | None, told: Told) -> list[Path] | None:
        if span is None:
            await trio.lowlevel.checkpoint()
            return None
        span.refuse_gap()
        items = span.track.items(span.chosen)
        return await gather(*(functools.partial(self.stage.get, item, told) for item in items))

    def _placed(self, info: MediaInfo, origin: Origin) -> MediaInfo:
        """Tell where source time is zero, in the time of the piece, and what lies around it."""
        expected = origin.zero + self.picture.chosen[0].begin
        wraps = Fraction(0) if info.may_be_turned else unwrapped(info.video.zero, expected)  # MP4 and Matroska don't
        return attrs.evolve(
            info,
            video=attrs.evolve(info.video.shown_as(origin.video), zero=origin.zero - wraps),
            has_before=self.picture.has_before,
            has_after=self.picture.has_after,
            lenience=Fraction(0) if self.is_last_run or self.picture.has_after else SEAM,
            name=self.name,
            is_piece=True,
        )

    async def _sound_info(self, files: list[Path], zero: Fraction) -> AudioInfo:
        """Put separate sound together, and tell how its time relates to the picture's."""
        span, path = self.sound, self._sound_file
        assert span is not None  # noqa: S101
        kind = await self._in_thread(_kind_of, files[-1])
        is_packed = kind is Kind.PACKED_AUDIO
        seams = await self._in_thread(functools.partial(seams_of, is_packed=is_packed), files)
        stamp = await self._in_thread(functools.partial(join, is_packed=is_packed), files, path)
        audio, begin = await self.readers.run(probe_sound, path)
        expected = zero + span.chosen[0].begin
        offset = Fraction(0)
        if is_packed:
            offset = (stamp if stamp is not None else expected) - begin
        if kind in _WRAPPING:
            offset += unwrapped(begin + offset, expected)
        return attrs.evolve(
            audio,
            offset=offset,
            has_before=span.has_before,
            has_after=span.has_after,
            seams=tuple((at, _near(moment, expected)) for at, moment in seams),
        )

    async def clear(self) -> None:
        """Remove what was put together."""
        for path in (self._picture_file, self._sound_file):
            await self._in_thread(functools.partial(path.unlink, missing_ok=True))

    def _in_thread(self, function: Callable[..., T], *args: object) -> Awaitable[T]:
        return trio.to_thread.run_sync(function, *args, limiter=self.threads)


def _kind_of(path: Path) -> Kind | None:
    with path.open("rb") as file:
        return kind_of(file.read(256))


def _near(moment: Fraction | None, expected: Fraction) -> Fraction | None:
    """Return a moment as the picture's clock has it, which may have begun anew meanwhile."""
    return None if moment is None else moment + unwrapped(moment, expected)
