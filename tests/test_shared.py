"""Work that many wait for and that is done once; and several waits at once."""

import functools
import math
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from clipcut.errors import Reason, RenderError, SourceError
from clipcut.events import Retry, Told
from clipcut.sources.gather import gather
from clipcut.sources.shared import Shared

GONE = SourceError(Reason.HTTP_404, "segment 3: the server answers 404")
BUSY = SourceError(Reason.HTTP_5XX, "segment 3: the server answers 503", is_passing=True)
FULL = RenderError("There is no room.")
RETRY = Retry(1, 0.5, Reason.HTTP_5XX)
LEFT = "left"


@attrs.define
class Work:
    """Each go takes a second, and ends with the next of ``outcomes``, or the last.

    Attributes:
        outcomes: Values, and exceptions to raise.
        tidying_s: How long a go that is cancelled takes to end.
        retries: When, in seconds from a go's begin, it tells of a retry.
        goes, at_work, peak, cancelled: Counted.
    """

    outcomes: list[Any]
    tidying_s: float = 0
    retries: tuple[float, ...] = ()
    goes: int = 0
    at_work: int = 0
    peak: int = 0
    cancelled: int = 0

    async def __call__(self, told: Told) -> Any:
        """Go once."""
        outcome = self.outcomes[min(self.goes, len(self.outcomes) - 1)]
        self.goes += 1
        self.at_work += 1
        self.peak = max(self.peak, self.at_work)
        try:
            await self._take_time(told)
        except trio.Cancelled:
            self.cancelled += 1
            with trio.CancelScope(shield=True):
                await trio.sleep(self.tidying_s)
            raise
        finally:
            self.at_work -= 1
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _take_time(self, told: Told) -> None:
        end = trio.current_time() + 1
        for after in self.retries:
            await trio.sleep_until(end - 1 + after)
            told(RETRY)
        await trio.sleep_until(end)


@attrs.define(eq=False)
class Asker:
    """Asks at a moment and leaves at another, unless it has been answered; keeps the answer, and the retries told."""

    comes: float = 0
    leaves: float = math.inf
    answer: Any = None
    told: list[Retry] = attrs.field(factory=list)

    async def ask(self, shared: Shared[Any]) -> None:
        """Live this life."""
        await trio.sleep_until(self.comes)
        with trio.CancelScope(deadline=self.leaves) as scope:
            try:
                self.answer = await shared.get(self.told.append)
            except (SourceError, RenderError) as exc:
                self.answer = exc
        if scope.cancelled_caught:
            self.answer = LEFT

    @property
    def is_known(self) -> bool:
        """Whether it was told that its failure was known."""
        assert isinstance(self.answer, SourceError)
        return self.answer.is_known


async def play(work: Work, *askers: Asker) -> Shared[Any]:
    """Let all askers ask for the same work, on a virtual clock that begins at 0."""
    with trio.fail_after(1000):
        async with trio.open_nursery() as nursery:
            shared = Shared(nursery, work)
            for asker in askers:
                nursery.start_soon(asker.ask, shared)
    return shared


async def test_get_when_many_ask(autojump_clock: MockClock) -> None:
    """The work is done once, when it is first asked for, and all get what it gave."""
    work, askers = Work([7, 8]), [Asker(comes) for comes in (1, 1, 1.5, 3)]

    shared = await play(work, *askers)

    assert ([7, 7, 7, 7], 1) == ([asker.answer for asker in askers], work.goes)
    assert (7, 3) == (shared.value, trio.current_time())


async def test_get_when_nobody_asks(autojump_clock: MockClock) -> None:
    """Nothing is done."""
    work = Work([7])

    assert (await play(work)).value is None
    assert 0 == work.goes


@pytest.mark.parametrize("who", [pytest.param(0, id="first"), pytest.param(1, id="middle"), pytest.param(2, id="last")])
async def test_get_when_a_waiter_is_cancelled(who: int, autojump_clock: MockClock) -> None:
    """The others are served as if nothing had been."""
    work, askers = Work([7, 8]), [Asker(comes) for comes in (0, 0.1, 0.2)]
    askers[who].leaves = 0.5

    await play(work, *askers)

    assert LEFT == askers.pop(who).answer
    assert ([7, 7], 1, 0) == ([asker.answer for asker in askers], work.goes, work.cancelled)
    assert 1 == trio.current_time()


async def test_get_when_all_are_cancelled(autojump_clock: MockClock) -> None:
    """The work is cancelled with the last of them, and who asks later begins anew."""
    work, later = Work([7, 8]), Asker(5)

    shared = await play(work, Asker(0, 0.3), Asker(0.1, 0.6), later)

    assert (2, 1, 8) == (work.goes, work.cancelled, later.answer)
    assert (8, 6) == (shared.value, trio.current_time())


