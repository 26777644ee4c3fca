"""What Matroska's elements say: numbers of every length, cues, and any bytes at all."""

import contextlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipcut.errors import SourceError
from clipcut.sources.file import matroska
from clipcut.sources.file.matroska import Element

TICK = Fraction(1, 1000)
CUE_POINT, CUE_TIME, CUE_POSITIONS, CUE_TRACK, CUE_CLUSTER = 0xBB, 0xB3, 0xB7, 0xF7, 0xF1
SEEK, SEEK_ID, SEEK_POSITION = 0x4DBB, 0x53AB, 0x53AC
TRACK, TRACK_NUMBER, TRACK_TYPE = 0xAE, 0xD7, 0x83
SCALE, TIMESTAMP, SIMPLE_BLOCK, VOID, CRC = 0x2AD7B1, 0xE7, 0xA3, 0xEC, 0xBF


def element(kind: int, *parts: bytes, length: int = 8) -> bytes:
    """Make an element whose size is written with so many bytes."""
    payload = b"".join(parts)
    return name(kind) + (len(payload) | 1 << 7 * length).to_bytes(length) + payload


def endless(kind: int, *parts: bytes, length: int = 1) -> bytes:
    """Make an element of unknown size."""
    return name(kind) + ((1 << 7 * length + 1) - 1).to_bytes(length) + b"".join(parts)


def name(kind: int) -> bytes:
    """Write an element's kind."""
    return kind.to_bytes((kind.bit_length() + 7) // 8)


def number(kind: int, value: int) -> bytes:
    """Make an element that holds a number."""
    return element(kind, value.to_bytes((value.bit_length() + 7) // 8), length=1)


def cue(time: int, *places: tuple[int, int]) -> bytes:
    """Make a cue point: where each track's keyframe is, by track and cluster."""
    positions = [element(CUE_POSITIONS, number(CUE_TRACK, track), number(CUE_CLUSTER, at)) for track, at in places]
    return element(CUE_POINT, number(CUE_TIME, time), *positions)


@pytest.mark.parametrize("length", range(1, 9))
@pytest.mark.parametrize("kind", [0xA3, 0x4DBB, 0x2AD7B1, matroska.CLUSTER])
def test_read_element_when_numbers_have_any_length(kind: int, length: int) -> None:
    """Kinds of 1 to 4 bytes and sizes of 1 to 8 are read, also in the middle of the data."""
    header = len(name(kind)) + length

    found = matroska.read_element(b"xyz" + element(kind, bytes(5), length=length), 100, 3)

    assert Element(kind, 100, header, 5) == found
    assert 100 + header + 5 == found.end


@pytest.mark.parametrize("length", range(1, 9))
def test_read_element_when_the_size_is_unknown(length: int) -> None:
    """It has no end."""
    found = matroska.read_element(endless(matroska.SEGMENT, length=length), 0)

    assert (Element(matroska.SEGMENT, 0, 4 + length, None), None) == (found, found.end)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\0\x81", id="no kind"),
        pytest.param(b"\x08\0\0\0\0\x81", id="kind of 5 bytes"),
        pytest.param(b"\xa3", id="no size"),
        pytest.param(b"\xa3\0\0\0\0\0\0\0\0\0", id="size of 9 bytes"),
        pytest.param(name(matroska.CLUSTER)[:3], id="kind cut off"),
        pytest.param(element(0xA3)[:5], id="size cut off"),
    ],
)
def test_read_element_when_there_is_none(data: bytes) -> None:
    """It is said to be broken."""
    with pytest.raises(SourceError):
        matroska.read_element(data, 0)


def test_children_when_the_last_is_cut_off_or_endless() -> None:
    """Those that are there as a whole come."""
    whole = element(VOID, b"abc") + element(VOID, length=1)

    for rest in (element(VOID, b"abc")[:-1], endless(VOID, b"abc"), b"\xec"):
        assert [b"abc", b""] == [payload for _, payload in matroska.children(whole + rest)]


def test_seek_position_when_it_names_several() -> None:
    """The one that was asked for is found."""
    entries = [(matroska.INFO, 5), (matroska.CUES, 70_000), (matroska.TRACKS, 0)]
    head = b"".join(element(SEEK, element(SEEK_ID, name(kind)), number(SEEK_POSITION, at)) for kind, at in entries)

    found = [matroska.seek_position(head, kind) for kind in (matroska.CUES, matroska.TRACKS, matroska.CLUSTER)]

    assert [70_000, 0, None] == found


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        pytest.param(number(SCALE, 1_000_000), Fraction(1, 1000), id="milliseconds"),
        pytest.param(element(VOID, b"x") + number(SCALE, 100), Fraction(1, 10**7), id="finer"),
        pytest.param(b"", Fraction(1, 1000), id="not said"),
        pytest.param(number(SCALE, 0), Fraction(1, 1000), id="zero"),
    ],
)
def test_tick_seconds_when_said_or_not(info: bytes, expected: Fraction) -> None:
    """A tick lasts as long as it says, or a millisecond; never nothing."""
    assert expected == matroska.tick_seconds(info)


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        pytest.param([(1, 2), (7, 1), (3, 1)], 7, id="after sound"),
        pytest.param([(1, 2), (2, 17)], None, id="none"),
        pytest.param([], None, id="no track"),
    ],
)
def test_video_track_when_there_are_several(kinds: list[tuple[int, int]], expected: int | None) -> None:
    """It is the first one with a picture."""
    tracks = b"".join(element(TRACK, number(TRACK_NUMBER, at), number(TRACK_TYPE, kind)) for at, kind in kinds)

    assert expected == matroska.video_track(tracks)


