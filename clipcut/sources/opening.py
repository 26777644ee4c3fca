"""What is behind an address: a playlist, or a file and whether its server gives ranges of it. Known by its content."""

from pathlib import PurePosixPath
from urllib.parse import urlsplit

import attrs

from clipcut.errors import Reason, SourceError
from clipcut.events import Told
from clipcut.network.addresses import Zone
from clipcut.network.ask import Access, Answer, Ask
from clipcut.network.body import whole_size
from clipcut.network.fetch import Fetcher
from clipcut.sources.file.layout import CHUNK
from clipcut.sources.hls.load import unpack
from clipcut.sources.hls.master import MAX_BYTES
from clipcut.sources.hls.reader import is_playlist
from clipcut.sources.segments.packed import GZIP


@attrs.frozen(kw_only=True)
class Playlist:
    """A playlist, whole, and where it came from."""

    data: bytes = attrs.field(repr=False)
    answer: Answer


@attrs.frozen(kw_only=True)
class File:
    """A file that is no playlist.

    Attributes:
        head: Its first bytes.
        size: Its length in bytes; None if the server doesn't say.
        takes_ranges: Whether the server gives ranges of it.
        validator: Its ETag or the time of its last change; None if the server doesn't say.
        answer: Where it came from.
    """

    head: bytes = attrs.field(repr=False)
    size: int | None
    takes_ranges: bool
    validator: str | None
    answer: Answer


async def open_source(fetcher: Fetcher, access: Access, led_by: Zone | None, told: Told) -> Playlist | File:
    """Ask for the begin of what is behind an address, or for all of it if it is called like a playlist.

    Args:
        fetcher: Fetches.
        access: The address, and what its own origin gets.
        led_by: The zone of what named the address; None for the user.
        told: Is told of requests that are sent again.

    Raises:
        SourceError: It can't be had.
    """
    if PurePosixPath(urlsplit(access.url).path).suffix.lower() in (".m3u8", ".m3u"):
        return await _fetch_playlist(fetcher, access, led_by, told)
    try:
        found = await _fetch_head(fetcher, access, led_by, told)
    except SourceError as exc:
        if exc.reason is not Reason.UNDECODABLE:  # packed though nobody asked for that: no video is
            raise
        return await _fetch_packed(fetcher, access, led_by, told, exc)
    if found.head.startswith(GZIP) and not _is_packed_playlist(found.head):
        words = "the file is packed with gzip, and no video can be cut from that; have it stored unpacked"
        raise SourceError(Reason.UNDECODABLE, words)
    if not is_playlist(unpack(found.head)):
        return found
    if len(found.head) == found.size or (not found.takes_ranges and len(found.head) < CHUNK):
        return Playlist(data=found.head, answer=found.answer)
    return await _fetch_playlist(fetcher, access, led_by, told)


def _is_packed_playlist(data: bytes) -> bool:
    """Tell whether what is packed with gzip, or begins so, is a playlist."""
    try:
        return is_playlist(unpack(data))
    except SourceError:
        return False


async def _fetch_packed(
    fetcher: Fetcher, access: Access, led_by: Zone | None, told: Told, failure: SourceError
) -> Playlist:
    """Fetch what its server sends packed whatever it is asked: a playlist, or else that is the failure."""
    refusal = failure.again(f"{failure}; no video can be cut from that: have it sent as it is")
    try:
        found = await _fetch_playlist(fetcher, access, led_by, told)
    except SourceError as exc:
        raise (refusal if exc.reason in (Reason.TOO_LARGE, Reason.UNDECODABLE) else exc) from None
    if not _is_packed_playlist(found.data):
        raise refusal
    return found


async def _fetch_playlist(fetcher: Fetcher, access: Access, led_by: Zone | None, told: Told) -> Playlist:
    ask = Ask(url=access.url, what="the playlist", access=access, max_bytes=MAX_BYTES, led_by=led_by, gzip=True)
    data, answer = await fetcher.fetch_bytes(ask, told)
    return Playlist(data=data, answer=answer)


async def _fetch_head(fetcher: Fetcher, access: Access, led_by: Zone | None, told: Told) -> File:
    ask = Ask(
        url=access.url,
        what="the file",
        access=access,
        max_bytes=CHUNK,
        byte_range=(0, CHUNK),
        may_be_shorter=True,
        led_by=led_by,
    )
    head, answer = await fetcher.fetch_bytes(ask, told)
    return File(
        head=head,
        size=whole_size(answer),
        takes_ranges=answer.status == 206,
        validator=answer.validator,
        answer=answer,
    )
