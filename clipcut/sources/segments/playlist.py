"""A video in segments as it was found to be: what to fetch, and when it plays."""

import functools
import itertools
from fractions import Fraction

import attrs

from clipcut.digest import digest, known_address
from clipcut.redact import redact_url


@attrs.frozen(kw_only=True)
class Resource:
    """Something to fetch: an absolute http(s) address, all of it or the bytes ``[first, end)``."""

    url: str = attrs.field(repr=redact_url)
    byte_range: tuple[int, int] | None = None


@attrs.frozen(kw_only=True)
class Key:
    """An AES-128 key: where its 16 bytes are, and the 16 bytes of the initialization vector that go with it."""

    url: str = attrs.field(repr=redact_url)
    iv: bytes


@attrs.frozen(kw_only=True)
class Init:
    """An initialization section (EXT-X-MAP), without which a segment can't be decoded."""

    resource: Resource
    key: Key | None


def _known(resource: Resource, key: Key | None) -> tuple[object, ...]:
    secret = (known_address(key.url), key.iv.hex()) if key is not None else None
    return known_address(resource.url), resource.byte_range, secret


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
    """A playlist of segments, at least one: ``is_live`` if it may still grow, ``sequence`` the first one's number."""

    segments: tuple[Segment, ...]
    is_live: bool
    sequence: int = 0

    @functools.cached_property
    def runs(self) -> tuple[tuple[Segment, ...], ...]:
        """The segments, grouped by run."""
        return tuple(tuple(group) for _, group in itertools.groupby(self.segments, key=lambda segment: segment.run))

    @functools.cached_property
    def identity(self) -> str | None:
        """What it is known by: its names in their order, with durations, ranges and keys; None while it may change."""
        if self.is_live:
            return None
        return digest(
            self.sequence,
            [
                (_known(segment.resource, segment.key), segment.duration, segment.run, segment.is_gap)
                + ((_known(segment.init.resource, segment.init.key),) if segment.init is not None else ())
                for segment in self.segments
            ],
        )

    @property
    def seconds(self) -> Fraction:
        """Its total duration in seconds."""
        return self.segments[-1].end
