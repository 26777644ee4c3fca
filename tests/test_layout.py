"""How files are laid out: in every form that FFmpeg makes, found with few reads; and hostile ones."""

import contextlib
import itertools
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import attrs
import av
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from media import make_source

from clipcut.errors import SourceError
from clipcut.sources.file import boxes, matroska
from clipcut.sources.file.index import Spans
from clipcut.sources.file.layout import CHUNK, MAX_INDEX, Fragmented, Indexed, Layout, Unknown, find_layout

FRAME = Fraction(1, 30)
COPY = ("-c", "copy")
FRAGMENTS = (*COPY, "-movflags", "frag_keyframe+empty_moov")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "30", "-c:a", "libopus")


def box(kind: bytes, *payload: bytes) -> bytes:
    """Make a box."""
    data = b"".join(payload)
    return struct.pack(">I4s", 8 + len(data), kind) + data


@attrs.define
class Remote:
    """A file that is read as one behind HTTP is: what has come stays, the rest costs a request."""

    data: bytes
    head: int = CHUNK
    requests: int = 0
    fetched: int = 0
    calls: int = 0
    _there: Spans = attrs.field(init=False, factory=Spans)

    async def read(self, first: int, end: int) -> bytes:
        """Read some of it."""
        await trio.lowlevel.checkpoint()
        assert 0 <= first <= end
        self.calls += 1
        end = min(end, len(self.data))
        for begin, stop in self._there.missing(first, end) if first < end else []:
            self.requests += 1
            self.fetched += stop - begin
            self._there.add(begin, stop)
        return self.data[first:end]

    async def layout(self) -> Layout:
        """Find out how it is laid out."""
        self._there.add(0, self.head)
        return await find_layout(self.data[: self.head], len(self.data), self.read)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Path:
    """A small source of 3 s at 30/s with B-frames and a keyframe each second."""
    args = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-x264-params", "bframes=3:scenecut=0")
    path = tmp_path_factory.mktemp("layout") / "source.mp4"
    return make_source(path, ffmpeg=packaged, source_id=1, seconds=3, width=160, height=90, gop=30, video_args=args)


def convert(source: Path, folder: Path, ffmpeg: str, form: str, *args: str) -> Path:
    """Put a source into another form."""
    path = folder / f"video.{form}"
    subprocess.run([ffmpeg, "-v", "error", "-y", "-i", str(source), *args, str(path)], check=True)
    return path


