"""Proofs of exact time: decimals, timecodes, rounding, and boundaries that tile the timeline without drift."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import decimals, durations, rates

from clipcut.timebase import (
    decimal_text,
    format_timecode,
    frame_boundaries,
    parse_decimal,
    parse_timecode,
    round_half_up,
    sample_at,
)

HALF = Fraction(1, 2)
SAMPLE_RATES = st.sampled_from([8000, 11025, 22050, 44100, 48000, 96000])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("0", Fraction(0), id="zero"),
        pytest.param("-0.0", Fraction(0), id="negative zero"),
        pytest.param("0.1", Fraction(1, 10), id="no binary float has it"),
        pytest.param("12.5", Fraction(25, 2), id="decimal"),
        pytest.param("-3", Fraction(-3), id="negative"),
        pytest.param("1.5e3", Fraction(1500), id="exponent"),
        pytest.param("1E-3", Fraction(1, 1000), id="negative exponent"),
        pytest.param("1e40", Fraction(10**40), id="largest exponent"),
        pytest.param("9007199254740993", Fraction(2**53 + 1), id="beyond a float's whole numbers"),
        pytest.param(
            "0.1000000000000000055511151231257827", Fraction(1000000000000000055511151231257827, 10**34), id="34 places"
        ),
    ],
)
def test_parse_decimal_when_good(text: str, value: Fraction) -> None:
    """A number is exactly the decimal that is written."""
    assert value == parse_decimal(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("abc", id="letters"),
        pytest.param("NaN", id="not a number"),
        pytest.param("Infinity", id="infinity"),
        pytest.param("-Infinity", id="negative infinity"),
        pytest.param("1e9999999", id="exponent of 7 digits"),
        pytest.param("1e-9999999", id="negative exponent of 7 digits"),
        pytest.param("1e" + "9" * 5000, id="exponent of 5000 digits"),
        pytest.param("1e41", id="exponent just too large"),
        pytest.param("1" * 5000, id="5000 digits"),
        pytest.param("0." + "1" * 5000, id="5000 places"),
        pytest.param("1/3", id="fraction"),
        pytest.param("1_000", id="underscore"),
        pytest.param("0x10", id="hexadecimal"),
        pytest.param(" 1", id="space before"),
        pytest.param("1\n", id="newline after"),
        pytest.param("\u0661", id="another script's digit"),
    ],
)
def test_parse_decimal_when_bad(text: str) -> None:
    """What isn't a plain number of sensible size is refused from its text, without computing it."""
    with pytest.raises(ValueError, match=r"number|exponent"):
        parse_decimal(text)


@given(decimals())
def test_parse_decimal_when_any(decimal: tuple[str, Fraction]) -> None:
    """Every decimal of up to 9 places is read exactly and written back as the same value."""
    text, value = decimal
    assert value == parse_decimal(text)
    assert value == parse_decimal(decimal_text(value))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("05", Fraction(5), id="seconds"),
        pytest.param("75", Fraction(75), id="more seconds than a minute"),
        pytest.param("02.5", Fraction(5, 2), id="fraction"),
        pytest.param("1:05", Fraction(65), id="minute of one digit"),
        pytest.param("01:05.25", Fraction(261, 4), id="minutes"),
        pytest.param("75:00", Fraction(4500), id="more minutes than an hour"),
        pytest.param("00:01:02.250", Fraction(249, 4), id="hours"),
        pytest.param("100:00:00", Fraction(360_000), id="three digits of hours"),
        pytest.param("00:00:00.000000000001", Fraction(1, 10**12), id="12 places"),
    ],
)
def test_parse_timecode_when_good(text: str, seconds: Fraction) -> None:
    """Hours and minutes may be left out, and the first part may be as large as it likes."""
    assert seconds == parse_timecode(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("5", id="a number in quotes"),
        pytest.param("0:5", id="second of one digit"),
        pytest.param("00:60", id="60 seconds"),
        pytest.param("1:60:00", id="60 minutes"),
        pytest.param("1:5:00", id="minute of one digit after hours"),
        pytest.param("00:00:00:00", id="frames"),
        pytest.param("00:00:00;00", id="drop frame"),
        pytest.param("00:00:00,5", id="comma"),
        pytest.param("00:05.", id="dot without fraction"),
        pytest.param(":05", id="no minutes"),
        pytest.param("-00:05", id="negative"),
        pytest.param("00:05\n", id="newline after"),
        pytest.param("1e30", id="exponent"),
        pytest.param("9" * 5000, id="5000 digits"),
        pytest.param("00:\u0661\u0661", id="another script's digits"),
    ],
)
def test_parse_timecode_when_bad(text: str) -> None:
    """Any other form is refused."""
    with pytest.raises(ValueError, match=r"timecode|digits"):
        parse_timecode(text)


