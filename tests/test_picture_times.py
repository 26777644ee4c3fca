"""When pictures are shown whose packets don't say it: what is made of what a decoder gives."""

from fractions import Fraction

import pytest

from clipcut.ffmpeg.picture_times import Row, ranks_of, times_of

FRAME = Fraction(100)


def rows(*times: int | None) -> list[Row]:
    """Make packets that say only when they are shown."""
    return [Row(time, None) for time in times]


@pytest.mark.parametrize(
    ("packets", "order", "expected"),
    [
        pytest.param(rows(0, 300, 100, 200), [0, 2, 3, 1], [0, 100, 200, 300], id="all are known"),
        pytest.param(rows(0, None, None, 300, None), [0, 1, 2, 3, 4], [0, 100, 200, 300, 400], id="at keyframes"),
        pytest.param(rows(0, None, None, 300), [0, 2, 1, 3], [0, 100, 200, 300], id="at keyframes, reordered"),
        pytest.param(rows(None, None, 500), [0, 1, 2], [300, 400, 500], id="the last one only"),
        pytest.param(rows(0, 50, 100, 150), [0, 2], [0, 100], id="two fields make a picture"),
        pytest.param(rows(0, 200), [0, 0, 1, 1], [0, 100, 200, 300], id="a packet has two pictures"),
        pytest.param(rows(0, 1, 1, 2), [0, 1, 2, 3], [0, 1, 1, 2], id="two pictures at one moment"),
        pytest.param([Row(n, n) for n in range(4)], [0, 2, 1, 3], [0, 1, 2, 3], id="times of decoding"),
        pytest.param([Row(None, n) for n in range(4)], [0, 2, 1, 3], [0, 1, 2, 3], id="none but of decoding"),
        pytest.param([Row(None, n) for n in range(4)], [0, 2, 3], [0, 2, 3], id="a packet has no picture"),
        pytest.param([Row(None, n) for n in (0, 1, 0, 1)], [0, 1, 2, 3], None, id="decoding runs back"),
        pytest.param(rows(None, None), [0, 1], None, id="no time at all"),
        pytest.param(rows(0, 100), [], None, id="no picture"),
        pytest.param(rows(0, 100), [0, 5], None, id="a packet that is none"),
        pytest.param(rows(0, 100), [-1, 1], None, id="a decoder that doesn't tell"),
    ],
)
def test_times_of_when_packets_say_little(packets: list[Row], order: list[int], expected: list[int] | None) -> None:
    """What is known counts; what lies between is spread evenly; what contradicts itself is not believed."""
    assert expected == times_of(packets, order, FRAME)


@pytest.mark.parametrize(
    ("order", "packets", "expected"),
    [
        pytest.param([0, 2, 3, 1], 4, [0, 3, 1, 2], id="reordered"),
        pytest.param([0, 2], 4, [0, 0, 1, 1], id="second fields"),
        pytest.param([0, 0, 1], 2, [0, 2], id="two pictures in one"),
        pytest.param([1], 2, [0, 0], id="the first makes none"),
    ],
)
def test_ranks_of_when_packets_make_pictures(order: list[int], packets: int, expected: list[int]) -> None:
    """Each packet has the place of the picture that it makes, or belongs to."""
    assert expected == ranks_of(order, packets)
