"""A thing on its way: in one answer, or in several where a server gives less of a range than it was asked for."""

import attrs

from clipcut.errors import Reason, SourceError
from clipcut.network.ask import Answer, Ask
from clipcut.network.body import Window, total_size

LEAST_PART = 4096
"""How many bytes an answer must bring on average, in bytes: a range in smaller parts costs more than it is worth."""
FREE_PARTS = 8
"""How many answers may bring less: a server that cuts at multiples of a size may begin with a few bytes."""


@attrs.define
class Parts:
    """How much of a thing has come.

    Attributes:
        whole: What is wanted in all.
        taken: How many bytes of it came, in answers that came to their end.
        spent_s: How long these answers took, in seconds.
        answer: The first answer; None before it.
        is_over: Whether nothing is left to ask for.
    """

    whole: Ask
    taken: int = 0
    spent_s: float = 0.0
    answer: Answer | None = None
    is_over: bool = False
    _count: int = 0
    _most: int = 0

    @property
    def rest(self) -> Ask:
        """What is still to be asked for."""
        if not self.taken or self.whole.byte_range is None:
            return self.whole
        first, end = self.whole.byte_range
        return attrs.evolve(
            self.whole, byte_range=(first + self.taken, end), max_bytes=self.whole.max_bytes - self.taken
        )

    def begin_anew(self) -> None:
        """Forget what came."""
        self.taken = self._count = 0
        self.answer, self.is_over = None, False

    def accept(self, answer: Answer) -> None:
        """See that an answer is of the same thing as those before it.

        Raises:
            SourceError: ``truncated``, in passing: it isn't, and nothing that came is of use.
        """
        if self.answer is not None and not _is_same(self.answer, answer):
            self.begin_anew()
            words = f"{self.whole.what}: was changed while it came in parts"
            raise SourceError(Reason.TRUNCATED, words, is_passing=True)

    def note(self, answer: Answer, window: Window) -> bool:
        """Count what came with an answer; return whether the thing has come further than it ever was.

        Raises:
            SourceError: ``truncated``; it comes in too many parts.
        """
        self.answer = self.answer or answer
        self.taken += window.taken
        self._count += 1
        self.is_over = not window.has_rest
        if window.has_rest and self._count > FREE_PARTS + self.taken // LEAST_PART:
            words = f"{self.whole.what}: the server gives {self.taken // self._count} bytes at a time, too few"
            raise SourceError(Reason.TRUNCATED, words)
        is_further = window.has_rest and self.taken > self._most
        self._most = max(self._most, self.taken)
        return is_further


def _is_same(one: Answer, other: Answer) -> bool:
    """Tell whether two answers may be of the same thing, by what both say of it."""
    totals = [total_size(answer.headers.get("content-range", "")) for answer in (one, other)]
    if None not in totals and totals[0] != totals[1]:
        return False
    for name in ("etag", "last-modified"):  # the time only counts where there is no tag
        if name in one.headers and name in other.headers:
            return one.headers[name].removeprefix("W/") == other.headers[name].removeprefix("W/")
    return True
