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

PATIENCE = 16
"""After so many reads twice as much is read at once: where fragments are many, the file comes as a whole in the end."""

MAX_STEP = 16 * 1024 * 1024
"""How many bytes are read at once at the most."""

Read = Callable[[int, int], Awaitable[bytes]]
"""Returns the bytes ``[first, end)`` of the file, fewer at its end."""


@attrs.frozen
class Indexed:
    """A file whose index FFmpeg reads by itself, once some bytes of it are there.

    Attributes:
        ranges: Which bytes, ``[first, end)``: the movie box, and the description of every fragment.
        hidden: Where segment indexes begin that FFmpeg must not see: trusting one, it would not look for fragments.
    """

    ranges: tuple[tuple[int, int], ...]
    hidden: tuple[int, ...] = ()


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
    at, moov, indexes, hidden = 0, None, [], []
    for _ in range(MAX_STEPS):
        if at >= size:
            break
        box = boxes.read_box(await read(at, at + STEP), at)
        end = at + box.size if box.size is not None else size
        if box.kind == b"moov":
            payload = await _whole(read, at + box.header, end)
            if not boxes.is_fragmented(payload):
                return Indexed(((at, end),))
            moov = (at, payload, end)
        elif box.kind == b"sidx":
            indexes += boxes.read_sidx(await _whole(read, at + box.header, end), end)
            hidden.append(at)
        elif box.kind == b"moof" and moov is not None:
            begin, payload, init_end = moov
            if end <= size and _stand_alone(payload, await _whole(read, at + box.header, end)):
                found = indexes if await _is_complete(indexes, at, size, read) else []
                if found := found or await _read_mfra(payload, at, size, read):
                    return Fragmented(init_end, tuple(found), keeps_places=True)
            fragments, more = await _walk(at, size, read)
            return Indexed(((begin, init_end), *fragments), (*hidden, *more))
        at = end
    raise broken("it has no movie box")


def _stand_alone(moov: bytes, moof: bytes) -> bool:
    """Tell from the first fragment whether a fragment has all that belongs to its time, and says when that is.

    It hasn't where each track has fragments of its own: then sound lies before or after its picture. And where the
    movie box describes samples itself, the first fragment isn't the beginning.
    """
    return not boxes.describes_samples(moov) and boxes.media_tracks(moov) <= boxes.timed_tracks(moof)


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


async def _walk(at: int, size: int, read: Read) -> tuple[list[tuple[int, int]], list[int]]:
    """Go from fragment to fragment; return where their descriptions are, and where segment indexes among them begin.

    What is read at once grows, as each read may cost a request, and a film may have thousands of fragments.
    """
    fragments: list[tuple[int, int]] = []
    indexes: list[int] = []
    window, first, reads = b"", at, 0

    async def have(begin: int, end: int) -> bytes:
        """Return what is in a range, fewer bytes at the file's end."""
        nonlocal window, first, reads
        if begin < first or min(end, size) > first + len(window):
            step = min(STEP << reads // PATIENCE, MAX_STEP)
            window, first, reads = await read(begin, min(size, max(end, begin + step))), begin, reads + 1
        return window[begin - first : end - first]

    for _ in range(4 * boxes.MAX_FRAGMENTS):
        header = await have(at, at + boxes.HEADER) if at < size else b""
        if len(header) < 8:
            break
        box = boxes.read_box(header, at)
        end = at + box.size if box.size is not None else size
        if box.kind == b"moof":
            if end > size:  # the file was cut off, and the rest is of use
                break
            if end - at > MAX_INDEX:
                raise broken(f"a fragment's description has {end - at} bytes")
            await have(at, end)
            fragments.append((at, end))
        elif box.kind == b"sidx":
            indexes.append(at)
        at = end
    else:
        raise broken("it has more parts than can be looked at")
    return fragments, indexes


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
