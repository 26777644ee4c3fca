"""Where things are in a file behind HTTP: found with a few reads, before anything of it is fetched."""

from collections.abc import Awaitable, Callable, Sequence
from fractions import Fraction
from itertools import pairwise

import attrs

from clipcut.sources.file import boxes, matroska
from clipcut.sources.file.boxes import Fragment, broken

MAX_INDEX = 256 * 1024 * 1024
CHUNK = 64 * 1024
"""How many bytes of a file tell what it is."""

MAX_STEPS = 10_000
"""So many boxes or elements are looked at before it is given up: each may cost a request."""

STEP = 8 * 1024
"""How many bytes are read at once to see what comes next: the description of a fragment is hardly longer."""

Read = Callable[[int, int], Awaitable[bytes]]
"""Returns the bytes ``[first, end)`` of the file, fewer at its end."""


@attrs.frozen
class Indexed:
    """A file whose index FFmpeg reads by itself, once the bytes ``[first, end)`` are there."""

    first: int
    end: int


@attrs.frozen
class Fragmented:
    """A file made of fragments that can be decoded after what comes before them: bytes ``[0, init_end)``.

    ``keeps_places`` tells whether fragments may count places from the begin of the file, as those of MP4 may.
    """

    init_end: int
    fragments: tuple[Fragment, ...]
    keeps_places: bool


@attrs.frozen
class Unknown:
    """A file of which nothing is known: it is needed from its begin to its end."""


Layout = Indexed | Fragmented | Unknown


async def find_layout(head: bytes, size: int, read: Read) -> Layout:
    """Find out how a file is laid out.

    Args:
        head: Its first bytes.
        size: Its length in bytes.
        read: Reads more of it.

    Raises:
        SourceError: It is broken, or can't be read.
    """
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"pnot"):
        return await _find_in_mp4(size, read)
    if head.startswith(matroska.EBML.to_bytes(4)):
        return await _find_in_matroska(head, size, read)
    return Unknown()


async def _find_in_mp4(size: int, read: Read) -> Layout:
    """Go from box to box until the movie box is found, and its fragments where it has some."""
    at, moov, indexes = 0, None, []
    for _ in range(MAX_STEPS):
        if at >= size:
            break
        box = boxes.read_box(await read(at, at + STEP), at)
        end = at + box.size if box.size is not None else size
        if box.kind in (b"moov", b"sidx"):
            payload = await _whole(read, at + box.header, end)
            if box.kind == b"moov":
                if not boxes.is_fragmented(payload):
                    return Indexed(at, end)
                moov = (payload, end)
            else:
                indexes += boxes.read_sidx(payload, end)
        if box.kind == b"moof" and moov is not None:
            found = indexes if await _is_complete(indexes, at, size, read) else []
            found = found or await _read_mfra(moov[0], at, size, read)
            return Fragmented(
                moov[1], tuple(found or await _walk_fragments(moov[0], at, size, read)), keeps_places=True
            )
        at = end
    raise broken("it has no movie box")


async def _is_complete(found: Sequence[Fragment], first: int, size: int, read: Read) -> bool:
    """Tell whether segment indexes describe every fragment, one after the other, to the end of the file."""
    tiles = all(before.end == after.first for before, after in pairwise(found))
    tiles = tiles and all(each.first < each.end for each in found)
    if not (found and tiles and found[0].first <= first and found[-1].end <= size):
        return False
    if found[-1].end == size:
        return True
    after = await read(found[-1].end, found[-1].end + boxes.HEADER)
    return after[4:8] == b"mfra"  # else there are more fragments, each with an index of its own


async def _whole(read: Read, first: int, end: int) -> bytes:
    if end - first > MAX_INDEX:
        raise broken(f"its index has {end - first} bytes")
    data = await read(first, end)
    if len(data) < end - first:
        raise broken("its index is cut off")
    return data


async def _read_mfra(moov: bytes, first: int, size: int, read: Read) -> list[Fragment]:
    """Read the list of fragments that may stand at the end of a file; return none if there is none to be believed."""
    length = boxes.mfra_size(await read(size - boxes.HEADER, size))
    if not 16 < length <= min(size, MAX_INDEX):
        return []
    data = await read(size - length, size)
    track, ticks = boxes.video_track(moov)
    begins = boxes.read_mfra(data, track, ticks)
    places = [place for place, _ in begins]
    is_good = bool(places) and first <= places[0] and places[-1] < size - length and _runs_on(begins)
    return _tile(begins, size - length) if is_good else []


