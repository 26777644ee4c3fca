"""The tags of an HLS playlist, one by one; the only module that knows m3u8.

m3u8 reads line by line and keeps most of a playlist, but not all that an exact cut needs: of several keys for one
segment it keeps the last, durations become floats, an apostrophe in an attribute can swallow the next one, a tag that
it can't read ends everything even if it does not matter, and an address in a wrong place is dropped in silence.
``_Tags`` looks at each tag first and makes up for that.
"""

import re
from collections.abc import Callable
from typing import Any

from clipcut.sources.hls.values import (
    MAX_LINE,
    Raw,
    absolute,
    attributes,
    bad,
    byte_range,
    duration,
    read_lock,
    unlocked,
)
from clipcut.sources.segments.playlist import Init, Resource

MAX_SEGMENTS = 100_000
"""No media playlist has more segments."""
MAX_VARIANTS = 1_000
"""No master playlist has more variants."""
MAX_RENDITIONS = 10_000
"""No master playlist has more renditions, nor more session keys."""
MAX_FORMATS = 100
"""No segment's key comes in more formats."""

_ADDRESS_LINE = re.compile(r"^[^#\s]", re.MULTILINE)
_LENGTH_END = re.compile(r"[,\s]")
"""A title follows the comma; attributes may stand before it, after a space, and have commas of their own."""

TAGS = (
    "#EXTINF",
    "#EXT-X-BYTERANGE",
    "#EXT-X-DISCONTINUITY",
    "#EXT-X-ENDLIST",
    "#EXT-X-GAP",
    "#EXT-X-KEY",
    "#EXT-X-MAP",
    "#EXT-X-MEDIA",
    "#EXT-X-MEDIA-SEQUENCE",
    "#EXT-X-PLAYLIST-TYPE",
    "#EXT-X-SESSION-KEY",
    "#EXT-X-STREAM-INF",
)
"""The tags that matter; a mistake in any other is nobody's business."""
_LIMITS = {
    "#EXTINF": ("segments", MAX_SEGMENTS, "segments"),
    "#EXT-X-BYTERANGE": ("segments", MAX_SEGMENTS, "segments"),
    "#EXT-X-STREAM-INF": ("playlists", MAX_VARIANTS, "variants"),
    "#EXT-X-MEDIA": ("media", MAX_RENDITIONS, "renditions"),
    "#EXT-X-SESSION-KEY": ("session_keys", MAX_RENDITIONS, "session keys"),
}
"""How many of what a tag adds to: m3u8's name for them, the most that there may be, our name for them."""
_NOT_FOR_US = {
    "#EXT-X-I-FRAMES-ONLY": "has key frames only (EXT-X-I-FRAMES-ONLY), from which nothing can be cut",
    "#EXT-X-IMAGES-ONLY": "has pictures only (EXT-X-IMAGES-ONLY), from which nothing can be cut",
    "#EXT-X-SKIP": "leaves segments out (EXT-X-SKIP), so that the time of the others isn't known",
}


def read_tags(text: str, url: str) -> Raw:
    """Return what m3u8 and ``_Tags`` find in a playlist, with no address of it left over.

    Segments have their exact duration as ``seconds``, an ``Init`` as ``init_section`` and a ``Lock`` as ``key``; what
    else there is is m3u8's.

    Args:
        text: The playlist, with no blank lines.
        url: What its addresses are relative to.

    Raises:
        SourceError: ``bad_playlist`` or ``refused``.
    """
    tags = _Tags(url)
    try:
        found = _ask_m3u8(text, tags.look)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise bad(f"can't be read at {tags.where}") from None
    if tags.state.get("expect_playlist"):
        raise bad(f"gives variant {len(found['playlists'])} no address")
    used = len(found["playlists"]) + sum("uri" in raw for raw in found["segments"])
    if used != len(_ADDRESS_LINE.findall(text)):
        raise bad("has an address with neither EXTINF nor EXT-X-STREAM-INF before it")
    return found


