"""Which pictures of a clip are copied and which encoded, and whether that pays: pure.

A copy begins at an IDR picture, from which on nothing before it is needed, and ends after any picture at which those
stored so far are exactly those shown so far. What the clip has before and after it is encoded: its edges.
"""

import bisect
import enum
from collections.abc import Sequence
from fractions import Fraction

import attrs


class Why(enum.StrEnum):
    """Why a clip was encoded and not copied, in a render with ``--cut auto``."""

    PLACEHOLDER = "placeholder"
    REMOTE = "remote"
    CONTAINER = "container"
    CODEC = "codec"
    SHAPE = "shape"
    PIXELS = "pixels"
    COLOUR = "colour"
    FRAME_RATE = "frame_rate"
    PARAMETERS = "parameters"
    KEYFRAMES = "keyframes"
    COST = "cost"
    DAMAGED = "damaged"


_DECODE = Fraction(1, 8)
"""What it costs to decode a picture, where encoding one costs 1: measured at 1280x720, preset veryfast."""

CHILD_PIXELS = 1 << 23
"""An FFmpeg more costs what encoding so many pixels does: about 90 ms, with what Python does for it."""


@attrs.frozen
class Picture:
    """A picture as it is stored.

    Attributes:
        pts: When it is shown, in ticks of the source.
        is_idr: Whether nothing before it is needed for it and all that follow.
    """

    pts: int
    is_idr: bool


@attrs.frozen(kw_only=True)
class Copy:
    """What is copied of a clip.

    Attributes:
        index: Its first picture's place among those that were looked at, in the order they are stored.
        places: For each picture that is copied, in that order, its frame of the clip.
    """

    index: int
    places: tuple[int, ...]

    @property
    def first(self) -> int:
        """The clip's first frame that is copied."""
        return self.places[0]

    @property
    def end(self) -> int:
        """The clip's first frame after it that is not."""
        return self.places[0] + len(self.places)


def limits_of(start: Fraction, fps: Fraction, tick: Fraction, frames: int) -> list[int]:
    """Return, for each frame of a slot, the latest tick at which the picture on display in its middle may begin.

    Args:
        start: Where the clip begins in the file's own time, in seconds.
        fps: The output's frames a second.
        tick: Seconds per tick.
        frames: How many frames the slot has.
    """
    first, step = (start + Fraction(1, 2) / fps) / tick, 1 / (fps * tick)
    whole = first.denominator * step.denominator
    begin, each = first.numerator * step.denominator, step.numerator * first.denominator
    return [(begin + number * each) // whole for number in range(frames)]


def places_of(times: Sequence[int], limits: Sequence[int]) -> dict[int, int] | None:
    """Return the frame at which each picture is shown; None if the pictures of a slot aren't one for each frame.

    Args:
        times: When the pictures of the source are shown, in ticks, ascending.
        limits: What ``limits_of`` returned.
    """
    first = bisect.bisect_right(times, limits[0]) - 1
    if first < 0 or len(set(times)) != len(times):
        return None
    following = times[first + 1 : first + 1 + len(limits)]
    for number, limit in enumerate(limits):
        if first + number >= len(times) or times[first + number] > limit:
            return None
        if number < len(following) and following[number] <= limit:
            return None
    return {times[first + number]: number for number in range(len(limits))}


def find_copy(pictures: Sequence[Picture], places: dict[int, int], frames: int, most_reordered: int) -> Copy | None:
    """Find what can be copied; None if nothing can.

    Args:
        pictures: The source's, as they are stored.
        places: What ``places_of`` returned.
        frames: How many frames the slot has.
        most_reordered: How many pictures may be stored before one that is shown before them.
    """
    index = next((n for n, one in enumerate(pictures) if one.is_idr and one.pts in places), None)
    if index is None:
        return None
    first = places[pictures[index].pts]
    shown: list[int] = []
    last, whole = -1, 0
    for stored, picture in enumerate(pictures[index:]):
        place = places.get(picture.pts, frames)
        if place >= frames or place < first or stored - (place - first) > most_reordered:
            break  # beyond the clip, or of a source that is not what it says
        shown.append(place)
        last = max(last, place)
        if last - first + 1 == len(shown):
            whole = len(shown)
    return Copy(index=index, places=tuple(shown[:whole])) if whole else None


def pays(copy: Copy, pictures: Sequence[Picture], frames: int, child: Fraction) -> bool:
    """Tell whether copying costs less than encoding the whole clip.

    What is copied is decoded once too, to prove it whole. The pictures before an edge, from its keyframe on, are
    decoded for it alone.

    Args:
        copy: What would be copied.
        pictures: The source's, as they are stored, from the clip's keyframe on.
        frames: How many frames the clip has.
        child: What it costs to start an FFmpeg, in frames that are encoded meanwhile.
    """
    lead = max(0, copy.index - copy.first) * _DECODE
    encode = child + lead + frames * (1 + _DECODE)
    cost = child + len(copy.places) * _DECODE
    if copy.first:
        cost += child + lead + copy.first * (1 + _DECODE)
    if rest := frames - copy.end:
        cost += child + rest * (1 + _DECODE) + _since_idr(copy, pictures) * _DECODE
    return cost < encode


def _since_idr(copy: Copy, pictures: Sequence[Picture]) -> int:
    """Return how many pictures must be decoded before the edge at the end."""
    end = copy.index + len(copy.places)
    return end - max(n for n in range(copy.index, end) if pictures[n].is_idr)