@given(st.integers(0, 1_000_000_000))
def test_timecode_round_trip_when_whole_milliseconds(milliseconds: int) -> None:
    """What format_timecode writes, parse_timecode reads."""
    seconds = Fraction(milliseconds, 1000)
    assert seconds == parse_timecode(format_timecode(seconds))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(Fraction(0), "00:00:00.000", id="zero"),
        pytest.param(Fraction(3723_004, 1000), "01:02:03.004", id="each part"),
        pytest.param(Fraction("59.9995"), "00:01:00.000", id="rounds up into the minute"),
        pytest.param(Fraction("0.0004"), "00:00:00.000", id="rounds down"),
        pytest.param(Fraction(1_000_000), "277:46:40.000", id="longest"),
    ],
)
def test_format_timecode_when(seconds: Fraction, text: str) -> None:
    """Seconds are written for people, to the millisecond, halves up."""
    assert text == format_timecode(seconds)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(Fraction(0), "0", id="zero"),
        pytest.param(Fraction(5), "5", id="whole"),
        pytest.param(Fraction(1, 10), "0.1", id="tenth"),
        pytest.param(Fraction(-5, 2), "-2.5", id="negative"),
        pytest.param(Fraction(1, 2**12), "0.000244140625", id="12 places"),
        pytest.param(Fraction(1, 3), "0.333333333333", id="endless"),
        pytest.param(Fraction(2, 3), "0.666666666667", id="endless, rounded up"),
        pytest.param(Fraction(1001, 30000), "0.033366666667", id="a frame"),
        pytest.param(Fraction(10**20), "1" + "0" * 20, id="large"),
    ],
)
def test_decimal_text_when(value: Fraction, text: str) -> None:
    """A finite decimal is written exactly, any other to 12 places."""
    assert text == decimal_text(value)


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        pytest.param("0.5", 1, id="half to odd"),
        pytest.param("1.5", 2, id="half to even"),
        pytest.param("2.5", 3, id="half that round would take down"),
        pytest.param("-0.5", 0, id="negative half"),
        pytest.param("-1.5", -1, id="negative half to odd"),
        pytest.param("2.4999999999999999999999", 2, id="just under a half"),
        pytest.param("7", 7, id="whole"),
    ],
)
def test_round_half_up_when(value: str, whole: int) -> None:
    """Halves go up, towards plus infinity, and nothing passes through a float."""
    assert whole == round_half_up(Fraction(value))


def test_frame_boundaries_when_on_the_half() -> None:
    """A boundary that falls on half a frame goes up, and the next one is not moved by it."""
    clips = [Fraction("2.5") / 30, Fraction("2.5") / 30, Fraction("2.5") / 30]
    assert [0, 3, 5, 8] == frame_boundaries(clips, Fraction(30))


def test_frame_boundaries_when_a_hundred_thousand_clips() -> None:
    """The last boundary is the rounded exact total, however many clips were rounded before it."""
    fps, length, count = Fraction(30000, 1001), Fraction("0.333"), 100_000
    boundaries = frame_boundaries(itertools.repeat(length, count), fps)
    assert count + 1 == len(boundaries)
    assert round_half_up(length * count * fps) == boundaries[-1]


def test_frame_boundaries_when_there_are_no_clips() -> None:
    """A timeline of nothing has its beginning only."""
    assert [0] == frame_boundaries([], Fraction(30))


@given(st.lists(durations(), max_size=60), rates())
def test_frame_boundaries_when_any(clips: list[Fraction], fps: Fraction) -> None:
    """Slots tile the timeline from 0, each boundary within half a frame of the exact running total."""
    boundaries = frame_boundaries(clips, fps)
    assert 0 == boundaries[0]
    assert len(clips) + 1 == len(boundaries)
    total = Fraction(0)
    for clip, (start, end) in zip(clips, itertools.pairwise(boundaries), strict=True):
        total += clip
        assert -HALF < end - total * fps <= HALF
        assert end >= start
        assert end > start or clip * fps < 1


@given(st.lists(durations(), min_size=1, max_size=30), rates(), SAMPLE_RATES)
def test_sample_at_when_any(clips: list[Fraction], fps: Fraction, sample_rate: int) -> None:
    """Each frame begins within half a sample of its exact time, and a slot with frames has samples."""
    boundaries = frame_boundaries(clips, fps)
    samples = [sample_at(frame, fps, sample_rate) for frame in boundaries]
    assert 0 == samples[0]
    for frame, sample in zip(boundaries, samples, strict=True):
        assert -HALF < sample - frame * sample_rate / fps <= HALF
    for frames, span in zip(itertools.pairwise(boundaries), itertools.pairwise(samples), strict=True):
        assert (frames[1] > frames[0]) == (span[1] > span[0])


@pytest.mark.parametrize(
    ("frame", "fps", "sample_rate", "sample"),
    [
        pytest.param(1, Fraction(30), 48000, 1600, id="whole"),
        pytest.param(1, Fraction(30000, 1001), 48000, 1602, id="1601.6 goes up"),
        pytest.param(1, Fraction(32), 44112, 1379, id="1378.5 goes up"),
        pytest.param(30_000_000, Fraction(30000, 1001), 48000, 48_048_000_000, id="no drift over eleven days"),
    ],
)
def test_sample_at_when(frame: int, fps: Fraction, sample_rate: int, sample: int) -> None:
    """A frame's first sample is its exact time, rounded, halves up."""
    assert sample == sample_at(frame, fps, sample_rate)