def _ask_m3u8(text: str, look: Callable[..., bool] | None = None) -> Raw:
    import m3u8  # type: ignore[import-untyped]  # noqa: PLC0415  it takes a while, and few renders need it

    found: Raw = m3u8.parse(text, custom_tags_parser=look)
    return found


class _Tags:
    """Looks at each tag before m3u8 does, and leaves in m3u8's state what belongs to the next segment.

    Attributes:
        where: The tag that was looked at last, for a message.
        state: m3u8's own, which knows what it still waits for.
    """

    def __init__(self, url: str) -> None:
        """Remember what addresses are relative to."""
        self.where = "its beginning"
        self.state: dict[str, Any] = {}
        self._url = url
        self._keys: dict[str, Raw] = {}
        self._special = {
            "#EXTINF": self._length,
            "#EXT-X-KEY": self._key,
            "#EXT-X-MAP": self._map,
            "#EXT-X-MEDIA": self._rendition,
            "#EXT-X-MEDIA-SEQUENCE": self._sequence,
            "#EXT-X-SESSION-KEY": self._session_key,
            "#EXT-X-STREAM-INF": self._variant,
        }

    def look(self, line: str, _number: int, found: Raw, state: dict[str, Any]) -> bool:
        """Look at a tag; return whether m3u8 has to be kept from it."""
        name = line.partition(":")[0]
        if name in _NOT_FOR_US:
            raise bad(_NOT_FOR_US[name])
        if name not in TAGS:
            return True
        self.where, self.state = f"the {name[1:]} after {len(found['segments'])} segments", state
        if name in _LIMITS and len(found[_LIMITS[name][0]]) >= _LIMITS[name][1]:
            raise bad(f"has more than {_LIMITS[name][1]:,} {_LIMITS[name][2]}")
        if len(line) > MAX_LINE:
            raise bad(f"has more than {MAX_LINE:,} characters in {self.where}")
        return name in self._special and self._special[name](line, found, state)

    def _length(self, line: str, found: Raw, state: dict[str, Any]) -> bool:
        number = len(found["segments"])
        segment = state.setdefault("segment", {})
        if "seconds" in segment:
            raise bad(f"gives segment {number} no address")
        segment["seconds"] = duration(_LENGTH_END.split(line.partition(":")[2].strip(), maxsplit=1)[0], number)
        state["expect_segment"] = True
        return True

    def _key(self, line: str, _found: Raw, state: dict[str, Any]) -> bool:
        key = attributes(line)
        method = key.get("method")
        if not method:
            raise bad("has a key without METHOD")
        if method == "NONE":
            self._keys.clear()
        else:
            self._keys[key.get("keyformat", "identity")] = key
        if len(self._keys) > MAX_FORMATS:
            raise bad(f"has keys of more than {MAX_FORMATS} formats at once")
        state["current_key"] = read_lock(self._keys, self._url)
        return True

    def _map(self, line: str, found: Raw, state: dict[str, Any]) -> bool:
        given = attributes(line)
        what = f"the EXT-X-MAP before segment {len(found['segments'])}"
        url, text = absolute(self._url, given.get("uri"), what), given.get("byterange")
        resource = Resource(url=url, byte_range=None if text is None else byte_range(text, 0, what))
        state["current_segment_map"] = Init(resource=resource, key=unlocked(state.get("current_key"), None, what))
        return True

    def _sequence(self, _line: str, found: Raw, _state: dict[str, Any]) -> bool:
        if found["segments"]:
            raise bad("has an EXT-X-MEDIA-SEQUENCE after its first segment")
        return False

    def _rendition(self, line: str, found: Raw, _state: dict[str, Any]) -> bool:
        found["media"].append(attributes(line))
        return True

    def _session_key(self, line: str, found: Raw, _state: dict[str, Any]) -> bool:
        found["session_keys"].append(attributes(line))
        return True

    def _variant(self, line: str, found: Raw, state: dict[str, Any]) -> bool:
        if state.get("expect_playlist"):
            raise bad(f"gives variant {len(found['playlists'])} no address")
        given = attributes(line)
        state["stream_info"] = given | {"bandwidth": int(float(given.get("bandwidth", 0)))}
        state["expect_playlist"] = True
        return True