async def test_get_when_all_are_cancelled_at_once(autojump_clock: MockClock) -> None:
    """The work is cancelled then too, and leaves nothing behind."""
    work = Work([7])

    shared = await play(work, Asker(0, 0.5), Asker(0, 0.5))

    assert (1, 1) == (work.goes, work.cancelled)
    assert shared.value is None
    assert 0.5 == trio.current_time()


async def test_get_when_a_cancelled_go_has_not_ended(autojump_clock: MockClock) -> None:
    """A new go begins only when the old one has tidied up, whose files it would share."""
    work, later = Work([7, 8], tidying_s=2), [Asker(0.6), Asker(0.7, 1), Asker(0.8)]

    await play(work, Asker(0, 0.5), *later)

    assert [8, LEFT, 8] == [asker.answer for asker in later]
    assert (2, 1) == (work.goes, work.peak)
    assert 3.5 == trio.current_time()


@pytest.mark.parametrize(
    ("outcome", "answer", "goes"),
    [
        pytest.param(7, 7, 1, id="value"),
        pytest.param(GONE, str(GONE), 1, id="lasting failure"),
        pytest.param(BUSY, "8", 2, id="passing failure"),
    ],
)
async def test_get_when_a_cancelled_go_ended_all_the_same(
    outcome: Any, answer: Any, goes: int, autojump_clock: MockClock
) -> None:
    """What it came to is kept as usual: a thread that can't be stopped may have finished the work."""

    class Stubborn(Work):
        async def _take_time(self, told: Told) -> None:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)

    work, during, later = Stubborn([outcome, 8]), Asker(0.6), Asker(5)

    await play(work, Asker(0, 0.5), during, later)

    assert [str(answer)] * 2 == [str(during.answer), str(later.answer)]
    assert (goes, 1) == (work.goes, work.peak)


async def test_get_when_the_failure_lasts(autojump_clock: MockClock) -> None:
    """It is kept: whoever didn't have it asked for is told that it was known."""
    work, askers = Work([GONE, 7]), [Asker(comes) for comes in (0, 0.5, 5, 9)]

    shared = await play(work, *askers)

    assert [False, True, True, True] == [asker.is_known for asker in askers]
    assert {(GONE.reason, str(GONE), False)} == {
        (asker.answer.reason, str(asker.answer), asker.answer.is_passing) for asker in askers
    }
    assert 1 == work.goes
    assert shared.value is None


async def test_get_when_the_failure_passes(autojump_clock: MockClock) -> None:
    """Those who wait get it, and whoever asks later has it tried anew."""
    work, askers = Work([BUSY, BUSY, 7]), [Asker(comes) for comes in (0, 0.5, 3, 6, 9)]

    await play(work, *askers)

    assert [False, True, False] == [asker.is_known for asker in askers[:3]]
    assert all(asker.answer.is_passing for asker in askers[:3])
    assert ([7, 7], 3) == ([asker.answer for asker in askers[3:]], work.goes)


async def test_get_when_the_first_asker_of_a_failure_has_left(autojump_clock: MockClock) -> None:
    """The next in line takes its place: somebody had it asked for."""
    askers = [Asker(0, 0.5), Asker(0.1), Asker(0.2)]

    await play(Work([GONE]), *askers)

    assert [False, True] == [asker.is_known for asker in askers[1:]]


async def test_get_when_the_render_can_not_go_on(autojump_clock: MockClock) -> None:
    """Everybody is told so, now and later, with an exception of their own."""
    work, askers = Work([FULL]), [Asker(comes) for comes in (0, 0.5, 5)]

    await play(work, *askers)

    assert {(RenderError, str(FULL))} == {(type(asker.answer), str(asker.answer)) for asker in askers}
    assert (3, 1) == (len({id(asker.answer) for asker in askers}), work.goes)


async def test_get_when_several_fail_together(autojump_clock: MockClock) -> None:
    """Each has an exception of its own, as a task adds its trace to what it raises."""
    askers = [Asker(), Asker(), Asker(5)]

    await play(Work([GONE]), *askers)

    assert 4 == len({id(GONE), *(id(asker.answer) for asker in askers)})


async def test_get_when_there_is_a_bug(autojump_clock: MockClock) -> None:
    """It passes through the nursery, and nobody takes it for an outcome."""
    askers = [Asker(), Asker(0.5)]

    with pytest.RaisesGroup(ZeroDivisionError):
        await play(Work([ZeroDivisionError("a bug")]), *askers)

    assert [None, None] == [asker.answer for asker in askers]