def key_times(path: Path) -> list[Fraction]:
    """Return when each keyframe is shown, counted from the first."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.video[0])
        times = [packet.pts * packet.time_base for packet in packets if packet.is_keyframe and packet.pts is not None]
    return [time - times[0] for time in times]


def assert_fragments(layout: Layout, size: int, path: Path) -> Fragmented:
    """See that the fragments tile the file, and begin with the keyframes."""
    assert isinstance(layout, Fragmented)
    found = layout.fragments
    assert 0 < layout.init_end <= found[0].first
    assert found[-1].first < found[-1].end <= size
    for before, after in itertools.pairwise(found):
        assert before.first < before.end == after.first
        assert before.begin + before.seconds == after.begin
    times = key_times(path)
    assert len(times) == len(found)
    zero = found[0].begin
    assert all(abs(each.begin - zero - time) <= 2 * FRAME for each, time in zip(found, times, strict=True))
    return layout


def top_boxes(data: bytes) -> list[tuple[bytes, int, int]]:
    """Return the boxes of a file: kind, begin and end."""
    return [(box.kind, box.begin, box.begin + (box.size or len(data))) for box, _ in boxes.children(data)]


@pytest.mark.media
@pytest.mark.parametrize(
    ("form", "args"),
    [
        pytest.param("mp4", COPY, id="moov at the end"),
        pytest.param("mp4", (*COPY, "-movflags", "+faststart"), id="moov at the begin"),
        pytest.param("mov", ("-c:v", "copy", "-c:a", "pcm_s16le"), id="MOV"),
    ],
)
async def test_find_layout_when_it_has_an_index(
    numbered: Path, tmp_path: Path, packaged: str, form: str, args: tuple[str, ...]
) -> None:
    """The movie box is found wherever it is, by three requests at most, and little else is fetched."""
    data = convert(numbered, tmp_path, packaged, form, *args).read_bytes()
    remote = Remote(data, head=16 * 1024)

    layout = await remote.layout()

    [(_, first, end)] = [each for each in top_boxes(data) if each[0] == b"moov"]
    assert Indexed(((first, end),)) == layout
    assert remote.requests <= 3
    assert remote.fetched <= 3 * 8 * 1024 + end - first


@pytest.mark.media
@pytest.mark.parametrize(
    "flags",
    [
        pytest.param("frag_keyframe+empty_moov", id="with their list"),
        pytest.param("dash+frag_keyframe+empty_moov+global_sidx", id="with their index"),
    ],
)
@pytest.mark.parametrize("sound", [pytest.param((), id="sound"), pytest.param(("-an",), id="silent")])
async def test_find_layout_when_in_fragments(
    numbered: Path, tmp_path: Path, packaged: str, flags: str, sound: tuple[str, ...]
) -> None:
    """They are found, each beginning with a keyframe."""
    path = convert(numbered, tmp_path, packaged, "mp4", *COPY, *sound, "-movflags", flags)
    data = path.read_bytes()

    layout = assert_fragments(await Remote(data).layout(), len(data), path)

    kinds = top_boxes(data)
    assert next(end for kind, _, end in kinds if kind == b"moov") == layout.init_end
    assert layout.keeps_places
    assert layout.fragments[-1].end in (len(data), *(begin for kind, begin, _ in kinds if kind == b"mfra"))


def assert_described(layout: Layout, data: bytes, *, moofs: int | None = None) -> None:
    """See that FFmpeg finds every fragment: the movie box, each description, and no segment index."""
    found = top_boxes(data)
    [moov] = [(begin, end) for kind, begin, end in found if kind == b"moov"]
    fragments = [(begin, end) for kind, begin, end in found if kind == b"moof"][:moofs]
    last = fragments[-1][1]
    assert Indexed((moov, *fragments), tuple(at for kind, at, _ in found if kind == b"sidx" and at < last)) == layout


@pytest.mark.media
@pytest.mark.parametrize(
    "flags",
    [
        pytest.param("dash+frag_keyframe+empty_moov+skip_trailer", id="each with its own index"),
        pytest.param("frag_keyframe+empty_moov+skip_trailer", id="with neither list nor index"),
        pytest.param("frag_keyframe", id="samples in the movie box"),
        pytest.param("frag_keyframe+empty_moov+separate_moof", id="each track has its own"),
    ],
)
async def test_find_layout_when_fragments_must_be_looked_for(
    numbered: Path, tmp_path: Path, packaged: str, flags: str
) -> None:
    """Each fragment's description is had, and FFmpeg finds by itself what is in it."""
    data = convert(numbered, tmp_path, packaged, "mp4", *COPY, "-movflags", flags).read_bytes()

    assert_described(await Remote(data).layout(), data)


@pytest.mark.media
async def test_find_layout_when_no_moment_is_stated(numbered: Path, tmp_path: Path, packaged: str) -> None:
    """Fragments that only follow each other, as those of Smooth Streaming, are looked for from the first on."""
    data = convert(numbered, tmp_path, packaged, "ismv", *COPY).read_bytes()

    assert_described(await Remote(data).layout(), data)


@pytest.mark.media
async def test_find_layout_when_the_list_was_cut_off(numbered: Path, tmp_path: Path, packaged: str) -> None:
    """The fragments are walked."""
    data = convert(numbered, tmp_path, packaged, "mp4", *FRAGMENTS).read_bytes()
    data = data[: next(begin for kind, begin, _ in top_boxes(data) if kind == b"mfra")]

    assert_described(await Remote(data).layout(), data)


@pytest.mark.media
@pytest.mark.parametrize("by", [100, 3000])
async def test_find_layout_when_the_last_fragment_was_cut_off(
    numbered: Path, tmp_path: Path, packaged: str, by: int
) -> None:
    """Those before are of use."""
    data = convert(numbered, tmp_path, packaged, "mp4", *FRAGMENTS, "-an").read_bytes()
    last = [(begin, end) for kind, begin, end in top_boxes(data) if kind == b"moof"][-1]
    cut = data[: last[0] + by]

    assert_described(await Remote(cut).layout(), data, moofs=None if last[1] <= len(cut) else -1)


