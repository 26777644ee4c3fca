"""What a render would fetch: found out with playlists and indexes alone, and counted as a render counts."""

from collections import Counter
from collections.abc import Iterator, Sequence

import attrs
import trio

from clipcut.errors import Reason, SourceError
from clipcut.events import Retry
from clipcut.plan import Edit, Method, shown_source
from clipcut.redact import redact_url
from clipcut.sources.file.index import Range, gaps, merged, parts
from clipcut.sources.file.video import FileVideo
from clipcut.sources.remote import Remote
from clipcut.sources.remote_video import WholeFile
from clipcut.sources.segments.part import Span
from clipcut.sources.segments.sample import sample_of
from clipcut.sources.segments.stage import HEAD, Item
from clipcut.sources.segments.video import SegmentedVideo
from clipcut.working import naming


@attrs.frozen(kw_only=True)
class Piece:
    """Something to fetch.

    Attributes:
        what: What it is: ``segment 3``, ``bytes``.
        source: Its address, without secrets.
        byte_range: The bytes of it, half-open; None for all of it.
        size: How many bytes that is; None if it isn't known yet.
        is_shared: Whether other clips need it too, or some of it.
    """

    what: str
    source: str
    byte_range: Range | None
    size: int | None
    is_shared: bool = False


@attrs.frozen(kw_only=True)
class ClipForecast:
    """What one clip would cost.

    Attributes:
        pieces: What it needs, in order; None if that isn't known.
        reason, message: Why its network source can't be had; None if it can, or wasn't asked.
    """

    pieces: tuple[Piece, ...] | None = None
    reason: Reason | None = None
    message: str | None = None


@attrs.frozen(kw_only=True)
class Forecast:
    """What a render would cost.

    Attributes:
        clips: By clip number, those with a network source.
        requests: How many requests it would send, those for playlists and indexes counted; None if it isn't known.
        size: How many bytes would come; None if it isn't known.
    """

    clips: dict[int, ClipForecast]
    requests: int | None
    size: int | None


@attrs.define
class _Count:
    """Counts what is fetched once however many clips need it."""

    requests: int = 0
    size: int | None = 0
    items: set[Item] = attrs.field(factory=set)
    keys: set[str] = attrs.field(factory=set)

    def add(self, size: int | None) -> None:
        self.requests += 1
        self.size = None if size is None or self.size is None else self.size + size


def _ignore(_: Retry) -> None:
    pass


async def forecast(edits: Sequence[Edit], remote: Remote) -> Forecast:
    """Find out what a render would fetch.

    Args:
        edits: The clips, in the order that a render begins them: what one has fetched another doesn't ask for.
        remote: Opened around the call; what it fetches for this is what a render would fetch too.
    """
    count = _Count()
    clips: dict[int, ClipForecast] = {}
    videos: dict[str, list[Edit]] = {}
    for edit in edits:
        if edit.ladder[0].method is Method.REMOTE:
            videos.setdefault(edit.clip.video_id, []).append(edit)
    for video_id, wanted in videos.items():
        video = remote.video(video_id, wanted[0].ladder[0])
        location = shown_source(wanted[0].ladder[0].location, Method.REMOTE) or video_id
        try:
            with naming(remote.bench.folder, location):
                opened = await video.opened(_ignore)
        except SourceError as exc:
            clips |= {edit.index: ClipForecast(reason=exc.reason, message=str(exc)) for edit in wanted}
            continue
        found = list(_foretell(opened, wanted, count))
        clips |= {edit.index: clip for edit, clip in zip(wanted, found, strict=True)}
    fetcher = remote.bench.fetcher
    await trio.lowlevel.checkpoint()
    size = None if count.size is None else count.size + fetcher.bytes_fetched
    return Forecast(clips=clips, requests=count.requests + fetcher.requests, size=size)


def _foretell(
    opened: SegmentedVideo | FileVideo | WholeFile, edits: Sequence[Edit], count: _Count
) -> Iterator[ClipForecast]:
    if isinstance(opened, SegmentedVideo):
        yield from _segments(opened, edits, count)
    elif isinstance(opened, FileVideo):
        yield from _ranges(opened, edits, count)
    else:
        if opened.size is not None and opened.head:
            for first, end in parts(opened.head, opened.size):
                count.add(end - first)
        else:
            count.add(opened.size)
        whole = Piece(
            what="the file as a whole",
            source=opened.name,
            byte_range=None,
            size=opened.size,
            is_shared=len(edits) > 1,
        )
        yield from [ClipForecast(pieces=(whole,))] * len(edits)


def _segments(video: SegmentedVideo, edits: Sequence[Edit], count: _Count) -> Iterator[ClipForecast]:
    """Yield what each clip of a video in segments would cost."""
    wanted = [[item for part in video.split(edit) for item in _items(part.picture, part.sound)] for edit in edits]
    users = Counter(item for items in wanted for item in set(items))
    for track in (video.tracks.video, video.tracks.audio):
        if track is not None and (sample := sample_of(track)) is not None:
            _count_item(sample, count)
    for edit, items in zip(edits, wanted, strict=True):
        heads = [head for part in video.split(edit) if (head := _head(video, part.picture)) is not None]
        for item in [*heads, *items]:
            if not video.stage.is_known(item):
                _count_item(item, count)
        yield ClipForecast(
            pieces=tuple(
                Piece(
                    what=item.what,
                    source=redact_url(item.resource.url),
                    byte_range=item.resource.byte_range,
                    size=_size(item),
                    is_shared=users[item] > 1,
                )
                for item in items
            )
        )


def _items(picture: Span, sound: Span | None) -> Iterator[Item]:
    for span in (picture, sound):
        if span is not None:
            yield from span.track.items(span.chosen)


def _head(video: SegmentedVideo, picture: Span) -> Item | None:
    """Return the begin of the segment that tells where a run's time begins; None if it is fetched whole anyway."""
    item = picture.track.item(picture.track.first(picture.segments[0].run))
    return None if video.stage.is_expected(item) else item.head()


def _count_item(item: Item, count: _Count) -> None:
    if item in count.items:
        return
    count.items.add(item)
    count.add(_size(item))
    if item.key is not None and item.key.url not in count.keys:
        count.keys.add(item.key.url)
        count.add(16)


def _size(item: Item) -> int | None:
    """Return how many bytes an item has; a head of a segment of unknown length is taken to be whole."""
    if item.resource.byte_range is None:
        return HEAD if item.is_head else None
    return item.resource.byte_range[1] - item.resource.byte_range[0]


def _ranges(video: FileVideo, edits: Sequence[Edit], count: _Count) -> Iterator[ClipForecast]:
    """Yield what each clip of a file would cost."""
    wanted = [video.ranges(edit) for edit in edits]
    shared = _covered_twice([span for ranges in wanted for span in ranges])
    there: list[Range] = []
    for ranges in wanted:
        for first, end in (part for gap in gaps(video.file.missing(ranges), there) for part in parts(*gap)):
            count.add(end - first)
        there += ranges
        yield ClipForecast(
            pieces=tuple(
                Piece(
                    what="bytes",
                    source=video.info.name,
                    byte_range=span,
                    size=span[1] - span[0],
                    is_shared=[span] != gaps([span], shared),
                )
                for span in ranges
            )
        )


def _covered_twice(ranges: Sequence[Range]) -> list[Range]:
    """Return the bytes that more than one range has."""
    found: list[Range] = []
    reach = 0
    for first, end in sorted(ranges):
        if first < reach:
            found.append((first, min(reach, end)))
        reach = max(reach, end)
    return merged(found)
