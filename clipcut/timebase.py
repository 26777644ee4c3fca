"""Exact time: Fraction seconds, whole frames, whole samples. No floats.

Two frames of reference occur everywhere. *Source time* counts from the source's first video frame;
*timeline time* counts from the first frame of the output. Ranges are half-open in both.
"""

import itertools
import math
import re
from collections.abc import Iterable
from fractions import Fraction

MAX_SECONDS = 1_000_000
"""No time in a timeline is later than this, in seconds."""

_DECIMAL = re.compile(r"[+-]?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?(\d+))?", re.ASCII)
_TIMECODE = re.compile(r"(?:(?:(\d{1,6}):)?(\d{1,6}):)?(\d{1,7}(?:\.\d{1,12})?)", re.ASCII)


def parse_decimal(text: str) -> Fraction:
    """Read a number as the decimal that it is written as.

    Raises:
        ValueError: It isn't a plain number, or its digits or exponent are beyond anything sensible
            (decided from the text, so ``1e9999999`` costs nothing).
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError("not a plain number")
    if match[1] is not None and (len(match[1]) > 4 or int(match[1]) > 40):
        raise ValueError("an exponent out of any range")
    return Fraction(text)


def parse_timecode(text: str) -> Fraction:
    """Read ``[[HH:]MM:]SS[.fraction]`` as seconds.

    Minutes and seconds after a colon have two digits and stay below 60; a lone ``SS`` has at least two digits.

    Raises:
        ValueError: The text has another form.
    """
    match = _TIMECODE.fullmatch(text)
    if match is None:
        raise ValueError("not a timecode")
    hours, minutes, seconds = match.groups()
    for part in (minutes if hours is not None else None, seconds if minutes is not None else None):
        if part is not None and (len(part.split(".")[0]) != 2 or int(part.split(".")[0]) > 59):
            raise ValueError("minutes and seconds after a colon have two digits, 00 to 59")
    if len(seconds.split(".")[0]) < 2:
        raise ValueError("seconds have two digits")
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + Fraction(seconds)


def round_half_up(value: Fraction) -> int:
    """Round to the nearest whole number, halves up (``round`` would round halves to even)."""
    return math.floor(value + Fraction(1, 2))


def frame_boundaries(durations: Iterable[Fraction], fps: Fraction) -> list[int]:
    """Place the clips' boundaries on the output's frame grid.

    Args:
        durations: The clips' exact durations in seconds, in timeline order.
        fps: Output frames per second.

    Returns:
        One frame number more than there are clips: slot *i* is ``[boundaries[i], boundaries[i + 1])``. Each is the
        running total of the exact durations, rounded, so that nothing drifts.
    """
    totals = itertools.accumulate(durations, initial=Fraction(0))
    return [round_half_up(total * fps) for total in totals]


def sample_at(frame: int, fps: Fraction, sample_rate: int) -> int:
    """Return the sample at which output frame ``frame`` begins, halves up."""
    return round_half_up(frame / fps * sample_rate)


def format_timecode(seconds: Fraction) -> str:
    """Write seconds as ``HH:MM:SS.mmm`` for people (rounded to the millisecond)."""
    milliseconds = round_half_up(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"


def decimal_text(value: Fraction) -> str:
    """Write a number with a finite decimal expansion exactly, others to 12 places."""
    for places in range(13):
        scaled = value * 10**places
        if scaled.denominator == 1 or places == 12:
            digits = str(abs(round_half_up(scaled))).rjust(places + 1, "0")
            whole, fraction = (digits[:-places], digits[-places:]) if places else (digits, "")
            return f"{'-' if value < 0 else ''}{whole}{'.' + fraction if fraction else ''}"
    raise AssertionError("unreachable")
