"""What an MP4 file's boxes say: good ones of each version, cut off, absurd; and any bytes at all."""

import contextlib
import itertools
import struct
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipcut.errors import Reason, SourceError
from clipcut.sources.file import boxes
from clipcut.sources.file.boxes import Box, Fragment

SECOND = 1000
"""Ticks a second of the tracks that are made here."""


def box(kind: bytes, *parts: bytes) -> bytes:
    """Make a box."""
    payload = b"".join(parts)
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def wide_box(kind: bytes, payload: bytes) -> bytes:
    """Make a box with a size of 64 bits."""
    return struct.pack(">I4sQ", 1, kind, 16 + len(payload)) + payload


def trak(number: int, handler: bytes = b"vide", version: int = 0, ticks: int = SECOND) -> bytes:
    """Make a track's description."""
    stamps = bytes(16 if version else 8)
    header = bytes([version, 0, 0, 0]) + stamps
    tkhd = box(b"tkhd", header, struct.pack(">II", number, 0), bytes(64))
    mdhd = box(b"mdhd", header, struct.pack(">I", ticks), bytes(12))
    return box(b"trak", tkhd, box(b"mdia", mdhd, box(b"hdlr", bytes(8), handler, bytes(12))))


def sidx(*entries: tuple[int, int], version: int = 0, ticks: int = SECOND, begin: int = 0, offset: int = 0) -> bytes:
    """Make a segment index's payload, with the size and the ticks of each of its fragments."""
    head = bytes([version, 0, 0, 0]) + struct.pack(">II", 1, ticks)
    head += struct.pack(">QQ" if version else ">II", begin, offset) + struct.pack(">HH", 0, len(entries))
    return head + b"".join(struct.pack(">III", size, duration, 0x90000000) for size, duration in entries)


def tfra(track: int, *entries: tuple[int, int], version: int = 0, lengths: int = 0) -> bytes:
    """Make a track's list of fragments: the ticks and the place of each."""
    form = ">QQ" if version else ">II"
    numbers = bytes(sum((lengths >> shift & 3) + 1 for shift in (4, 2, 0)))
    rows = b"".join(struct.pack(form, *entry) + numbers for entry in entries)
    return box(b"tfra", bytes([version, 0, 0, 0]), struct.pack(">III", track, lengths, len(entries)), rows)


def traf(track: int, begin: int, version: int = 0) -> bytes:
    """Make what a movie fragment says of a track."""
    moment = struct.pack(">Q" if version else ">I", begin)
    return box(
        b"traf",
        box(b"tfhd", bytes(4), struct.pack(">I", track)),
        box(b"tfdt", bytes([version, 0, 0, 0]), moment),
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(box(b"moov", bytes(12)), Box(b"moov", 7, 8, 20), id="32 bits"),
        pytest.param(wide_box(b"mdat", bytes(4)), Box(b"mdat", 7, 16, 20), id="64 bits"),
        pytest.param(struct.pack(">I4sQ", 1, b"mdat", 1 << 63), Box(b"mdat", 7, 16, 1 << 63), id="exabytes"),
        pytest.param(struct.pack(">I4s", 0, b"mdat"), Box(b"mdat", 7, 8, None), id="to the end"),
        pytest.param(struct.pack(">I4s", 8, b"\xa9nam"), Box(b"\xa9nam", 7, 8, 8), id="copyright sign"),
    ],
)
def test_read_box_when_it_is_one(data: bytes, expected: Box) -> None:
    """Its kind, place and sizes are read."""
    assert expected == boxes.read_box(data, 7)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(box(b"moov")[:7], id="too short"),
        pytest.param(struct.pack(">I4sI", 1, b"mdat", 0), id="64 bits cut off"),
        pytest.param(struct.pack(">I4s", 7, b"moov"), id="smaller than its header"),
        pytest.param(struct.pack(">I4sQ", 1, b"mdat", 15), id="smaller than its long header"),
        pytest.param(struct.pack(">I4s", 8, b"mo\0v"), id="no kind"),
    ],
)
def test_read_box_when_it_is_none(data: bytes) -> None:
    """It is said to be broken."""
    with pytest.raises(SourceError) as caught:
        boxes.read_box(data, 7)

    assert Reason.UNDECODABLE == caught.value.reason


def test_children_when_the_last_one_reaches_to_the_end() -> None:
    """Each comes with its payload and its place in the file."""
    data = box(b"free", b"abc") + wide_box(b"mdat", b"def") + struct.pack(">I4s", 0, b"skip") + b"ghi"

    found = [(each.kind, each.begin, payload) for each, payload in boxes.children(data, 100)]

    assert [(b"free", 100, b"abc"), (b"mdat", 111, b"def"), (b"skip", 130, b"ghi")] == found


def test_children_when_one_is_cut_off() -> None:
    """It comes with what there is of it."""
    assert [b"abc"] == [payload for _, payload in boxes.children(box(b"free", b"abcdef")[:11])]


