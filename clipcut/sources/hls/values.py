"""What the tags of an HLS playlist say, made exact: addresses, byte ranges, numbers and keys."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

import attrs

from clipcut.errors import Reason, SourceError
from clipcut.network.references import resolve_reference
from clipcut.redact import redact_url
from clipcut.sources.segments.playlist import Key
from clipcut.timebase import MAX_SECONDS, parse_decimal

MAX_LINE = 65_536
"""No address, and no tag that matters, is longer, in characters; m3u8's memory grows a hundred times faster."""

_BYTE_RANGE = re.compile(r"(\d{1,18})(?:@(\d{1,18}))?", re.ASCII)
_IV = re.compile(r"0[xX]([0-9a-fA-F]{32})", re.ASCII)
_RESOLUTION = re.compile(r"\d{1,6}[xX](\d{1,6})", re.ASCII)

Raw = Mapping[str, Any]
"""What m3u8 makes of a tag, a segment or a whole playlist."""


def bad(what: str) -> SourceError:
    """Return the failure of a playlist that is wrong; ``what`` goes on after "the playlist"."""
    return SourceError(Reason.BAD_PLAYLIST, f"the playlist {what}")


def absolute(base: str, address: str | None, what: str) -> str:
    """Return an address made absolute; messages say whose it is, and never show it."""
    if not address:
        raise bad(f"gives {what} no address")
    problem = f"gives {what} an address that can't be understood"
    if len(address) > MAX_LINE or not address.isprintable():
        raise bad(problem)
    try:
        url = resolve_reference(base, address)
        parts = urlsplit(url)
        _ = parts.port  # raises as well, if it is none
    except ValueError:
        raise bad(problem) from None
    if parts.scheme not in ("http", "https"):
        kind = f"{parts.scheme[:20]}:" if parts.scheme else "relative"
        raise SourceError(Reason.REFUSED, f"the playlist leads to a {kind} address, and only http(s) is followed")
    if not parts.hostname:
        raise SourceError(Reason.REFUSED, "the playlist leads to an address without a host")
    return url


def attributes(line: str) -> dict[str, str]:
    """Read a tag's attribute list, whatever commas and quotes its values have; names are written as m3u8 does.

    What isn't in order is read as well as can be: names without values are left out, a quote inside a value is a
    character like any other, and a value whose quote stays open is none.
    """
    text, at = line.partition(":")[2], 0
    found = {}
    while (equals := text.find("=", at)) >= 0:
        name = text[max(at, text.rfind(",", at, equals) + 1) : equals]
        value, at = _attribute_value(text, equals + 1)
        found[name.strip().lower().replace("-", "_")] = value
    return found


def _attribute_value(text: str, at: int) -> tuple[str, int]:
    """Return the value that begins at a place, without its quotes, and where the next attribute begins."""
    while text[at : at + 1].isspace():
        at += 1
    quote = text[at : at + 1]
    closing = text.find(quote, at + 1) if quote in ("'", '"') else -1
    if closing >= 0:
        end = _comma(text, closing)
        if not text[closing + 1 : end].strip():
            return text[at + 1 : closing], end + 1
    end = _comma(text, at)
    return "" if quote == '"' and closing < 0 else text[at:end].strip(), end + 1


def _comma(text: str, at: int) -> int:
    found = text.find(",", at)
    return found if found >= 0 else len(text)


def byte_range(text: str, implied: int | None, what: str) -> tuple[int, int]:
    """Read ``length[@first]`` as ``[first, end)``; ``implied`` is where it begins if it does not say so."""
    match = _BYTE_RANGE.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise bad(f"gives {what} a byte range that {'is empty' if match else 'is none'}")
    first = implied if match[2] is None else int(match[2])
    if first is None:
        raise bad(f"gives {what} a byte range without a begin, and the segment before is of another resource")
    return first, first + int(match[1])


def duration(text: str, number: int) -> Fraction:
    """Read a segment's duration; ``.5`` and ``5.`` are no decimals elsewhere, but are written here."""
    try:
        seconds = parse_decimal(f"0{text}" if text.startswith(".") else text.removesuffix("."))
    except ValueError:
        raise bad(f'gives segment {number} the duration "{shown(text)}", which is no number') from None
    if not 0 <= seconds <= MAX_SECONDS:
        raise bad(f"gives segment {number} the duration {shown(text)}; that is 0 to {MAX_SECONDS:,} s")
    return seconds


def height(text: str | None, what: str) -> int | None:
    """Return the lines of a picture; ``0x0`` stands where there is none."""
    if text is None:
        return None
    match = _RESOLUTION.fullmatch(text.strip())
    if match is None:
        raise bad(f"gives {what} a RESOLUTION that can't be read")
    return int(match[1]) or None


@attrs.frozen(kw_only=True)
class Lock:
    """What the EXT-X-KEY tags in force say: a key, or the protection that there is no key for."""

    url: str = attrs.field(default="", repr=redact_url)
    iv: bytes | None = None
    protection: str | None = None


def read_lock(keys: Mapping[str, Raw], base: str) -> Lock | None:
    """Return what is in force: of the last key of each format, one that can be used is enough."""
    if not keys:
        return None
    plain = keys.get("identity")
    if plain is None or not can_open(plain):
        return Lock(protection=protection(next(iter(keys.values()))))
    return Lock(url=absolute(base, plain.get("uri"), "a key"), iv=_iv(plain.get("iv")))


def unlocked(lock: Lock | None, implied_iv: bytes | None, what: str) -> Key | None:
    """Return the key to something; ``implied_iv`` goes with it if it does not say its own."""
    if lock is None:
        return None
    if lock.protection is not None:
        raise protected(what, lock.protection)
    iv = lock.iv if lock.iv is not None else implied_iv
    if iv is None:
        raise bad(f"encrypts {what} without an IV")
    return Key(url=lock.url, iv=iv)


def can_open(key: Raw) -> bool:
    """Tell whether a key is one that clipcut knows how to use."""
    return key.get("method") == "AES-128" and key.get("keyformat", "identity") == "identity"


def protection(key: Raw) -> str:
    """Return what a key is for, in few words."""
    return f"{shown(key['method'], 14)}, {shown(key.get('keyformat', 'identity'), 45)}"


def protected(what: str, protection: str) -> SourceError:
    """Return the failure of something that only DRM opens."""
    return SourceError(Reason.REFUSED, f"{what} is protected ({protection}): clipcut opens no DRM")


def _iv(text: str | None) -> bytes | None:
    if text is None:
        return None
    match = _IV.fullmatch(text.strip())
    if match is None:
        raise bad("has a key with an IV that isn't 0x and 32 hexadecimal digits")
    return bytes.fromhex(match[1])


def shown(text: str, limit: int = 40) -> str:
    """Return some of the document for a message: printable, short, and of an address no more than its scheme."""
    safe = text.partition("//")[0].partition("?")[0].rpartition("@")[2]
    return "".join(char if char.isprintable() else "?" for char in safe[:limit])
