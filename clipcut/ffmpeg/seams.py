"""Whether segments that were put together follow each other without a hole.

A segment that was cut off at the end of a picture is whole by its own structure, its length is what the server states,
and every picture in it decodes: only the next segment shows that something is missing. A pause in the pictures there is
a hole if it is longer than any other pause around it, and if the sound, where there is some, pauses too.
"""

import bisect
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import attrs

_LONGER = Fraction(3, 2)
"""How many times longer than any other a pause must be to be a hole."""

_SILENCE = Fraction(1, 10)
"""By how many seconds sound must pause too."""

_ENOUGH = 4
"""So many pictures of a segment must have been seen before its first is known: they don't come as they are shown."""


@attrs.define
class _Seen:
    """What was seen of one segment, in seconds of the file's time: pictures, and the begin and end of its sound."""

    pictures: list[Fraction] = attrs.field(factory=list)
    sound: tuple[Fraction, Fraction] | None = None


class Seams:
    """Watches packets go by and says where a hole is."""

    def __init__(self, begins: Sequence[int]) -> None:
        """Watch a file in which segments begin at these bytes, ascending; none for a file that is no such thing."""
        self._begins = begins
        self._seen = [_Seen() for _ in begins]

    def _of(self, place: int | None) -> _Seen | None:
        number = bisect.bisect_right(self._begins, place if place is not None else -1) - 1
        return self._seen[number] if number >= 0 else None

    def picture(self, place: int | None, moment: Fraction) -> None:
        """Note a picture: where in the file its bytes are, and when it is shown."""
        if (seen := self._of(place)) is not None:
            seen.pictures.append(moment)

    def sound(self, place: int | None, begin: Fraction, end: Fraction) -> None:
        """Note a packet of sound: where in the file its bytes are, from when to when it is heard."""
        if (seen := self._of(place)) is not None:
            first, last = seen.sound or (begin, end)
            seen.sound = (min(first, begin), max(last, end))

    @property
    def is_settled(self) -> bool:
        """Whether enough was seen of the segment that was come to last."""
        begun = [seen for seen in self._seen if seen.pictures]
        return len(begun) < 2 or len(begun[-1].pictures) >= _ENOUGH

    def hole(self, first: Fraction, last: Fraction) -> tuple[Fraction, Fraction] | None:
        """Return from when to when pictures are missing between two moments, if some are; else None."""
        begun = [seen for seen in self._seen if seen.pictures]
        pauses = [after - before for seen in begun for before, after in pairwise(sorted(seen.pictures))]
        for before, after in pairwise(begun):
            end, begin = max(before.pictures), min(after.pictures)
            is_long = bool(pauses) and begin - end > max(pauses) * _LONGER
            if is_long and end < last and begin > first and not _sounds_on(before, after):
                return end, begin
        return None


def _sounds_on(before: _Seen, after: _Seen) -> bool:
    """Tell whether sound goes on from one segment to the next; not where there is none."""
    return before.sound is not None and after.sound is not None and after.sound[0] - before.sound[1] < _SILENCE