async def test_told_when_many_wait(autojump_clock: MockClock) -> None:
    """A retry is told to one of them: it counts once."""
    askers = [Asker(), Asker(), Asker(0.7)]

    await play(Work([7], retries=(0.5, 0.9)), *askers)

    assert [[], [], [RETRY, RETRY]] == sorted((asker.told for asker in askers), key=len)


async def test_told_when_the_first_has_left(autojump_clock: MockClock) -> None:
    """A retry is told to who waits now."""
    askers = [Asker(0, 0.4), Asker(0.1), Asker(0.2)]

    await play(Work([7], retries=(0.3, 0.6)), *askers)

    assert [[RETRY], [RETRY], []] == [asker.told for asker in askers]


async def test_told_when_nobody_waits_any_more(autojump_clock: MockClock) -> None:
    """A retry that comes while a cancelled go ends is told to nobody."""

    class Late(Work):
        async def _take_time(self, told: Told) -> None:
            try:
                await trio.sleep(1)
            finally:
                told(RETRY)

    askers = [Asker(0, 0.5), Asker(0, 0.5)]

    await play(Late([7]), *askers)

    assert [[], []] == [asker.told for asker in askers]


@given(
    outcomes=st.lists(st.sampled_from([7, 8, GONE, BUSY, FULL]), min_size=1, max_size=4),
    lives=st.lists(st.tuples(st.integers(0, 12), st.none() | st.integers(0, 6)), min_size=1, max_size=6),
    tidying=st.integers(0, 4),
)
def test_get_at_any_time(outcomes: list[Any], lives: list[tuple[int, int | None]], tidying: int) -> None:
    """Never two goes at once; everybody is answered or leaves of their own; what lasts is the same for all."""
    askers = [Asker(at / 4, math.inf if stays is None else (at + stays) / 4) for at, stays in lives]
    work = Work(outcomes, tidying_s=tidying / 4)

    trio.run(functools.partial(play, work, *askers), clock=MockClock(autojump_threshold=0))

    answers = [str(asker.answer) for asker in askers]
    assert LEFT not in {str(asker.answer) for asker in askers if asker.leaves == math.inf}
    assert set(answers) <= {LEFT, *map(str, outcomes)}
    assert len({answer for answer in answers if answer not in (LEFT, str(BUSY))}) <= 1
    assert (0, min(1, work.goes)) == (work.at_work, work.peak)
    assert work.goes <= len(askers)


def after(seconds: float, outcome: Any, log: list[Any]) -> Any:
    """A job that takes its time; what became of it is logged."""

    async def job() -> Any:
        try:
            await trio.sleep(seconds)
        except trio.Cancelled:
            log.append("cancelled")
            raise
        log.append(outcome)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return job


async def test_gather_when_jobs_end_in_another_order(autojump_clock: MockClock) -> None:
    """All are done at once, and results are in the order of the jobs."""
    log: list[Any] = []

    assert ["a", "b", "c"] == await gather(after(3, "a", log), after(1, "b", log), after(2, "c", log))
    assert (["b", "c", "a"], 3) == (log, trio.current_time())


@pytest.mark.parametrize("failure", [pytest.param(GONE, id="source"), pytest.param(FULL, id="render")])
async def test_gather_when_a_job_fails(failure: Exception, autojump_clock: MockClock) -> None:
    """Its failure is the whole's, as it is and at once, and the others are cancelled."""
    log: list[Any] = []

    with pytest.raises(type(failure)) as caught:
        await gather(after(9, "a", log), after(1, failure, log), after(8, GONE, log), after(0.5, "b", log))

    assert caught.value is failure
    assert (["b", failure, "cancelled", "cancelled"], 1) == (log, trio.current_time())


async def test_gather_when_a_job_fails_as_it_is_cancelled(autojump_clock: MockClock) -> None:
    """The first failure is the one that is told."""

    async def fail_late() -> None:
        try:
            await trio.sleep(9)
        finally:
            raise BUSY

    with pytest.raises(SourceError) as caught:
        await gather(fail_late, after(1, GONE, []))

    assert caught.value is GONE


async def test_gather_when_cancelled(autojump_clock: MockClock) -> None:
    """The jobs are cancelled too, and it gives nothing."""
    log: list[Any] = []

    with trio.move_on_after(2) as scope:
        await gather(after(9, "a", log), after(1, "b", log))

    assert scope.cancelled_caught
    assert ["b", "cancelled"] == log


async def test_gather_when_there_is_a_bug(autojump_clock: MockClock) -> None:
    """It isn't taken for a failure of the source."""
    with pytest.RaisesGroup(ZeroDivisionError):
        await gather(after(1, ZeroDivisionError("a bug"), []), after(2, "a", []))


async def test_gather_when_there_is_nothing_to_do() -> None:
    """Nothing comes of it."""
    assert [] == await gather()