def test_find_when_there_are_several() -> None:
    """All at the path are found, in order, and none elsewhere."""
    data = box(b"trak", box(b"mdia", b"a"), box(b"mdia", b"b")) + box(b"mdia", b"c") + box(b"trak", box(b"mdia", b"d"))

    assert [b"a", b"b", b"d"] == list(boxes.find(data.replace(b"mdia", b"tkhd"), b"trak", b"tkhd"))


@pytest.mark.parametrize(("kind", "expected"), [(b"mvex", True), (b"udta", False)])
def test_is_fragmented_when_samples_are_elsewhere(kind: bytes, expected: bool) -> None:
    """The movie box says so."""
    assert expected is boxes.is_fragmented(trak(1) + box(kind))


@pytest.mark.parametrize("version", [0, 1])
def test_video_track_when_sound_comes_first(version: int) -> None:
    """The first one with a picture is chosen; both versions of the headers are read."""
    moov = trak(1, b"soun", version, 48000) + trak(2, b"vide", version, 15360) + trak(3, b"vide", version, 1)

    assert (2, 15360) == boxes.video_track(moov)


@pytest.mark.parametrize(
    "moov",
    [
        pytest.param(b"", id="no track"),
        pytest.param(trak(1, b"soun"), id="sound alone"),
        pytest.param(trak(1, ticks=0), id="no ticks"),
        pytest.param(box(b"trak", box(b"mdia", box(b"hdlr", bytes(8), b"vide"))), id="no headers"),
    ],
)
def test_video_track_when_there_is_none(moov: bytes) -> None:
    """That is what is said."""
    with pytest.raises(SourceError) as caught:
        boxes.video_track(moov)

    assert Reason.NO_VIDEO == caught.value.reason


@pytest.mark.parametrize("version", [0, 1])
def test_read_sidx_when_it_is_good(version: int) -> None:
    """The fragments follow each other from where the index ends on."""
    payload = sidx((300, 2000), (500, 1500), version=version, begin=1000, offset=10)

    found = boxes.read_sidx(payload, 700)

    assert [Fragment(710, 1010, Fraction(1), Fraction(2)), Fragment(1010, 1510, Fraction(3), Fraction(3, 2))] == found


def test_read_sidx_when_it_is_wide() -> None:
    """Places past 4 GB are read."""
    assert (1 << 40) + 1 == boxes.read_sidx(sidx((1, 1), version=1, offset=1 << 40), 1)[0].first


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(sidx((300, 2000), ticks=0), id="zero ticks"),
        pytest.param(sidx((300, 2000), (1 << 31 | 300, 2000)), id="index of indexes"),
        pytest.param(sidx(), id="no entry"),
    ],
)
def test_read_sidx_when_it_is_of_no_use(payload: bytes) -> None:
    """It tells of no fragment."""
    assert [] == boxes.read_sidx(payload, 0)


@pytest.mark.parametrize("version", [0, 1])
def test_read_sidx_when_cut_off(version: int) -> None:
    """It is broken, wherever that is: the last four bytes are of no interest."""
    payload = sidx((300, 2000), (500, 1500), version=version)

    for length in range(len(payload) - 4):
        with pytest.raises(SourceError):
            boxes.read_sidx(payload[:length], 0)


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        pytest.param(box(b"mfro", bytes(4), struct.pack(">I", 1234)), 1234, id="there"),
        pytest.param(bytes(16), 0, id="none"),
        pytest.param(box(b"mfro"), 0, id="cut off"),
        pytest.param(b"", 0, id="nothing"),
    ],
)
def test_mfra_size_when_there_may_be_one(tail: bytes, expected: int) -> None:
    """The last box says how long the list is."""
    assert expected == boxes.mfra_size(tail)


@pytest.mark.parametrize(("version", "lengths"), list(itertools.product([0, 1], [0, 0b111111, 0b010010])))
def test_read_mfra_when_it_is_good(version: int, lengths: int) -> None:
    """The fragments of the track, in order; several keyframes in one are one; other tracks don't count."""
    data = box(
        b"mfra",
        tfra(1, (0, 7), version=version),
        tfra(2, (500, 300), (2500, 900), (700, 300), (0, 100), version=version, lengths=lengths),
    )

    expected = [(100, Fraction(0)), (300, Fraction(1, 2)), (900, Fraction(5, 2))]
    assert expected == boxes.read_mfra(data, 2, SECOND)


@pytest.mark.parametrize("version", [0, 1])
def test_read_mfra_when_cut_off(version: int) -> None:
    """Those that are there as a whole are read."""
    data = box(b"mfra", tfra(2, (0, 100), (500, 300), version=version))

    assert [(100, Fraction(0))] == boxes.read_mfra(data[:-1], 2, SECOND)
    assert [] == boxes.read_mfra(data[:26], 2, SECOND)


def test_read_mfra_when_it_is_none() -> None:
    """Nothing is read of bytes that are no list, as there is another way to find out."""
    assert [] == boxes.read_mfra(bytes(100), 2, SECOND)
    assert [] == boxes.read_mfra(box(b"mfra", bytes(100)), 2, SECOND)


