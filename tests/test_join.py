"""Segments put together; and the time that packed audio carries in its tags."""

import errno
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipcut.errors import RenderError
from clipcut.sources.segments.join import CLOCK, WRAP, join, read_id3, unwrapped

STAMP = 123_456_789
MOMENT = Fraction(STAMP, CLOCK)
SOUND = b"\xff\xf1\x50\x80 sound"
OWNER = b"com.apple.streaming.transportStreamTimestamp\0"


def syncsafe(value: int) -> bytes:
    """Write a number with 7 bits in each of 4 bytes."""
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def frame(name: bytes, body: bytes, version: int = 4) -> bytes:
    """A frame of a tag; sizes are written in another way in version 4."""
    size = syncsafe(len(body)) if version == 4 else len(body).to_bytes(4)
    return name + size + b"\0\0" + body


def stamp(value: int = STAMP, version: int = 4) -> bytes:
    """The frame with the time, in ticks."""
    return frame(b"PRIV", OWNER + value.to_bytes(8), version)


def tag(*frames: bytes, version: int = 4, flags: int = 0) -> bytes:
    """A tag of these frames; what follows the last is padding, or its footer."""
    body = b"".join(frames)
    size = len(body) - (10 if flags & 0x10 else 0)
    return b"ID3" + bytes([version, 0, flags]) + syncsafe(size) + body


TITLE = frame(b"TIT2", b"\3" + b"x" * 300)
PICTURE = frame(b"APIC", bytes(range(256)) * 80)
FOOTER = b"3DI\4\0\x10" + syncsafe(len(stamp()))


@pytest.mark.parametrize(
    ("tags", "moment"),
    [
        pytest.param([tag(stamp())], MOMENT, id="version 4"),
        pytest.param([tag(stamp(version=3), version=3)], MOMENT, id="version 3"),
        pytest.param([tag(TITLE, stamp(), frame(b"TXXX", b"y"))], MOMENT, id="among other frames"),
        pytest.param([tag(frame(b"TIT2", b"\3" + b"x" * 300, 3), stamp(version=3), version=3)], MOMENT, id="long, 3"),
        pytest.param([tag(PICTURE, stamp())], MOMENT, id="after a picture"),
        pytest.param([tag(stamp(), bytes(2000))], MOMENT, id="padding"),
        pytest.param([tag(stamp(), FOOTER, flags=0x10)], MOMENT, id="footer"),
        pytest.param([tag(stamp()), tag(TITLE)], MOMENT, id="two tags, time in the first"),
        pytest.param([tag(TITLE), tag(stamp())], MOMENT, id="two tags, time in the second"),
        pytest.param([tag(stamp(1)), tag(stamp())], MOMENT, id="two tags, two times"),
        pytest.param([b"ID3\4\0\0" + bytes([0x80, 0, 0, 0x80 | len(stamp())]) + stamp()], MOMENT, id="odd size"),
        pytest.param([tag(stamp(0))], Fraction(0), id="zero"),
        pytest.param([tag(stamp(2**33 - 1))], WRAP - Fraction(1, CLOCK), id="just before the wrap"),
        pytest.param([tag(stamp(2**33))], Fraction(0), id="just after the wrap"),
        pytest.param([tag(stamp(STAMP + 5 * 2**33))], MOMENT, id="more than 33 bits"),
        pytest.param([tag(TITLE)], None, id="no time"),
        pytest.param([tag(frame(b"PRIV", b"com.example\0" + bytes(8)))], None, id="time of somebody else"),
        pytest.param([tag(frame(b"PRIV", OWNER + bytes(7)))], None, id="short time"),
        pytest.param([tag()], None, id="empty"),
        pytest.param([], None, id="no tag"),
    ],
)
def test_read_id3_when_tagged(tags: Sequence[bytes], moment: Fraction | None) -> None:
    """The sound begins after all tags, and the time is the one they tell."""
    head = b"".join(tags)

    assert (len(head), moment) == read_id3(head + SOUND)


