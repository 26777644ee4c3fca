"""HLS playlists once they are read: what to fetch, when it plays, and which variant to take."""

import functools
import itertools
from fractions import Fraction

import attrs

from clipcut.errors import Reason, SourceError

MAX_BYTES = 16 * 1024 * 1024
"""No playlist is larger, decompressed."""

_VIDEO_CODECS = frozenset({"avc1", "avc3", "hvc1", "hev1", "av01", "vp08", "vp09", "vp8", "vp9", "mp4v"})
_OTHER_CODECS = frozenset({"mp4a", "ac-3", "ec-3", "opus", "flac", "mp3", "stpp", "wvtt"})
"""Sound, and subtitles: a variant names those of its subtitle renditions too, and nobody has to decode them."""


@attrs.frozen(kw_only=True)
class Resource:
    """Something to fetch: an absolute http(s) address, all of it or the bytes ``[first, end)``."""

    url: str
    byte_range: tuple[int, int] | None = None


@attrs.frozen(kw_only=True)
class Key:
    """An AES-128 key: where its 16 bytes are, and the 16 bytes of the initialization vector that go with it."""

    url: str
    iv: bytes


@attrs.frozen(kw_only=True)
class Init:
    """An initialization section (EXT-X-MAP), without which a segment can't be decoded."""

    resource: Resource
    key: Key | None


@attrs.frozen(kw_only=True)
class Segment:
    """One segment of a media playlist.

    Attributes:
        number: Its place in the playlist, from 0.
        resource: What to fetch.
        begin: The sum of all durations before it, in seconds.
        duration: Its duration in seconds, as its EXTINF says.
        run: The number of its run of continuous timestamps, from 0.
        init: What has to be decoded before it; None if it needs nothing.
        key: How it is encrypted; None if it isn't.
        is_gap: Whether the playlist says that there is nothing to fetch.
    """

    number: int
    resource: Resource
    begin: Fraction
    duration: Fraction
    run: int
    init: Init | None
    key: Key | None
    is_gap: bool

    @property
    def end(self) -> Fraction:
        """The sum of all durations up to and with its own, in seconds."""
        return self.begin + self.duration


@attrs.frozen(kw_only=True)
class MediaPlaylist:
    """A playlist of segments, at least one; ``is_live`` if it may still grow."""

    segments: tuple[Segment, ...]
    is_live: bool

    @functools.cached_property
    def runs(self) -> tuple[tuple[Segment, ...], ...]:
        """The segments, grouped by run."""
        return tuple(tuple(group) for _, group in itertools.groupby(self.segments, key=lambda segment: segment.run))

    @property
    def seconds(self) -> Fraction:
        """Its total duration in seconds."""
        return self.segments[-1].end


@attrs.frozen(kw_only=True)
class Variant:
    """One rendering of a video.

    Attributes:
        url: The absolute address of its media playlist.
        height: Lines of its picture; None if not said.
        bandwidth: Its peak in bits a second; 0 if not said.
        codecs: Their names as written; empty if not said.
        audio: The absolute address of the media playlist with its sound; None if that is in the variant, or nowhere.
    """

    url: str
    height: int | None
    bandwidth: int
    codecs: tuple[str, ...]
    audio: str | None


@attrs.frozen(kw_only=True)
class MasterPlaylist:
    """A playlist of variants, at least one."""

    variants: tuple[Variant, ...]


def choose_variant(master: MasterPlaylist, height: int) -> Variant:
    """Choose the variant to cut from: the smallest that has ``height`` lines, or else the tallest.

    Variants with a codec that isn't known to be decodable are left out, and those that are sound only.

    Raises:
        SourceError: ``no_video`` if all are sound only, else ``refused`` if nothing is left.
    """
    usable = [variant for variant in master.variants if _is_usable(variant)]
    if not usable:
        raise _no_variant(master)
    sized = [(variant.height, variant.bandwidth, variant) for variant in usable if variant.height is not None]
    if not sized:
        return max(usable, key=lambda variant: variant.bandwidth)
    tall = [entry for entry in sized if entry[0] >= height]
    return min(tall, key=lambda entry: entry[:2])[2] if tall else max(sized, key=lambda entry: entry[:2])[2]


def _families(variant: Variant) -> set[str]:
    """Return its codecs without their profiles."""
    return {name.partition(".")[0].lower() for name in variant.codecs}


def _is_usable(variant: Variant) -> bool:
    families = _families(variant)
    return not families or (families <= _VIDEO_CODECS | _OTHER_CODECS and bool(families & _VIDEO_CODECS))


def _no_variant(master: MasterPlaylist) -> SourceError:
    names = dict.fromkeys(name for variant in master.variants for name in variant.codecs)
    codecs = shown(", ".join(names), 60)
    if all(_families(variant) <= _OTHER_CODECS for variant in master.variants):
        return SourceError(Reason.NO_VIDEO, f"the playlist has sound only ({codecs})")
    return SourceError(Reason.REFUSED, f"the playlist has no variant that can be decoded ({codecs})")


def shown(text: str, limit: int = 40) -> str:
    """Return some of the document for a message: printable, short, and of an address no more than its scheme."""
    safe = text.partition("//")[0].partition("?")[0].rpartition("@")[2]
    return "".join(char if char.isprintable() else "?" for char in safe[:limit])
