"""A source's address to its playlists: the variant that suits the output, and its sound where that is separate."""

import bisect
import zlib
from collections.abc import Sequence
from fractions import Fraction

import attrs
import trio

from clipcut.errors import Reason, SourceError
from clipcut.events import Told
from clipcut.sources.addresses import Zone
from clipcut.sources.ask import Access, Answer, Ask
from clipcut.sources.fetch import Fetcher
from clipcut.sources.hls import (
    MAX_BYTES,
    Key,
    MasterPlaylist,
    MediaPlaylist,
    Resource,
    Segment,
    Variant,
    choose_variant,
)
from clipcut.sources.hls_reader import parse_playlist
from clipcut.sources.stage import Item

_GZIP = b"\x1f\x8b"


@attrs.frozen(kw_only=True)
class Track:
    """One media playlist of a video.

    Attributes:
        playlist: Its segments.
        led_by: The zone that it came from: what it names is seen as named from there.
        noun: What its segments are called in messages.
        keeps_places: Whether its segments must lie where they lie in the file that they are ranges of.
        if_range, of_size: The validator and length of the file that its segments are ranges of, where it is one.
    """

    playlist: MediaPlaylist
    led_by: Zone | None
    noun: str = "segment"
    if_range: str | None = attrs.field(default=None, repr=False)
    of_size: int | None = None
    keeps_places: bool = False

    def item(self, segment: Segment) -> Item:
        """Return a segment as something to stage."""
        return self._item(segment.resource, segment.key, f"{self.noun} {segment.number}")

    def _item(self, resource: Resource, key: Key | None, what: str) -> Item:
        return Item(
            resource=resource,
            key=key,
            what=what,
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
        return [self._item(init.resource, init.key, what), *items]


@attrs.frozen(kw_only=True)
class Tracks:
    """The playlists of a video.

    Attributes:
        video: The one with the picture, and with the sound if that isn't separate.
        audio: The one with the sound alone; None if there is none.
        variant: The variant that was chosen; None if there was no choice.
    """

    video: Track
    audio: Track | None
    variant: Variant | None


def covering(segments: Sequence[Segment], begin: Fraction, end: Fraction) -> tuple[int, int]:
    """Return the first and the last of a run's segments that a range needs, going by what the playlist says.

    Args:
        segments: The run's, at least one.
        begin: The first moment that is needed, in source time.
        end: The last one.
    """
    first, last = (bisect.bisect_right(segments, at, key=lambda segment: segment.begin) - 1 for at in (begin, end))
    return max(0, first), max(0, first, last)


def unpack(data: bytes) -> bytes:
    """Undo gzip, for a server that keeps its playlists packed and doesn't say so."""
    if not data.startswith(_GZIP):
        return data
    try:
        unpacked = zlib.decompressobj(47).decompress(data, MAX_BYTES + 1)
    except zlib.error as exc:
        raise SourceError(Reason.BAD_PLAYLIST, "the playlist can't be unpacked") from exc
    if len(unpacked) > MAX_BYTES:
        raise SourceError(Reason.TOO_LARGE, f"the playlist is larger than {MAX_BYTES} bytes")
    return unpacked


@attrs.frozen(kw_only=True)
class TrackLoader:
    """Fetches a video's playlists.

    Attributes:
        fetcher: Fetches.
        access: The source's address and headers.
        height: The output's, in pixels: decides the variant.
        wants_sound: Whether a separate sound playlist is wanted.
        threads: Long playlists are read in a thread.
    """

    fetcher: Fetcher
    access: Access
    height: int
    wants_sound: bool
    threads: trio.CapacityLimiter

    async def load(self, data: bytes, answer: Answer, told: Told) -> Tracks:
        """Read a playlist, and fetch what it leads to.

        Args:
            data: The playlist.
            answer: Where it came from.
            told: Is told of requests that are sent again.

        Raises:
            SourceError: It can't be used, or what it leads to can't be had.
        """
        top = await trio.to_thread.run_sync(_parse, data, answer.url, limiter=self.threads)
        if isinstance(top, MediaPlaylist):
            return Tracks(video=Track(playlist=top, led_by=answer.zone), audio=None, variant=None)
        variant = choose_variant(top, self.height)
        video = await self._media(variant.url, answer.zone, "segment", told)
        audio = None
        if variant.audio is not None and self.wants_sound:
            audio = await self._media(variant.audio, answer.zone, "sound segment", told)
            if len(audio.playlist.runs) != len(video.playlist.runs):
                words = "its sound has other discontinuities than its picture"
                raise SourceError(Reason.BAD_PLAYLIST, f"the playlist can't be used: {words}")
        return Tracks(video=video, audio=audio, variant=variant)

    async def _media(self, url: str, led_by: Zone, noun: str, told: Told) -> Track:
        playlist, answer = await self._playlist(url, led_by, f"the playlist of its {noun}s", told)
        if isinstance(playlist, MasterPlaylist):
            raise SourceError(Reason.BAD_PLAYLIST, f"the playlist of its {noun}s leads to playlists once more")
        return Track(playlist=playlist, led_by=answer.zone, noun=noun)

    async def _playlist(
        self, url: str, led_by: Zone, what: str, told: Told
    ) -> tuple[MediaPlaylist | MasterPlaylist, Answer]:
        ask = Ask(url=url, what=what, access=self.access, max_bytes=MAX_BYTES, led_by=led_by, gzip=True)
        data, answer = await self.fetcher.fetch_bytes(ask, told)
        parsed = await trio.to_thread.run_sync(_parse, data, answer.url, limiter=self.threads)
        return parsed, answer


def _parse(data: bytes, url: str) -> MediaPlaylist | MasterPlaylist:
    return parse_playlist(unpack(data), url)
