"""A master playlist once it is read, and which of its variants suits an output."""

from collections.abc import Mapping

import attrs

from clipcut.errors import Reason, SourceError
from clipcut.redact import redact_url
from clipcut.sources.hls.values import shown

MAX_BYTES = 16 * 1024 * 1024
"""No playlist is larger, decompressed."""

_VIDEO_CODECS = frozenset({"avc1", "avc3", "hvc1", "hev1", "av01", "vp08", "vp09", "vp8", "vp9", "mp4v"})
_OTHER_CODECS = frozenset({"mp4a", "ac-3", "ec-3", "opus", "flac", "mp3", "stpp", "wvtt"})
"""Sound, and subtitles: a variant names those of its subtitle renditions too, and nobody has to decode them."""


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

    url: str = attrs.field(repr=redact_url)
    height: int | None
    bandwidth: int
    codecs: tuple[str, ...]
    audio: str | None = attrs.field(repr=lambda url: repr(url and redact_url(url)))


@attrs.frozen(kw_only=True)
class MasterPlaylist:
    """A playlist of variants, at least one, and the variables that theirs may import."""

    variants: tuple[Variant, ...]
    variables: Mapping[str, str] = attrs.field(factory=dict, repr=False, hash=False)


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