async def _walk_fragments(moov: bytes, at: int, size: int, read: Read) -> list[Fragment]:
    """Go from fragment to fragment and read when each begins; for files that have no index of them."""
    track, ticks = boxes.video_track(moov)
    found: list[tuple[int, Fraction]] = []
    end = at
    for _ in range(2 * boxes.MAX_FRAGMENTS):
        if at >= size:
            break
        header = await read(at, at + STEP)
        if len(header) < 8:
            break
        box = boxes.read_box(header, at)
        end = at + box.size if box.size is not None else size
        if box.kind == b"moof":
            if end > size:  # the file was cut off, and the rest is of use
                end = at
                break
            moment = boxes.fragment_begin(await _whole(read, at + box.header, end), track, ticks)
            if moment is not None:
                found.append((at, moment))
        elif box.kind == b"mfra":
            end = at
            break
        at = end
    return _tile(found, min(end, size))


def _runs_on(begins: Sequence[tuple[int, Fraction]]) -> bool:
    """Tell whether time never runs back from one piece to the next."""
    return all(before <= after for (_, before), (_, after) in pairwise(begins))


def _tile(begins: Sequence[tuple[int, Fraction]], end: int) -> list[Fragment]:
    """Turn the begins of pieces into pieces that follow each other; how long the last one lasts isn't known: 1 s."""
    if not begins:
        raise broken("it has no picture")
    if not _runs_on(begins):
        raise broken("its time runs back")
    zero = begins[0][1]
    moments = [moment - zero for _, moment in begins] + [begins[-1][1] - zero + 1]
    places = [place for place, _ in begins] + [end]
    return [
        Fragment(first, last, moment, after - moment)
        for (first, last), (moment, after) in zip(pairwise(places), pairwise(moments), strict=True)
    ]


async def _find_in_matroska(head: bytes, size: int, read: Read) -> Layout:
    """Read what comes before the first cluster, and the cues, wherever they are."""
    segment = matroska.read_element(head, 0)
    segment = matroska.read_element(head, segment.end or 0, segment.end or 0)
    if segment.kind != matroska.SEGMENT:
        return Unknown()
    base = segment.begin + segment.header
    parts, cluster = await _before_clusters(base, size, read)
    cues = parts.get(matroska.CUES)
    if cues is None:
        at = matroska.seek_position(parts.get(matroska.SEEK_HEAD, b""), matroska.CUES)
        is_inside = at is not None and base + at + matroska.HEADER <= size
        cues = await _element(base + at, size, read, matroska.CUES) if at is not None and is_inside else None
    track = matroska.video_track(parts.get(matroska.TRACKS, b""))
    if cues is None or cluster is None or track is None:
        return Unknown()
    tick = matroska.tick_seconds(parts.get(matroska.INFO, b""))
    begins = [(base + place, moment) for place, moment in matroska.read_cues(cues, track, tick)]
    if not begins or begins[0][0] < cluster:
        return Unknown()
    if begins[0][0] > cluster:  # sound may begin in a cluster of its own
        begins[0] = (cluster, begins[0][1])
    return Fragmented(cluster, tuple(_tile(begins, size)), keeps_places=False)


async def _before_clusters(base: int, size: int, read: Read) -> tuple[dict[int, bytes], int | None]:
    """Return the payloads of what comes before the first cluster, and where that is."""
    parts: dict[int, bytes] = {}
    at = base
    for _ in range(MAX_STEPS):
        if at >= size:
            break
        element = matroska.read_element(await read(at, at + STEP), at)
        if element.kind == matroska.CLUSTER:
            return parts, at
        if element.end is None:
            break
        if element.kind in (matroska.SEEK_HEAD, matroska.INFO, matroska.TRACKS, matroska.CUES):
            parts[element.kind] = await _whole(read, at + element.header, element.end)
        at = element.end
    return parts, None


async def _element(at: int, size: int, read: Read, kind: int) -> bytes | None:
    element = matroska.read_element(await read(at, at + STEP), at)
    if element.kind != kind or element.end is None or element.end > size:
        return None
    return await _whole(read, at + element.header, element.end)
