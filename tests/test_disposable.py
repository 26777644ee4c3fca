"""Packets that nothing refers to: told by their bytes, and left out where a clip hasn't begun."""

import pytest

from clipcut.ffmpeg.disposable import disposable_test

AVCC = bytes([1, 100, 0, 31, 0xFF, 0xE1, 0, 0])
SLICE, REFERRED_SLICE, SEI, PARAMETERS, KEYFRAME = b"\x01slice", b"\x21slice", b"\x06sei", b"\x67sps", b"\x65idr"


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        pytest.param([SLICE], True, id="a slice"),
        pytest.param([SEI, SLICE, SLICE], True, id="slices and a remark"),
        pytest.param([REFERRED_SLICE], False, id="referred to"),
        pytest.param([SLICE, REFERRED_SLICE], False, id="one of two is referred to"),
        pytest.param([PARAMETERS, SLICE], False, id="parameters"),
        pytest.param([KEYFRAME], False, id="a keyframe"),
        pytest.param([SEI], False, id="no slice at all"),
        pytest.param([], False, id="nothing"),
    ],
)
def test_a_packet_is_disposable_if_nothing_in_it_matters_later(units: list[bytes], expected: bool) -> None:
    """Told alike in both ways of telling units apart."""
    lengths = b"".join(len(unit).to_bytes(4) + unit for unit in units)
    codes = b"".join(b"\0\0\0\1" + unit for unit in units)

    assert expected == disposable_test("h264", AVCC)(lengths)
    assert expected == disposable_test("h264", None)(codes)
    assert expected == disposable_test("h264", b"\0\0\0\1\x67sps")(codes)


def test_other_codecs_have_none() -> None:
    """Their marks are others."""
    assert not disposable_test("hevc", AVCC)(b"\0\0\0\6" + SLICE)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\1", b"\xff\xff\xff\xff\x01", b"\0\0\0\0" * 3])
def test_nonsense_does_no_harm(data: bytes) -> None:
    """A length or a code that leads nowhere ends the search."""
    disposable_test("h264", AVCC)(data)
    disposable_test("h264", None)(data)
