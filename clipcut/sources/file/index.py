"""An MP4 file's own index: which bytes a clip needs."""

import bisect
from array import array
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from clipcut.errors import Reason, SourceError
from clipcut.ffmpeg.need import SOUND_LEAD, Need, There
from clipcut.ffmpeg.probe import chosen_audio, chosen_video, open_media
from clipcut.ffmpeg.pyav import exact

if TYPE_CHECKING:
    from av.stream import Stream

NEAR = 32 * 1024
"""Bytes that lie between two ranges, and cost less than one more request."""

PART = 64 * 1024 * 1024
"""Bytes that one request asks for, at most: each has its own time, and is asked for again without the others."""

Range = tuple[int, int]


@attrs.frozen
class Samples:
    """A stream's samples in file order of decoding, in parallel rows: ticks, place, bytes, and which are keyframes.

    Attributes:
        tick: Seconds per tick.
        times: When each is decoded.
        places, sizes: Where each is in the file, and how long, in bytes.
        keys: The numbers of those that decoding can begin at, ascending.
        delay: By how many ticks a keyframe is shown later than it is decoded.
    """

    tick: Fraction = attrs.field(validator=attrs.validators.gt(Fraction(0)))
    times: "array[int]"
    places: "array[int]"
    sizes: "array[int]"
    keys: "array[int]"
    delay: int

    def __attrs_post_init__(self) -> None:
        """Refuse rows that don't belong together: they may come from a reader that a hostile file has taken over."""
        ascend = all(before < after for before, after in pairwise(self.keys))
        within = not self.keys or (self.keys[0] >= 0 and self.keys[-1] < len(self.times))
        if not (len(self.times) == len(self.places) == len(self.sizes) and ascend and within):
            raise ValueError("the rows of an index don't belong together")

    def between(self, first: int, end: int) -> Iterator[Range]:
        """Yield where samples ``[first, end)`` are."""
        for number in range(max(0, first), min(end, len(self.times))):
            yield self.places[number], self.places[number] + self.sizes[number]

    def key_before(self, moment: Fraction) -> int:
        """Return which keyframe is the last that is shown at or before a moment: its place among the keyframes."""
        ticks = moment // self.tick - self.delay
        return max(0, bisect.bisect_right(self.keys, ticks, key=lambda number: self.times[number]) - 1)

    def after(self, moment: Fraction) -> int:
        """Return the number of the first sample that is decoded after a moment."""
        return bisect.bisect_right(self.times, moment // self.tick)


@attrs.frozen
class Index:
    """The samples of the picture and of the sound; None for no sound."""

    video: Samples
    audio: Samples | None

    def ranges(self, need: Need, *, earlier: int = 0) -> list[Range]:
        """Return the bytes that a clip needs, ascending, near ones in one.

        Args:
            need: What it needs, in the file's own time.
            earlier: At how many keyframes before the right one to begin.
        """
        key = max(0, self.video.key_before(need.first) - earlier)
        first = self.video.keys[key] if self.video.keys else 0
        found = list(self.video.between(first, self.video.after(need.last)))
        if need.sound is not None and self.audio is not None:
            begin, end = need.sound
            found += self.audio.between(self.audio.after(begin - SOUND_LEAD) - 2, self.audio.after(end))
        return merged(found, NEAR)

    @property
    def first_picture(self) -> Range:
        """Where the first picture is."""
        return next(self.video.between(0, 1))


def parts(first: int, end: int) -> Iterator[Range]:
    """Yield the ranges in which bytes are asked for."""
    for begin in range(first, end, PART):
        yield begin, min(end, begin + PART)


def merged(ranges: Iterable[Range], near: int = 0) -> list[Range]:
    """Put ranges in order, and those that overlap or lie near each other into one."""
    found: list[Range] = []
    for first, end in sorted(ranges):
        if found and first <= found[-1][1] + near:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((first, end))
    return found


class Spans:
    """Ranges of bytes, in order and apart from each other; added to one by one, and looked up fast."""

    def __init__(self) -> None:
        """Hold none."""
        self._spans: tuple[Range, ...] = ()

    def add(self, first: int, end: int) -> None:
        """Add a range."""
        spans = self._spans
        low = bisect.bisect_left(spans, first, key=lambda span: span[1])
        high = bisect.bisect_right(spans, end, key=lambda span: span[0])
        if low < high:
            first, end = min(first, spans[low][0]), max(end, spans[high - 1][1])
        self._spans = (*spans[:low], (first, end), *spans[high:])

    def has(self, first: int, end: int) -> bool:
        """Tell whether all of a range is there."""
        return self.now()(first, end)

    def missing(self, first: int, end: int) -> list[Range]:
        """Return what of a range isn't there."""
        spans = self._spans
        low = bisect.bisect_right(spans, first, key=lambda span: span[1])
        high = bisect.bisect_left(spans, end, key=lambda span: span[0])
        return gaps([(first, end)], spans[low:high])

    def now(self) -> There:
        """Return what tells whether all of a range was there at this moment, whatever comes later."""
        return There(self._spans)


def gaps(ranges: Iterable[Range], taken: Iterable[Range]) -> list[Range]:
    """Return what of some ranges none of others has, ascending."""
    there = merged(taken)
    found: list[Range] = []
    for first, end in merged(ranges):
        at = first
        for begin, stop in there:
            if stop <= at or begin >= end:
                continue
            if at < begin:
                found.append((at, begin))
            at = stop
        if at < end:
            found.append((at, end))
    return found


def _samples(stream: "Stream", delay: int) -> Samples:
    times, places, sizes, keys = array("q"), array("q"), array("q"), array("q")
    for number, entry in enumerate(stream.index_entries):
        times.append(entry.timestamp)
        places.append(entry.pos)
        sizes.append(entry.size)
        if entry.is_keyframe:
            keys.append(number)
    return Samples(exact(stream.time_base) or Fraction(1), times, places, sizes, keys, delay)


def read_index(path: Path) -> Index:
    """Read the index of a file, of which only that need be there. Blocks; have a reader do it.

    Raises:
        SourceError: It has no picture, or can't be read.
    """
    with open_media(path) as container:
        video, audio = chosen_video(container), chosen_audio(container)
        if video is None or not len(video.index_entries):
            raise SourceError(Reason.NO_VIDEO, f"{path} has no picture")
        delay = 0
        for packet in container.demux(video):
            if packet.pts is not None and packet.dts is not None:
                delay = packet.pts - packet.dts
                break
        return Index(_samples(video, delay), _samples(audio, 0) if audio is not None else None)