def table_trak(track: int, handler: bytes, *tables: bytes) -> bytes:
    """Make a track's box, its samples described by some tables."""
    header = box(b"tkhd", bytes(12), struct.pack(">I", track), bytes(68))
    media = box(b"mdia", box(b"hdlr", bytes(8), handler, bytes(12)), box(b"minf", box(b"stbl", *tables)))
    return box(b"trak", header, media)


@pytest.mark.parametrize(
    ("moof", "expected"),
    [
        pytest.param(b"", set(), id="nothing"),
        pytest.param(box(b"mfhd", bytes(8)) + traf(1, 7) + traf(2, 1500, 1), {1, 2}, id="two tracks"),
        pytest.param(box(b"traf", box(b"tfhd", bytes(4), struct.pack(">I", 2))), set(), id="no time"),
        pytest.param(box(b"traf", box(b"tfdt", bytes(8))), set(), id="no header"),
    ],
)
def test_timed_tracks_when_a_fragment_has_them(moof: bytes, expected: set[int]) -> None:
    """A track counts if the fragment has samples of it and says when they begin."""
    assert expected == boxes.timed_tracks(moof)


def test_media_tracks_when_there_are_others() -> None:
    """Pictures and sound count, timecode and hints don't."""
    moov = table_trak(1, b"vide") + table_trak(2, b"soun") + table_trak(3, b"tmcd")

    assert {1, 2} == boxes.media_tracks(moov)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        pytest.param(box(b"stsz", struct.pack(">III", 0, 0, 0)), False, id="none"),
        pytest.param(box(b"stsz", struct.pack(">IIII", 0, 0, 1, 99)), True, id="one"),
        pytest.param(box(b"stsz", struct.pack(">III", 0, 99, 7)), True, id="all of one size"),
        pytest.param(box(b"stz2", struct.pack(">III", 0, 8, 3), bytes(3)), True, id="compact"),
        pytest.param(b"", False, id="no table"),
    ],
)
def test_describes_samples_when_a_movie_has_fragments_too(table: bytes, *, expected: bool) -> None:
    """Any sample that the movie box describes itself comes before the first fragment."""
    assert expected == boxes.describes_samples(table_trak(1, b"vide", table))


KINDS = (b"moov trak tkhd mdia mdhd hdlr mvex mfra tfra moof traf tfhd tfdt sidx").split()
SIZES = st.one_of(st.integers(0, 40), st.sampled_from([0, 1, 7, 8, 15, 16, 0xFFFFFFFF]), st.integers(0, 0xFFFFFFFF))


def odd_boxes() -> st.SearchStrategy[bytes]:
    """Anything, and boxes within boxes whose sizes may be wrong."""
    leaves = st.binary(max_size=48)

    def wrap(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
        good = st.builds(box, st.sampled_from(KINDS), inner)
        odd = st.builds(
            lambda size, kind, rest: struct.pack(">I4s", size, kind) + rest, SIZES, st.sampled_from(KINDS), inner
        )
        return st.one_of(good, odd, st.builds(bytes.__add__, inner, inner))

    return st.recursive(leaves, wrap, max_leaves=8)


@given(odd_boxes(), st.integers(0, 3), st.integers(1, 1 << 32))
def test_any_bytes_are_read_or_refused(data: bytes, track: int, ticks: int) -> None:
    """Whatever they are, nothing but a failure of the source is raised, and it ends."""
    with contextlib.suppress(SourceError):
        boxes.read_box(data, 0)
    with contextlib.suppress(SourceError):
        assert len(list(boxes.children(data))) <= len(data) / 8
    with contextlib.suppress(SourceError):
        boxes.is_fragmented(data)
    with contextlib.suppress(SourceError):
        boxes.video_track(data)
    with contextlib.suppress(SourceError):
        boxes.read_sidx(data, 0)
    with contextlib.suppress(SourceError):
        boxes.timed_tracks(data)
    with contextlib.suppress(SourceError):
        boxes.media_tracks(data)
    with contextlib.suppress(SourceError):
        boxes.describes_samples(data)
    boxes.mfra_size(data)
    boxes.read_mfra(data, track, ticks)


@given(st.binary(min_size=0, max_size=200), st.sampled_from([b"", b"\0\0\0\0", b"\1\0\0\0"]))
def test_any_payload_is_read_or_refused(data: bytes, version: bytes) -> None:
    """So are payloads of good boxes."""
    with contextlib.suppress(SourceError):
        boxes.read_sidx(version + data, 0)
    boxes.read_mfra(box(b"mfra", box(b"tfra", version, data)), 0, 1)
    with contextlib.suppress(SourceError):
        boxes.timed_tracks(box(b"traf", box(b"tfhd", data), box(b"tfdt", version, data)))
    with contextlib.suppress(SourceError):
        boxes.media_tracks(box(b"trak", box(b"tkhd", data), box(b"mdia", box(b"hdlr", bytes(8), b"vide"))))
