"""Where segments that were put together have a hole between them."""

from fractions import Fraction

import pytest

from clipcut.ffmpeg.seams import Seams

STEP = Fraction(1, 30)


def watch(*segments: list[int], sound: bool = False, silent_from: dict[int, int] | None = None) -> Seams:
    """Watch segments of 1000 bytes with pictures at these frames, perhaps with sound up to a frame of each."""
    seams = Seams([1000 * number for number in range(len(segments))])
    for number, frames in enumerate(segments):
        for at, frame in enumerate(frames):
            seams.picture(1000 * number + at, frame * STEP)
        if sound:
            end = (silent_from or {}).get(number, 30 * number + 30)
            seams.sound(1000 * number + 900, 30 * number * STEP, end * STEP)
    return seams


def whole(number: int) -> list[int]:
    """The frames of a whole segment of one second."""
    return list(range(30 * number, 30 * number + 30))


@pytest.mark.parametrize(
    ("seams", "expected"),
    [
        pytest.param(watch(whole(0), whole(1)), None, id="whole"),
        pytest.param(watch(whole(0)[:-1], whole(1)), (28, 30), id="one picture"),
        pytest.param(watch(whole(0)[:-20], whole(1)), (9, 30), id="twenty pictures"),
        pytest.param(watch(whole(0)[:-1], whole(1), sound=True), None, id="a pause that the sound doesn't have"),
        pytest.param(
            watch(whole(0)[:-9], whole(1), sound=True, silent_from={0: 21}), (20, 30), id="with a pause of the sound"
        ),
        pytest.param(watch([0, 1, 2, 20, 21], whole(1)), None, id="a pause no longer than another"),
        pytest.param(watch(whole(0), [30, 33, 32, 31, 34]), None, id="pictures out of order"),
        pytest.param(watch(whole(0), [33, 30, 31, 32, 34]), None, id="pictures that lead their keyframe"),
        pytest.param(watch([0], [30]), None, id="nothing to compare with"),
        pytest.param(watch(whole(0), [], whole(1)[5:]), (29, 35), id="a segment without a picture"),
        pytest.param(Seams([]), None, id="no segments"),
    ],
)
def test_a_hole_is_a_pause_longer_than_any_other(seams: Seams, expected: tuple[int, int] | None) -> None:
    """From the last picture before it to the first one after it."""
    found = seams.hole(Fraction(0), Fraction(2))

    assert (None if expected is None else (expected[0] * STEP, expected[1] * STEP)) == found


@pytest.mark.parametrize(
    ("first", "last", "is_found"),
    [
        pytest.param(Fraction(0), Fraction(2), True, id="around it"),
        pytest.param(Fraction(1), Fraction(2), False, id="after it"),
        pytest.param(Fraction(0), Fraction(1, 2), False, id="before it"),
        pytest.param(Fraction(7, 10), Fraction(9, 10), True, id="in it"),
    ],
)
def test_only_a_hole_in_the_clips_range_counts(first: Fraction, last: Fraction, is_found: bool) -> None:
    """What is missing elsewhere does no harm."""
    assert is_found == (watch(whole(0)[:20], whole(1)).hole(first, last) is not None)


def test_it_is_settled_when_enough_was_seen_of_the_last_segment() -> None:
    """The first picture that is stored isn't the first that is shown."""
    assert watch(whole(0)).is_settled
    assert not watch(whole(0), [33, 30, 31]).is_settled
    assert watch(whole(0), [33, 30, 31, 32]).is_settled
    assert Seams([]).is_settled


def test_what_has_no_place_is_passed_over() -> None:
    """Some demuxers don't tell where a packet's bytes are."""
    seams = Seams([100, 200])
    seams.picture(None, Fraction(0))
    seams.picture(50, Fraction(5))
    seams.sound(None, Fraction(0), Fraction(1))

    assert seams.hole(Fraction(0), Fraction(9)) is None
