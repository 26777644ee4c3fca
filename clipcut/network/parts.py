"""A thing on its way: in one answer, or in several where a server gives less of a range than it was asked for."""

import attrs

from clipcut.errors import Reason, SourceError
from clipcut.network.ask import Answer, Ask
from clipcut.network.body import Window, is_same_state, total_size, validator_in
from clipcut.network.http import Reply

LEAST_PART = 4096
"""How many bytes an answer must bring on average: a range in smaller parts costs more than it is worth."""
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
        sends_range: Whether a range is asked for as such, and not picked out of the whole.
        sends_if_range: Whether the server is told of what state the thing must be.
    """

    whole: Ask
    taken: int = 0
    spent_s: float = 0.0
    answer: Answer | None = None
    is_over: bool = False
    sends_range: bool = True
    sends_if_range: bool = True
    _was_out_of_range: bool = False
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

    def must_turn(self, ask: Ask, reply: Reply) -> bool:
        """Tell whether an answer only means that something else should be asked for; ``rest`` is that then.

        It is the end, if that wasn't known; a range that reaches past the end, for a server that gives none of it then;
        or all of just the thing that a range was asked of, for a server that doesn't understand ``If-Range``.
        """
        if ask.byte_range is None:
            return False
        if reply.status == 416 and ask.may_be_shorter:
            return self._fit(ask.byte_range, reply)
        known = ask.if_range if self.sends_if_range else None
        found = validator_in(reply.headers, known) if known is not None and reply.status == 200 else None
        if known is None or found is None or not is_same_state(found, known):
            return False
        self.sends_if_range = False
        return True

    def _fit(self, wanted: tuple[int, int], reply: Reply) -> bool:
        """Ask for what there is of a range, once, by the length that a refusal tells; without one, for the whole."""
        first, end = wanted
        total = total_size(reply.headers.get("content-range", ""))
        if self.taken:
            self.is_over = True
        elif self._was_out_of_range:
            return False
        elif total is not None and first < total < end:
            self.whole = attrs.evolve(self.whole, byte_range=(first, total))
        elif total is None and first == 0:
            self.sends_range = False
        else:
            return False
        self._was_out_of_range = True
        return True

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
            return is_same_state(one.headers[name], other.headers[name])
    return True