def test_read_cues_when_mixed() -> None:
    """Only the track's count; a cluster begins with its earliest; they are put in order."""
    cues = [cue(4000, (1, 900)), cue(0, (2, 50), (1, 100)), cue(2500, (1, 500)), cue(2000, (1, 500)), cue(9, (2, 7))]

    found = matroska.read_cues(element(CRC, bytes(4)) + b"".join(cues), 1, TICK)

    assert [(100, Fraction(0)), (500, Fraction(2)), (900, Fraction(4))] == found


def test_read_cues_when_they_are_cut_off() -> None:
    """Those before are read."""
    assert [(100, Fraction(0))] == matroska.read_cues((cue(0, (1, 100)) + cue(2000, (1, 500)))[:-1], 1, TICK)


KINDS = (CUE_POINT, CUE_TIME, CUE_POSITIONS, CUE_TRACK, CUE_CLUSTER, SEEK, SEEK_ID, TRACK, TRACK_TYPE, SCALE, TIMESTAMP)


def odd_elements() -> st.SearchStrategy[bytes]:
    """Anything, and elements within elements whose sizes may be wrong."""

    def wrap(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
        kinds, lengths = st.sampled_from(KINDS), st.integers(1, 8)
        good = st.builds(lambda kind, data, length: element(kind, data, length=length), kinds, inner, st.integers(2, 8))
        without = st.builds(lambda kind, data, length: endless(kind, data, length=length), kinds, inner, lengths)
        odd = st.builds(lambda kind, size, data: name(kind) + size + data, kinds, st.binary(max_size=9), inner)
        return st.one_of(good, without, odd, st.builds(bytes.__add__, inner, inner))

    return st.recursive(st.binary(max_size=24), wrap, max_leaves=8)


@given(odd_elements(), st.integers(0, 3))
def test_any_bytes_are_read_or_refused(data: bytes, track: int) -> None:
    """Whatever they are, nothing but a failure of the source is raised, and it ends."""
    with contextlib.suppress(SourceError):
        matroska.read_element(data, 0)
    with contextlib.suppress(SourceError):
        assert len(list(matroska.children(data))) <= len(data) / 2
    with contextlib.suppress(SourceError):
        matroska.read_cues(data, track, TICK)
    with contextlib.suppress(SourceError):
        matroska.seek_position(data, matroska.CUES)
    with contextlib.suppress(SourceError):
        assert matroska.tick_seconds(data) > 0
    with contextlib.suppress(SourceError):
        matroska.video_track(data)
