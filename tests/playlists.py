"""Playlists in a few words, for tests: their lines, what is read of them, what they name."""

from clipcut.sources.hls.master import MasterPlaylist
from clipcut.sources.hls.reader import parse_playlist
from clipcut.sources.segments.playlist import Key, MediaPlaylist, Resource

URL = "https://cdn.example/show/index.m3u8?token=base"
HERE = "https://cdn.example/show"
IV = "0x000102030405060708090A0B0C0D0E0F"
IV_BYTES = bytes(range(16))
KEY = '#EXT-X-KEY:METHOD=AES-128,URI="k"'
DRM = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://1",KEYFORMAT="com.apple.streamingkeydelivery"'
SEGMENT = ["#EXTINF:6,", "a.ts"]
VARIANT = ["#EXT-X-STREAM-INF:BANDWIDTH=1", "v.m3u8"]


def lines(*each: str) -> bytes:
    """A document of these lines after #EXTM3U."""
    return "\n".join(["#EXTM3U", *each, ""]).encode()


def media(*each: str) -> MediaPlaylist:
    """A media playlist, read."""
    playlist = parse_playlist(lines(*each), URL)
    assert isinstance(playlist, MediaPlaylist)
    return playlist


def master(*each: str) -> MasterPlaylist:
    """A master playlist, read."""
    playlist = parse_playlist(lines(*each), URL)
    assert isinstance(playlist, MasterPlaylist)
    return playlist


def at(name: str, byte_range: tuple[int, int] | None = None) -> Resource:
    """Something beside the playlist."""
    return Resource(url=f"{HERE}/{name}", byte_range=byte_range)


def key(name: str = "k", iv: int | bytes = 0) -> Key:
    """A key beside the playlist; a number is a media sequence number."""
    return Key(url=f"{HERE}/{name}", iv=iv if isinstance(iv, bytes) else iv.to_bytes(16, "big"))
