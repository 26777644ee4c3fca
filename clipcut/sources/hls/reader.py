"""From the bytes of an HLS playlist to its segments or variants: all addresses absolute, all times exact."""

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from clipcut.sources.hls.master import MAX_BYTES, MasterPlaylist, Variant
from clipcut.sources.hls.tags import read_tags
from clipcut.sources.hls.values import (
    Raw,
    absolute,
    bad,
    byte_range,
    can_open,
    height,
    protected,
    protection,
    shown,
    unlocked,
)
from clipcut.sources.hls.variables import put_in
from clipcut.sources.segments.playlist import MediaPlaylist, Resource, Segment

MAX_LINES = 1_000_000
"""No playlist has more lines, blank ones apart; each costs m3u8 some microseconds, whatever is in it."""

_BOM = b"\xef\xbb\xbf"
_ODD_LINE_ENDS = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_LINE_ENDS = re.compile(r"[\r\n]+\s*")
_WORDS = re.compile(r"[A-Za-z0-9 .,;!'-]*", re.ASCII)


def is_playlist(head: bytes) -> bool:
    """Return whether a document begins like a playlist, perhaps after a byte order mark and white space."""
    return head.removeprefix(_BOM).lstrip().startswith(b"#EXTM3U")


def parse_playlist(data: bytes, url: str, imported: Mapping[str, str] | None = None) -> MediaPlaylist | MasterPlaylist:
    """Read a playlist.

    Args:
        data: The whole document, decompressed.
        url: The address that it came from, after redirects; others are relative to it.
        imported: The variables of the master playlist that led to it; None if none did.

    Raises:
        SourceError: ``bad_playlist``, whatever is wrong with it; ``refused`` if it is protected or leads to something
            else than http(s). The message has no query and no user information of any address.
    """
    text, variables = put_in(_text(data), url, imported)
    found = read_tags(text, url)
    segments, variants = found["segments"], found["playlists"]
    if segments and variants:
        raise bad("has both segments and variants")
    if variants:
        return _master(found, url, variables)
    if not segments:
        raise bad("has no segments")
    is_live = not found["is_endlist"] and found["playlist_type"] != "vod"
    return MediaPlaylist(segments=tuple(_segments(found, url)), is_live=is_live, sequence=found["media_sequence"])


def _text(data: bytes) -> str:
    """Return the document's text, with no blank lines, and nothing but line feeds that ends a line."""
    if len(data) > MAX_BYTES:
        raise bad(f"is larger than {MAX_BYTES // 1024**2} MiB")
    if not is_playlist(data):
        raise bad(f"does not begin with #EXTM3U: {_likeness(data[:1000])}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise bad("is not UTF-8") from None
    # Python ends lines where HLS does not, and the rest of a title would be taken for an address.
    text = _LINE_ENDS.sub("\n", _ODD_LINE_ENDS.sub(" ", text))
    if text.count("\n") > MAX_LINES:
        raise bad(f"has more than {MAX_LINES:,} lines")
    return text


def _likeness(head: bytes) -> str:
    """Say what a document that is no playlist looks like."""
    start = head.removeprefix(_BOM).lstrip()
    if not start:
        return "it is empty"
    if start.lower().startswith((b"<!doctype html", b"<html")):
        return "it looks like an HTML page"
    if start.startswith(b"<"):
        return "it looks like a DASH manifest" if b"<MPD" in start else "it looks like XML"
    if start.startswith((b"{", b"[")):
        return "it looks like JSON"
    words = _WORDS.match(shown(start.decode("utf-8", "replace")))
    return f'it begins with "{words[0].strip()}"' if words and len(words[0]) > 2 else "it looks like something else"


def _segments(found: Raw, url: str) -> Iterator[Segment]:
    """Yield the segments, each with what follows from those before it."""
    sequence = found["media_sequence"]
    if not 0 <= sequence < 2**64:
        raise bad("has an EXT-X-MEDIA-SEQUENCE that is out of range")
    previous: Segment | None = None
    for number, raw in enumerate(found["segments"]):
        if "seconds" not in raw:
            raise bad(f"gives segment {number} no duration")
        previous = Segment(
            number=number,
            resource=_resource(raw, url, previous, f"segment {number}"),
            begin=previous.end if previous is not None else Fraction(0),
            duration=raw["seconds"],
            run=_run(raw, previous),
            init=raw.get("init_section"),
            key=unlocked(raw.get("key"), (sequence + number).to_bytes(16, "big"), f"segment {number}"),
            is_gap=bool(raw.get("gap_tag")),
        )
        yield previous


def _resource(raw: Raw, base: str, previous: Segment | None, what: str) -> Resource:
    url, text = absolute(base, raw.get("uri"), what), raw.get("byterange")
    if text is None:
        return Resource(url=url)
    before = previous.resource if previous is not None else None
    implied = before.byte_range[1] if before is not None and before.byte_range and before.url == url else None
    return Resource(url=url, byte_range=byte_range(text, implied, what))


def _run(raw: Raw, previous: Segment | None) -> int:
    """Return the number of a segment's run; another key to the same initialization section begins none."""
    if previous is None:
        return 0
    before, after = (init and init.resource for init in (previous.init, raw.get("init_section")))
    return previous.run + 1 if raw["discontinuity"] or before != after else previous.run


def _master(found: Raw, url: str, variables: Mapping[str, str]) -> MasterPlaylist:
    keys = [key for key in found["session_keys"] if key.get("method", "NONE") != "NONE"]
    if keys and not any(map(can_open, keys)):
        raise protected("the playlist", protection(keys[0]))
    groups = _audio_groups(found["media"], url)
    variants = [_read_variant(number, raw, url, groups) for number, raw in enumerate(found["playlists"])]
    return MasterPlaylist(variants=tuple(variants), variables=variables)


def _audio_groups(media: Sequence[Raw], url: str) -> dict[str, str | None]:
    """Return for each group of sound the address of the rendition to take; None if it is in the variant."""
    groups: dict[str, list[tuple[bool, bool, str | None]]] = {}
    for raw in media:
        if raw.get("type") == "AUDIO":
            address = absolute(url, raw["uri"], "a rendition") if "uri" in raw else None
            entry = (raw.get("default") != "YES", raw.get("autoselect") != "YES", address)
            groups.setdefault(raw.get("group_id", ""), []).append(entry)
    return {name: min(entries, key=lambda entry: entry[:2])[2] for name, entries in groups.items()}


def _read_variant(number: int, raw: Raw, url: str, groups: Mapping[str, str | None]) -> Variant:
    said, what = raw["stream_info"], f"variant {number}"
    group, bandwidth = said.get("audio"), said.get("bandwidth", 0)
    if not 0 <= bandwidth < 2**53:
        raise bad(f"gives {what} a BANDWIDTH that is out of range")
    return Variant(
        url=absolute(url, raw["uri"], what),
        height=height(said.get("resolution"), what),
        bandwidth=bandwidth,
        codecs=tuple(name.strip() for name in said.get("codecs", "").split(",") if name.strip()),
        audio=groups.get(group) if group else None,  # a group that isn't there: the variant's own sound, as players do
    )