async def test_find_layout_when_fragments_are_many() -> None:
    """An hour in fragments of a second, with no list of them: the reads grow, so that requests stay few."""
    moof, rest = _moof(0), box(b"mdat", bytes(30_000))
    data = FTYP + MOOV + (moof + rest) * 3600
    remote = Remote(data)

    layout = await remote.layout()

    assert isinstance(layout, Indexed)
    assert 3601 == len(layout.ranges)
    assert remote.requests < 200


@pytest.mark.media
@pytest.mark.parametrize("length", [17, 5000, 0xFFFFFFFF])
async def test_find_layout_when_the_list_is_absurd(numbered: Path, tmp_path: Path, packaged: str, length: int) -> None:
    """It isn't believed, and the fragments are walked."""
    path = convert(numbered, tmp_path, packaged, "mp4", *FRAGMENTS)
    data = path.read_bytes()[:-4] + struct.pack(">I", length)

    assert_described(await Remote(data).layout(), data)


@pytest.mark.media
@pytest.mark.parametrize("place", [0, 1 << 31])
async def test_find_layout_when_the_list_points_elsewhere(
    numbered: Path, tmp_path: Path, packaged: str, place: int
) -> None:
    """It isn't believed either."""
    path = convert(numbered, tmp_path, packaged, "mp4", *FRAGMENTS, "-an")
    data = path.read_bytes()
    begin, end = next((begin, end) for kind, begin, end in top_boxes(data) if kind == b"mfra")
    last = [begin for kind, begin, _ in top_boxes(data) if kind == b"moof"][-1]
    listed = data[begin:end]
    assert struct.pack(">Q", last) in listed
    odd = data[:begin] + listed.replace(struct.pack(">Q", last), struct.pack(">Q", place))

    assert_described(await Remote(odd).layout(), odd)


@pytest.mark.media
@pytest.mark.parametrize("form", ["mkv", "webm"])
@pytest.mark.parametrize("cues", [pytest.param((), id="at the end"), pytest.param(("-cues_to_front", "1"), id="front")])
async def test_find_layout_when_matroska_has_cues(
    numbered: Path, tmp_path: Path, packaged: str, form: str, cues: tuple[str, ...]
) -> None:
    """Each cluster that begins with a keyframe is one of its pieces."""
    codecs = COPY if form == "mkv" else VP9
    path = convert(numbered, tmp_path, packaged, form, *codecs, "-cluster_time_limit", "1000", *cues)
    data = path.read_bytes()
    remote = Remote(data, head=16 * 1024)

    layout = assert_fragments(await remote.layout(), len(data), path)

    assert (False, len(data)) == (layout.keeps_places, layout.fragments[-1].end)
    kinds = {matroska.read_element(data, each.first, each.first).kind for each in layout.fragments}
    assert {matroska.CLUSTER} == kinds
    assert remote.requests <= 3


@pytest.mark.media
async def test_find_layout_when_matroska_was_cut_off(numbered: Path, tmp_path: Path, packaged: str) -> None:
    """Without all of its cues, nothing is known of it."""
    data = convert(numbered, tmp_path, packaged, "mkv", *COPY).read_bytes()
    cues = data.rindex(matroska.CUES.to_bytes(4))

    for end in (cues - 1000, cues, cues + 10):
        assert Unknown() == await Remote(data[:end]).layout()


@pytest.mark.media
@pytest.mark.parametrize("form", ["ts", "avi", "flv"])
async def test_find_layout_when_in_another_form(numbered: Path, tmp_path: Path, packaged: str, form: str) -> None:
    """Nothing is known of it, and nothing more is read."""
    args = ("-c:v", "copy", "-c:a", "mp3", "-ar", "44100") if form != "ts" else COPY
    remote = Remote(convert(numbered, tmp_path, packaged, form, *args).read_bytes())

    assert (Unknown(), 0) == (await remote.layout(), remote.calls)


