"""Parameter sets that a container changes in the middle of a track, as they can stand among its pictures."""

import pytest

from clipcut.ffmpeg.in_band import in_band

SPS, PPS, VPS = b"\x67\x64\x00\x1f", b"\x68\xee", b"\x40\x01\x0c"
AVCC = b"\x01\x64\x00\x1f\xff\xe1\x00\x04" + SPS + b"\x01\x00\x02" + PPS
HVCC = b"\x01" + bytes(20) + b"\x03\x01" + b"\xa0\x00\x01\x00\x03" + VPS


@pytest.mark.parametrize(
    ("codec", "description", "expected"),
    [
        pytest.param("h264", AVCC, b"\0\0\0\x04" + SPS + b"\0\0\0\x02" + PPS, id="avcC"),
        pytest.param("h264", b"\0\0\0\1" + SPS, b"\0\0\0\1" + SPS, id="start codes"),
        pytest.param("hevc", HVCC, b"\0\0\0\x03" + VPS, id="hvcC"),
        pytest.param("hevc", HVCC[:-1], b"", id="hvcC that is cut off"),
        pytest.param("hevc", b"\1", None, id="hvcC of one byte"),
        pytest.param("mpeg4", b"\0\0\1\xb0", b"\0\0\1\xb0", id="a piece of the stream"),
        pytest.param("vp9", b"\1", None, id="a codec that knows no such thing"),
    ],
)
def test_in_band_when_a_description_changes(codec: str, description: bytes, expected: bytes | None) -> None:
    """Each unit has its length before it, as long as those of the pictures; what is broken leads to nothing worse."""
    assert expected == in_band(codec, description)
