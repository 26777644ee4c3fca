"""The playlists of a video in segments: its picture, and its sound where that is separate."""

import bisect
from collections.abc import Sequence
from fractions import Fraction

import attrs

from clipcut.digest import digest
from clipcut.network.addresses import Zone
from clipcut.sources.segments.playlist import Key, MediaPlaylist, Resource, Segment
from clipcut.sources.segments.stage import Item


@attrs.frozen(kw_only=True)
class Track:
    """One media playlist of a video.

    Attributes:
        playlist: Its segments.
        led_by: The zone that it came from: what it names is seen as named from there.
        noun: What its segments are called in messages.
        sample: What was seen of its media, in one word; None if nothing was. See ``sample.py``.
        keeps_places: Whether its segments must lie where they lie in the file that they are ranges of.
        if_range, of_size: The validator and length of the file that its segments are ranges of, where it is one.
    """

    playlist: MediaPlaylist
    led_by: Zone | None
    noun: str = "segment"
    if_range: str | None = attrs.field(default=None, repr=False)
    of_size: int | None = None
    keeps_places: bool = False
    sample: str | None = None

    @property
    def identity(self) -> str | None:
        """What it is known by: all that its playlist says, and what was seen of its media.

        None while the playlist may still change, or if nothing was seen: many a video has the names of another.
        """
        found = self.playlist.identity
        return digest(found, self.sample) if found is not None and self.sample is not None else None

    def first(self, run: int) -> Segment:
        """Return the segment that tells where a run's time begins: the first that there is."""
        segments = self.playlist.runs[run]
        return next((segment for segment in segments if not segment.is_gap), segments[0])

    def item(self, segment: Segment) -> Item:
        """Return a segment as something to stage."""
        what = f"{self.noun} {segment.number}"
        return self._item(segment.resource, segment.key, what, (self.noun, segment.number))

    def _item(self, resource: Resource, key: Key | None, what: str, place: tuple[str, int]) -> Item:
        return Item(
            resource=resource,
            key=key,
            what=what,
            place=place,
            led_by=self.led_by,
            if_range=self.if_range,
            of_size=self.of_size,
        )

    def items(self, segments: Sequence[Segment]) -> list[Item]:
        """Return segments of one run as what to stage, the initialization section first where there is one."""
        init = segments[0].init
        items = [self.item(segment) for segment in segments]
        if init is None:
            return items
        what = f"the initialization section of {self.noun} {segments[0].number}"
        return [self._item(init.resource, init.key, what, (f"init of {self.noun}", segments[0].run)), *items]


@attrs.frozen(kw_only=True)
class Tracks:
    """The playlists of a video.

    Attributes:
        video: The one with the picture, and with the sound if that isn't separate.
        audio: The one with the sound alone; None if there is none.
        height: The picture's, in pixels, as a playlist of several variants says; None if there was no choice.
    """

    video: Track
    audio: Track | None
    height: int | None

    def identity(self, *, is_silent: bool) -> str | None:
        """Return what the video is known by, separate sound only where it is wanted; None if it can't be known."""
        wanted = [self.video, *([self.audio] if self.audio is not None and not is_silent else [])]
        found = [track.identity for track in wanted]
        return digest("segments", *found) if None not in found else None


def covering(segments: Sequence[Segment], begin: Fraction, end: Fraction) -> tuple[int, int]:
    """Return the first and the last of a run's segments that a range needs, going by what the playlist says.

    Args:
        segments: The run's, at least one.
        begin: The first moment that is needed, in source time.
        end: The last one.
    """
    first, last = (bisect.bisect_right(segments, at, key=lambda segment: segment.begin) - 1 for at in (begin, end))
    return max(0, first), max(0, first, last)