FTYP = struct.pack(">I4s8s", 16, b"ftyp", b"isom")


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"", id="no moov"),
        pytest.param(struct.pack(">I4s", 0, b"mdat") + bytes(100), id="mdat to the end"),
        pytest.param(struct.pack(">I4s", 1000, b"mdat") + bytes(100), id="mdat past the end"),
        pytest.param(struct.pack(">I4sQ", 1, b"mdat", (1 << 64) - 8), id="mdat round the end"),
        pytest.param(struct.pack(">I4s", 7, b"free"), id="box that points back"),
        pytest.param(struct.pack(">I4s", MAX_INDEX + 9, b"moov"), id="moov too large"),
        pytest.param(struct.pack(">I4sQ", 1, b"moov", 1 << 63), id="moov of exabytes"),
        pytest.param(struct.pack(">I4s", 5000, b"moov") + bytes(100), id="moov cut off"),
        pytest.param(struct.pack(">I4s", 16, b"moov") + bytes(8), id="moov of garbage"),
        pytest.param(struct.pack(">I4s", 16, b"moof") + bytes(8), id="moof without moov"),
        pytest.param(bytes(100), id="zeros"),
    ],
)
async def test_find_layout_when_broken(rest: bytes) -> None:
    """It is a failure of the source, and hardly anything is read."""
    remote = Remote(FTYP + rest)

    with pytest.raises(SourceError):
        await remote.layout()

    assert remote.calls <= 4


async def test_find_layout_when_moov_is_too_large_and_there() -> None:
    """It isn't even read."""
    reads: list[tuple[int, int]] = []
    head = FTYP + struct.pack(">I4s", MAX_INDEX + 9, b"moov")

    async def read(first: int, end: int) -> bytes:
        await trio.lowlevel.checkpoint()
        reads.append((first, end))
        return head[first:end]

    with pytest.raises(SourceError, match="bytes"):
        await find_layout(head, 1 << 40, read)

    assert max(end - first for first, end in reads) <= 64 * 1024


