"""A playlist to the tracks of a video: the variant that suits the output, and its sound where that is separate."""

import zlib
from collections.abc import Mapping

import attrs
import trio

from clipcut.errors import Reason, SourceError
from clipcut.events import Told
from clipcut.network.addresses import Zone
from clipcut.network.ask import Access, Answer, Ask
from clipcut.network.fetch import Fetcher
from clipcut.sources.hls.master import MAX_BYTES, MasterPlaylist, choose_variant
from clipcut.sources.hls.reader import parse_playlist
from clipcut.sources.segments.playlist import MediaPlaylist
from clipcut.sources.segments.track import Track, Tracks

_GZIP = b"\x1f\x8b"


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
        top = await trio.to_thread.run_sync(_parse, data, answer.url, None, limiter=self.threads)
        if isinstance(top, MediaPlaylist):
            return Tracks(video=Track(playlist=top, led_by=answer.zone), audio=None, height=None)
        variant = choose_variant(top, self.height)
        video = await self._media(variant.url, answer.zone, "segment", top.variables, told)
        audio = None
        if variant.audio is not None and self.wants_sound:
            audio = await self._media(variant.audio, answer.zone, "sound segment", top.variables, told)
            if len(audio.playlist.runs) != len(video.playlist.runs):
                words = "its sound has other discontinuities than its picture"
                raise SourceError(Reason.BAD_PLAYLIST, f"the playlist can't be used: {words}")
        return Tracks(video=video, audio=audio, height=variant.height)

    async def _media(self, url: str, led_by: Zone, noun: str, variables: Mapping[str, str], told: Told) -> Track:
        playlist, answer = await self._playlist(url, led_by, f"the playlist of its {noun}s", variables, told)
        if isinstance(playlist, MasterPlaylist):
            raise SourceError(Reason.BAD_PLAYLIST, f"the playlist of its {noun}s leads to playlists once more")
        return Track(playlist=playlist, led_by=answer.zone, noun=noun)

    async def _playlist(
        self, url: str, led_by: Zone, what: str, variables: Mapping[str, str], told: Told
    ) -> tuple[MediaPlaylist | MasterPlaylist, Answer]:
        ask = Ask(url=url, what=what, access=self.access, max_bytes=MAX_BYTES, led_by=led_by, gzip=True)
        data, answer = await self.fetcher.fetch_bytes(ask, told)
        parsed = await trio.to_thread.run_sync(_parse, data, answer.url, variables, limiter=self.threads)
        return parsed, answer


def _parse(data: bytes, url: str, variables: Mapping[str, str] | None) -> MediaPlaylist | MasterPlaylist:
    return parse_playlist(unpack(data), url, variables)
