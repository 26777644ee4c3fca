"""Transport streams: packets that don't begin where they should, and packets that are missing."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clipcut.ffmpeg.transport import PACKET, find_damage

VIDEO, DATA, TABLE = 0x100, 0x102, 0


def packet(track: int, counter: int, *, begins: int = 0, payload: bool = True, notes: bytes = b"") -> bytes:
    """Build a packet: ``begins`` is the number of what begins in it, ``notes`` its adaptation field."""
    flags = (0x10 if payload else 0) | (0x20 if notes else 0) | counter % 16
    head = bytes([0x47, (0x40 if begins else 0) | track >> 8, track & 255, flags])
    field = bytes([len(notes)]) + notes if notes else b""
    unit = b"\0\0\1" + bytes([begins]) if begins else b""
    return (head + field + unit).ljust(PACKET - 1, b"\xff") + bytes([counter])


def stream(*packets: bytes, path: Path) -> Path:
    path.write_bytes(b"".join(packets))
    return path


def run_of(count: int, *, track: int = VIDEO, begins: int = 0xE0, first: int = 0) -> list[bytes]:
    """Build packets of a track, counted one by one; a unit begins in the first."""
    return [packet(track, first + n, begins=0 if n else begins) for n in range(count)]


SOUND_STREAMS = {
    "whole": run_of(40),
    "without-payload": [*run_of(5), packet(VIDEO, 4, payload=False), *run_of(5, first=5)],
    "twice": [*run_of(5), packet(VIDEO, 4), *run_of(5, first=5)],
    "said": [*run_of(5), packet(VIDEO, 11, notes=b"\x80"), *run_of(5, first=12)],
    "two-tracks": [one for pair in zip(run_of(20), run_of(20, track=0x101, begins=0xC0), strict=True) for one in pair],
    "careless-notes": [*run_of(5), *run_of(1, track=DATA, begins=0xBD), *run_of(1, track=DATA, begins=0xBD, first=9)],
    "one-behind-another": [packet(TABLE, 0), *run_of(5), packet(TABLE, 0), *run_of(5)],
}


@pytest.mark.parametrize("case", SOUND_STREAMS)
def test_find_damage_when_there_is_none(case: str, tmp_path: Path) -> None:
    """Whatever the standard allows is no damage."""
    assert find_damage(stream(*SOUND_STREAMS[case], path=tmp_path / "v.ts")) is None


@pytest.mark.parametrize("lost", [1, 2, 7, 15])
def test_find_damage_when_packets_are_lost(lost: int, tmp_path: Path) -> None:
    """A gap in the count of a track's packets is told by the byte of the packet behind it."""
    whole = run_of(40)

    said = find_damage(stream(*whole[:10], *whole[10 + lost :], path=tmp_path / "v.ts"))

    assert f"packets before byte {10 * PACKET} are missing" == said


def test_find_damage_when_a_packet_is_elsewhere(tmp_path: Path) -> None:
    """A byte too many moves all that follow."""
    whole = run_of(10)

    said = find_damage(stream(*whole[:4], b"\0", *whole[4:], path=tmp_path / "v.ts"))

    assert f"no packet begins at byte {4 * PACKET}" == said


def test_find_damage_when_only_a_part_is_asked_for(tmp_path: Path) -> None:
    """What lies outside the part doesn't count."""
    whole = run_of(40)
    path = stream(*whole[:10], *whole[12:], path=tmp_path / "v.ts")

    assert find_damage(path, end=10 * PACKET) is None
    assert find_damage(path, first=10 * PACKET) is None
    assert find_damage(path, first=5 * PACKET, end=11 * PACKET) is None  # no unit begins in it: nobody knows the track


@given(
    st.lists(st.tuples(st.binary(min_size=7, max_size=7), st.binary(max_size=4)), max_size=6), st.binary(max_size=187)
)
@example([(b"\x40\0\x30\xb6\0\0\1", b"\0\0\1")], b"")
@example([(b"\x41\0\x30\xb4\0\0\1", b"\0\0\1")], b"G\x41\0\x35")
def test_find_damage_when_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, packets: list[tuple[bytes, bytes]], rest: bytes
) -> None:
    """Fields that claim to be longer than their packet, and a packet that is cut off anywhere, end nothing."""
    path = tmp_path_factory.getbasetemp() / "any.ts"
    path.write_bytes(b"".join(b"G" + head + end.rjust(PACKET - 8, b"\0") for head, end in packets) + rest)

    find_damage(path)


def test_find_damage_when_the_file_ends_within_a_packet(tmp_path: Path) -> None:
    """It is read as far as it goes."""
    path = tmp_path / "v.ts"
    for length in range(1, 3 * PACKET, 7):
        path.write_bytes(b"".join(run_of(3))[:length])
        assert find_damage(path) is None