@pytest.mark.parametrize("is_fragmented", [False, True])
async def test_find_layout_when_boxes_never_end(is_fragmented: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of nothing but tiny boxes is given up after a number of reads."""
    monkeypatch.setattr(boxes, "MAX_FRAGMENTS", 10_000)
    tiny = struct.pack(">I4s", 8, b"free")
    calls = 0

    async def read(first: int, end: int) -> bytes:
        nonlocal calls
        calls += 1
        await trio.lowlevel.checkpoint()
        if is_fragmented:
            return (MOOV + tiny * 64)[first:end] if first < len(MOOV) else struct.pack(">I4s", 8, b"moof") + tiny
        return tiny * 64

    with trio.fail_after(8), pytest.raises(SourceError):
        await find_layout(tiny, 1 << 40, read)

    assert calls < 50_000


async def test_find_layout_when_elements_never_end() -> None:
    """So is one of nothing but empty elements."""
    head = b"\x1aE\xdf\xa3\x80" + b"\x18S\x80g\xff"
    calls = 0

    async def read(first: int, end: int) -> bytes:
        nonlocal calls
        calls += 1
        await trio.lowlevel.checkpoint()
        return b"\xec\x80" * 8

    with trio.fail_after(8):
        assert Unknown() == await find_layout(head, 1 << 40, read)

    assert calls < 50_000


def _trak() -> bytes:
    tkhd = struct.pack(">I4s", 92, b"tkhd") + bytes(12) + struct.pack(">I", 1) + bytes(68)
    mdhd = struct.pack(">I4s", 32, b"mdhd") + bytes(12) + struct.pack(">I", 1000) + bytes(8)
    hdlr = struct.pack(">I4s", 32, b"hdlr") + bytes(8) + b"vide" + bytes(12)
    return struct.pack(">I4s", 164 + 0, b"trak") + tkhd + struct.pack(">I4s", 72, b"mdia") + mdhd + hdlr


def _moov() -> bytes:
    payload = _trak().replace(struct.pack(">I4s", 164, b"trak"), struct.pack(">I4s", 172, b"trak"))
    payload += struct.pack(">I4s", 8, b"mvex")
    return struct.pack(">I4s", 8 + len(payload), b"moov") + payload


MOOV = _moov()


def _moof(moment: int) -> bytes:
    tfhd = struct.pack(">I4sII", 16, b"tfhd", 0, 1)
    tfdt = struct.pack(">I4sII", 16, b"tfdt", 0, moment)
    traf = struct.pack(">I4s", 40, b"traf") + tfhd + tfdt
    return struct.pack(">I4s", 48, b"moof") + traf + struct.pack(">I4s", 52, b"mdat") + bytes(44)


def _sidx(offset: int, *sizes: int) -> bytes:
    rows = b"".join(struct.pack(">III", size, 1000, 0) for size in sizes)
    head = struct.pack(">IIIIIHH", 0, 1, 1000, 0, offset, 0, len(sizes))
    return struct.pack(">I4s", 8 + len(head) + len(rows), b"sidx") + head + rows


@pytest.mark.parametrize(
    "index",
    [
        pytest.param(_sidx(0, 100, 100, 100), id="good"),
        pytest.param(_sidx(0, 100) + _sidx(100, 100), id="first two"),
        pytest.param(_sidx(0, 100, 100), id="ends too soon"),
        pytest.param(_sidx(0, 100, 100, 200), id="ends too late"),
        pytest.param(_sidx(100, 100, 100), id="begins too late"),
        pytest.param(_sidx(0, 100, 0, 200), id="empty fragment"),
        pytest.param(_sidx(0, 100, 100, 100, 0), id="empty at the end"),
        pytest.param(_sidx(0, 100, 100, 100) * 2, id="twice"),
        pytest.param(_sidx(10, 100, 100, 90), id="shifted"),
    ],
)
async def test_find_layout_when_the_segment_index_may_be_wrong(index: bytes) -> None:
    """What it says holds if it tells of all fragments one by one; else they are walked."""
    data = FTYP + MOOV + index + _moof(0) + _moof(1000) + _moof(2000)
    begin = len(FTYP + MOOV + index)

    layout = await Remote(data).layout()

    if not isinstance(layout, Fragmented):
        assert_described(layout, data)
        return
    assert [begin, begin + 100, begin + 200] == [each.first for each in layout.fragments]
    assert [begin + 100, begin + 200, begin + 300] == [each.end for each in layout.fragments]
    assert [0, 1, 2] == [each.begin for each in layout.fragments]


async def test_find_layout_when_the_segment_index_is_right() -> None:
    """It is believed, and no fragment but the first is looked at."""
    data = FTYP + MOOV + _sidx(0, 100, 100, 100) + _moof(0) + _moof(1000) + _moof(2000)

    assert isinstance(await Remote(data).layout(), Fragmented)


GOOD = FTYP + MOOV + _sidx(0, 100, 100) + _moof(0) + _moof(1000)


@pytest.mark.media
@pytest.mark.parametrize("form", ["moov", "fragments", "mkv"])
def test_find_layout_when_bytes_were_changed(numbered: Path, tmp_path: Path, packaged: str, form: str) -> None:
    """Nothing but a failure of the source is raised."""
    args = {"moov": (*COPY, "-movflags", "+faststart"), "fragments": FRAGMENTS, "mkv": (*COPY, "-cues_to_front", "1")}
    good = convert(numbered, tmp_path, packaged, "mkv" if form == "mkv" else "mp4", *args[form]).read_bytes()

    @given(st.dictionaries(st.integers(0, 4095), st.integers(0, 255), min_size=1, max_size=5))
    def check(changes: dict[int, int]) -> None:
        trio.run(look, bytearray(good), changes)

    check()


@given(st.dictionaries(st.integers(0, len(GOOD) - 1), st.integers(0, 255), min_size=1, max_size=5))
def test_find_layout_when_bytes_of_a_tiny_file_were_changed(changes: dict[int, int]) -> None:
    """Nothing but a failure of the source is raised."""
    trio.run(look, bytearray(GOOD), changes)


async def look(data: bytearray, changes: dict[int, int]) -> None:
    """Look at a changed file."""
    for at, value in changes.items():
        data[at % len(data)] = value
    with contextlib.suppress(SourceError):
        await Remote(bytes(data)).layout()