@pytest.mark.parametrize(
    ("head", "size"),
    [
        pytest.param(b"", 0, id="nothing"),
        pytest.param(b"ID", 0, id="less than its name"),
        pytest.param(tag(stamp())[:9], 0, id="less than its header"),
        pytest.param(tag(stamp())[:10], len(tag(stamp())), id="header only"),
        pytest.param(tag(stamp())[:-1], len(tag(stamp())), id="time without its last byte"),
        pytest.param(tag(TITLE) + tag(stamp())[:9], len(tag(TITLE)), id="second without its header"),
    ],
)
def test_read_id3_when_truncated(head: bytes, size: int) -> None:
    """A tag is as long as it says, and what isn't there tells no time."""
    assert (size, None) == read_id3(head)


@given(head=st.binary(max_size=40).map(lambda data: b"ID3" + data))
def test_read_id3_when_damaged(head: bytes) -> None:
    """Whatever stands there, there is an answer."""
    size, _ = read_id3(head)

    assert size >= 0


MOMENTS = st.fractions(min_value=0, max_value=10 * WRAP, max_denominator=CLOCK)


@given(found=MOMENTS, expected=MOMENTS)
def test_unwrapped_at_any_time(found: Fraction, expected: Fraction) -> None:
    """A whole number of wraps brings a moment within half a wrap of where it is expected."""
    shift = unwrapped(found, expected)

    assert 0 == shift % WRAP
    assert abs(found + shift - expected) <= WRAP / 2


@pytest.mark.parametrize(
    ("found", "expected", "wraps"),
    [
        pytest.param(Fraction(5), Fraction(6), 0, id="near"),
        pytest.param(Fraction(1), WRAP + 2, 1, id="begun anew"),
        pytest.param(WRAP - 1, Fraction(1), -1, id="not begun anew yet"),
        pytest.param(Fraction(1), 3 * WRAP, 3, id="days later"),
    ],
)
def test_unwrapped_when(found: Fraction, expected: Fraction, wraps: int) -> None:
    """Timestamps that begin anew go on in source time."""
    assert wraps * WRAP == unwrapped(found, expected)


def written(folder: Path, *bodies: bytes) -> list[Path]:
    """Write files, and return their paths."""
    for number, body in enumerate(bodies):
        (folder / f"{number}").write_bytes(body)
    return [folder / f"{number}" for number in range(len(bodies))]


def test_join_when_plain(tmp_path: Path) -> None:
    """Files follow one another as they are, tags and all, and an old target is gone."""
    bodies = [b"init", tag(stamp()) + SOUND, bytes(3 << 20), b"", b"end"]
    (tmp_path / "all").write_bytes(bytes(5 << 20))

    assert join(written(tmp_path, *bodies), tmp_path / "all") is None
    assert b"".join(bodies) == (tmp_path / "all").read_bytes()


def test_join_when_packed(tmp_path: Path) -> None:
    """Tags are left away, however long, and the first file's time is told."""
    cover = tag(stamp(2), frame(b"APIC", bytes(3 << 20)))
    files = written(tmp_path, tag(stamp()) + b"a", tag(TITLE) + tag(stamp(1)) + b"b", b"c", cover + b"d")

    assert MOMENT == join(files, tmp_path / "all", is_packed=True)
    assert b"abcd" == (tmp_path / "all").read_bytes()


def test_join_when_only_a_later_file_tells_the_time(tmp_path: Path) -> None:
    """It isn't taken for the first one's."""
    files = written(tmp_path, b"a", tag(stamp()) + b"b")

    assert join(files, tmp_path / "all", is_packed=True) is None
    assert b"ab" == (tmp_path / "all").read_bytes()


def test_join_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The render can't go on."""

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", fail)
    with pytest.raises(RenderError, match="no room"):
        join(written(tmp_path, b"a"), tmp_path / "all")


def test_join_when_a_file_is_missing(tmp_path: Path) -> None:
    """It is a bug, and is not taken for anything else."""
    with pytest.raises(FileNotFoundError):
        join([tmp_path / "none"], tmp_path / "all")
