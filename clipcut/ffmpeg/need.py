"""What a clip needs of its source, and what is said where a piece of the source holds too little of it."""

import bisect
import enum
from fractions import Fraction

import attrs

SOUND_LEAD = Fraction(3, 10)
"""Seconds of sound before the clip that are decoded too: lossy codecs need a little past to be exact."""

SOUND_MARGIN = Fraction(1, 20)
"""Seconds of sound before the clip that a piece of a longer source must have at the least."""

SOUND_TAIL = Fraction(1, 10)
"""A clip that ends so many seconds before a segment does, or less, is taken to need sound of the next one."""

SOUND_SKEW = Fraction(1, 2)
"""By how many seconds sound may come later in a file than the picture it belongs to."""


@attrs.frozen(kw_only=True)
class Need:
    """What a clip needs of its source, in the file's own time, in seconds.

    Attributes:
        first: The picture on display at this moment is the first that is needed.
        last: The one on display at this moment is the last.
        sound: The range of sound that is needed, half-open; None for no sound.
        end: The clip's exact end.
        tolerance: By how much ``end`` may lie past the end of the source's last frame.
        before: Begin at a keyframe before this moment; None for the last one at or before ``first``.
    """

    first: Fraction
    last: Fraction
    sound: tuple[Fraction, Fraction] | None
    end: Fraction
    tolerance: Fraction
    before: Fraction | None = None

    @property
    def begin(self) -> Fraction:
        """The latest moment at which the excerpt's keyframe may be shown."""
        return self.first if self.before is None else min(self.first, self.before)

    def may_begin_at(self, moment: Fraction) -> bool:
        """Tell whether a keyframe shown at ``moment`` is early enough."""
        return moment <= self.first and (self.before is None or moment < self.before)


@attrs.frozen
class There:
    """Which bytes of a file were there at a moment, as ranges in order and apart; called to ask for one."""

    spans: tuple[tuple[int, int], ...]

    def __call__(self, first: int, end: int) -> bool:
        """Tell whether all of a range was there."""
        before = bisect.bisect_right(self.spans, first, key=lambda span: span[0]) - 1
        return before >= 0 and end <= self.spans[before][1]


class Side(enum.Enum):
    """Where a piece of a longer source doesn't reach far enough."""

    BEFORE = "before"
    AFTER = "after"


class UncoveredError(Exception):
    """A piece of a longer source doesn't hold all that the clip needs, and the source has more. Nobody's failure.

    Attributes:
        side: Where more is needed.
        is_sound: Whether it is the file with the sound alone that is too short.
    """

    def __init__(self, side: Side, *, is_sound: bool = False) -> None:
        """Say where."""
        self.side = side
        self.is_sound = is_sound
        super().__init__(side.value)
