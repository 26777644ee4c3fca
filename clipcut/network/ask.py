"""What is asked of the network: a request's facts, whose headers go along, how long is waited for what."""

import datetime as dt
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import attrs

from clipcut.network.addresses import Zone
from clipcut.network.carry import with_query
from clipcut.redact import redact_url


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of an address, as browsers compare them."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}.get(parts.scheme)


_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_OURS = frozenset({"accept-encoding", "connection", "content-length", "if-range", "range", "transfer-encoding"})
"""Headers that clipcut sets itself; a source's own would make the answer one that nobody can trust."""


def variables_of(value: str) -> list[str]:
    """Return the names of the variables in a header's value."""
    return _VARIABLE.findall(value)


def fill_in(headers: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Fill the variables of header values in; those that are clipcut's own business are left away."""
    return {
        name: _VARIABLE.sub(lambda match: environ.get(match[1], ""), value)
        for name, value in headers.items()
        if name.lower() not in _OURS
    }


@attrs.frozen(kw_only=True)
class Patience:
    """How long is waited for what; all in seconds but the rate.

    Attributes:
        connect_s: For a connection.
        silence_s: For the next byte.
        total_s: For one answer, from the request to its last byte.
        window_s, least_rate: A body that brings fewer bytes a second than this over a window is given up.
        pause_s: The longest ``Retry-After`` that is obeyed; who asks for more is given up.
        backoff_s, backoff_most_s: The bound of the first wait before a retry, which doubles each time, and its limit.
    """

    connect_s: float = 15.0
    silence_s: float = 30.0
    total_s: float = 600.0
    window_s: float = 10.0
    least_rate: int = 1024
    pause_s: float = 120.0
    backoff_s: float = 0.5
    backoff_most_s: float = 15.0


@attrs.frozen(kw_only=True)
class Access:
    """What a source gives to its own origin and to no other.

    Attributes:
        url: The address that the headers were given for.
        headers: Names and values, variables filled in.
        known_headers: Those that may say which thing is meant, as written.
        carries_query: Whether the address's query goes with every request to the origin.
    """

    url: str = attrs.field(repr=redact_url)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    known_headers: Sequence[tuple[str, str]] = attrs.field(default=(), repr=False)
    carries_query: bool = False

    def headers_for(self, url: str) -> Mapping[str, str]:
        """Return the headers for an address: all of them for the source's own origin, none elsewhere."""
        return self.headers if origin_of(url) == origin_of(self.url) else {}

    def address_for(self, url: str) -> str:
        """Return what is asked for under an address: with the source's query, where that is carried to its origin."""
        if not self.carries_query or origin_of(url) != origin_of(self.url):
            return url
        return with_query(url, urlsplit(self.url).query)


@attrs.frozen(kw_only=True)
class Trace:
    """The trace that a render belongs to, which its timeline's own origins are told of and nobody else.

    Attributes:
        trace_id: 32 hex digits; empty for no trace.
        origins: Whose requests carry it.
    """

    trace_id: str = ""
    origins: frozenset[tuple[str, str, int | None]] = frozenset()

    def headers_for(self, url: str) -> Mapping[str, str]:
        """Return a W3C ``traceparent`` for a request to one of the origins, each with a span of its own."""
        if not self.trace_id or origin_of(url) not in self.origins:
            return {}
        return {"traceparent": f"00-{self.trace_id}-{secrets.token_hex(8)}-01"}


@attrs.frozen(kw_only=True)
class Ask:
    """What is wanted.

    Attributes:
        url: An absolute http(s) address.
        what: What it is, for messages: ``segment 3``.
        access: Whose headers go along.
        max_bytes: More than this is ``too_large``.
        byte_range: Half-open; None for everything.
        may_be_shorter: Whether the range may reach past the end of what is there.
        led_by: The zone of the document that led here; None for the user.
        if_range: What the thing's ETag or time of change must still be, where its server says it.
        of_size: How many bytes the whole must have, for a range of it.
        pause: Reads from an answer's headers, its status and the time how long its host wants to be left alone.
        total_s: How long the answer may take in all, in seconds; None for as long as is usual.
        gzip: Whether the answer may be compressed.
        may_be_packed: Whether it may come packed with gzip though that wasn't asked for; it is handed on packed.
    """

    url: str = attrs.field(repr=redact_url)
    what: str
    access: Access
    max_bytes: int
    byte_range: tuple[int, int] | None = None
    may_be_shorter: bool = False
    led_by: Zone | None = None
    if_range: str | None = attrs.field(default=None, repr=False)
    of_size: int | None = None
    pause: Callable[[Mapping[str, str], int, dt.datetime], float | None] | None = None
    total_s: float | None = None
    gzip: bool = False
    may_be_packed: bool = False


@attrs.frozen(kw_only=True)
class Answer:
    """Where an answer came from in the end, after redirects: its address and zone; and what it said of itself."""

    url: str = attrs.field(repr=redact_url)
    zone: Zone
    status: int = 200
    headers: Mapping[str, str] = attrs.field(repr=False)

    @property
    def validator(self) -> str | None:
        """What tells the thing from a later one: a strong ETag, else the time of its last change; None if neither."""
        tag = self.headers.get("etag", "")
        return tag if tag.startswith('"') else self.headers.get("last-modified")
