"""The ladder and the ends of a clip, with a fake cutter."""

import itertools
import random
from collections.abc import Sequence

import attrs
import pytest
import trio
from fakes import FakeCutter, Recorder, make_plan

from clipcut import extract
from clipcut.errors import Reason, RenderError, SourceError
from clipcut.extract import Extraction
from clipcut.limits import Limits
from clipcut.options import OnMissing, PlaceholderLimit
from clipcut.plan import Method, Plan, Rung, launch_order
from clipcut.results import Outcome, Status

REMOTE_FIRST = (Rung(Method.REMOTE, "https://cdn.example/v"), Rung(Method.LOCAL, "v.mp4"), Rung(Method.PLACEHOLDER))
GONE = SourceError(Reason.HTTP_404, "gone")
MISSING = SourceError(Reason.MISSING_FILE, "missing")


def make(count: int, on_missing: str = OnMissing.PLACEHOLDER, limit: str = "100%", places: int = 4) -> Extraction:
    """Get an extraction of ``count`` clips of different videos ready."""
    plan = make_plan(*(f"v{n}" for n in range(count)), ladder=REMOTE_FIRST)
    return Extraction(
        plan, Limits(places, 2, cores=2), Recorder(), on_missing=on_missing, max_placeholders=PlaceholderLimit(limit)
    )


async def test_the_first_rung_that_holds_ends_the_climb(autojump_clock: trio.testing.MockClock) -> None:
    """Success, local copy and placeholder are told apart, with one attempt per rung tried."""
    extraction = make(3)
    cutter = FakeCutter(
        outcomes={
            ("c1", Method.REMOTE): GONE,
            ("c2", Method.REMOTE): GONE,
            ("c2", Method.LOCAL): MISSING,
        }
    )

    await extraction.run(cutter)

    results = extraction.results()
    assert [Status.SUCCESS, Status.FALLBACK_LOCAL, Status.FALLBACK_PLACEHOLDER] == [r.status for r in results]
    assert [None, Reason.HTTP_404, Reason.HTTP_404] == [r.fallback_reason for r in results]
    assert [Outcome.FAILED, Outcome.FAILED, Outcome.OK] == [attempt.outcome for attempt in results[2].attempts]
    assert 0 == extraction.unfinished


async def test_a_missing_clip_ends_the_render_when_asked_to(autojump_clock: trio.testing.MockClock) -> None:
    """``--on-missing fail``: the clip is failed, what was at work is cancelled, what never began is cancelled too."""
    extraction = make(6, on_missing=OnMissing.FAIL, places=2)
    outcomes = {("c0", Method.REMOTE): GONE, ("c0", Method.LOCAL): MISSING}
    cutter = FakeCutter(seconds=lambda edit: 1 if edit.index == 0 else 100, outcomes=outcomes)

    with pytest.RaisesGroup(pytest.RaisesExc(RenderError, match="c0")):
        await extraction.run(cutter)

    results = extraction.results()
    assert [Status.FAILED, *[Status.CANCELLED] * 5] == [result.status for result in results]
    assert Outcome.CANCELLED == results[1].attempts[-1].outcome
    assert {0, 1} == {result.parallel_slot for result in results[:2]}
    assert {None} == {result.parallel_slot for result in results[2:]}


async def test_too_many_placeholders_end_the_render(autojump_clock: trio.testing.MockClock) -> None:
    """Strictly more than the limit fails it; as many as the limit does not."""
    outcomes = {(f"c{n}", method): MISSING for n in (1, 2) for method in (Method.REMOTE, Method.LOCAL)}

    await make(4, limit="2").run(FakeCutter(outcomes=outcomes))
    await make(4, limit="50%").run(FakeCutter(outcomes=outcomes))

    for limit in ("1", "49.9%", "0"):
        with pytest.RaisesGroup(pytest.RaisesExc(RenderError, match="max-placeholders")):
            await make(4, limit=limit).run(FakeCutter(outcomes=outcomes))


async def test_a_full_disk_ends_the_render_and_is_its_clips_reason(autojump_clock: trio.testing.MockClock) -> None:
    """No room is no fault of a source: nothing falls back."""
    extraction = make(1)
    cutter = FakeCutter(outcomes={("c0", Method.REMOTE): RenderError("no room")})

    with pytest.RaisesGroup(pytest.RaisesExc(RenderError, match="no room")):
        await extraction.run(cutter)

    assert (Status.FAILED, Reason.DISK) == (extraction.results()[0].status, extraction.results()[0].fallback_reason)
    assert [("c0", Method.REMOTE)] == cutter.calls


async def test_cancellation_leaves_a_result_for_every_clip(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever is cancelled at any moment finds each clip with one status."""
    extraction = make(10, places=3)
    with trio.move_on_after(2.5):
        await extraction.run(FakeCutter(seconds=1))

    statuses = [result.status for result in extraction.results()]
    assert (6, 4) == (statuses.count(Status.SUCCESS), statuses.count(Status.CANCELLED))


async def test_bugs_pass_through(autojump_clock: trio.testing.MockClock) -> None:
    """What nobody foresaw isn't turned into a fallback."""
    cutter = FakeCutter(outcomes={("c0", Method.REMOTE): ZeroDivisionError("a bug")})

    with pytest.RaisesGroup(ZeroDivisionError):
        await make(1).run(cutter)


async def test_so_many_clips_wait_and_no_more(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """However many there are, the tasks are few, and each clip has its turn."""
    monkeypatch.setattr(extract, "WINDOW", 5)
    extraction, tasks = make(40, places=2), list[int]()

    async def watch() -> None:
        for _ in range(20):
            await trio.sleep(1)
            tasks.append(trio.lowlevel.current_statistics().tasks_living)

    before = trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await extraction.run(FakeCutter(seconds=1))

    assert {Status.SUCCESS} == {result.status for result in extraction.results()}
    assert max(tasks) <= before + 5 + 1


def with_lengths(frames: Sequence[int]) -> Plan:
    """Make a plan of clips of these lengths, each of a video of its own."""
    plan = make_plan(*(f"v{n}" for n in range(len(frames))))
    edits = zip(plan.edits, frames, strict=True)
    return attrs.evolve(
        plan, edits=tuple(attrs.evolve(edit, slot=attrs.evolve(edit.slot, frames=count)) for edit, count in edits)
    )


def test_the_last_clips_begin_longest_first() -> None:
    """Those before them keep the timeline's order, and so do clips of one length."""
    plan = with_lengths([10, 50, 20, 10, 30, 30, 40])

    assert [0, 1, 2, 6, 4, 5, 3] == [edit.index for edit in launch_order(plan.edits, 2)]
    assert [1, 6, 4, 5, 2, 0, 3] == [edit.index for edit in launch_order(plan.edits, 64)]


@pytest.mark.parametrize("cores", [2, 8, 32, 64])
async def test_cores_are_busy_to_the_end(cores: int, autojump_clock: trio.testing.MockClock) -> None:
    """A render takes as long as its work shared out evenly, and at most a third of its longest clip more."""
    seed = 7
    chance = random.Random(seed)
    plan = with_lengths([chance.randint(45, 105) for _ in range(4 * cores)])
    limits = Limits(cores, 2, cores=cores)
    extraction = Extraction(
        plan, limits, Recorder(), on_missing=OnMissing.FAIL, max_placeholders=PlaceholderLimit("100%")
    )
    began = trio.current_time()

    await extraction.run(FakeCutter(seconds=lambda edit: edit.slot.frames / 30))

    lengths = [edit.slot.frames / 30 for edit in plan.edits]
    assert trio.current_time() - began <= sum(lengths) / cores + max(lengths) / 3, f"seed {seed}"
    assert cores == limits.peak_parallelism


async def test_pieces_can_be_waited_for_in_any_order(autojump_clock: trio.testing.MockClock) -> None:
    """The join waits for clip 0 while clip 1 is long done."""
    extraction = make(2)
    order: list[int] = []

    async def wait(index: int) -> None:
        await extraction.clip(index)
        order.append(index)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, 0)
        nursery.start_soon(wait, 1)
        nursery.start_soon(extraction.run, FakeCutter(seconds=lambda edit: 5 - edit.index))

    assert [1, 0] == order


def late(count: int, deadline: float, on_missing: str = OnMissing.PLACEHOLDER) -> tuple[Extraction, Recorder]:
    """Get an extraction ready that has ``deadline`` seconds, with four places."""
    plan, listener = make_plan(*(f"v{n}" for n in range(count)), ladder=REMOTE_FIRST), Recorder()
    extraction = Extraction(
        plan,
        Limits(4, 2, cores=2),
        listener,
        on_missing=on_missing,
        max_placeholders=PlaceholderLimit("100%"),
        deadline=trio.current_time() + deadline,
    )
    return extraction, listener


async def test_what_is_late_becomes_a_placeholder(autojump_clock: trio.testing.MockClock) -> None:
    """Those at work are cancelled, those that wait are not tried any more; all of it at the deadline."""
    extraction, listener = late(12, 2.5)
    cutter = FakeCutter(seconds=1)
    began = trio.current_time()

    await extraction.run(cutter)

    results = extraction.results()
    assert 2.5 == trio.current_time() - began
    assert [Status.SUCCESS] * 8 + [Status.FALLBACK_PLACEHOLDER] * 4 == [result.status for result in results]
    for result in results[8:]:
        assert Reason.DEADLINE == result.fallback_reason
        assert [(Method.REMOTE, Outcome.CANCELLED), (Method.PLACEHOLDER, Outcome.OK)] == [
            (attempt.method, attempt.outcome) for attempt in result.attempts
        ]
    assert 1 == listener.events.count(("warning", "render.deadline"))


async def test_a_clip_that_fell_back_before_the_deadline_keeps_its_reason(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The first rung failed by itself, the second was late."""
    extraction, _ = late(1, 1.5)
    cutter = FakeCutter(seconds=1, outcomes={("c0", Method.REMOTE): GONE})

    await extraction.run(cutter)

    (result,) = extraction.results()
    assert [Reason.HTTP_404, Reason.DEADLINE, None] == [attempt.reason for attempt in result.attempts]
    assert Reason.HTTP_404 == result.fallback_reason


async def test_a_deadline_fails_the_render_where_nothing_may_be_missing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """``--on-missing fail``; the message names the deadline."""
    extraction, _ = late(3, 0.5, OnMissing.FAIL)

    with pytest.RaisesGroup(pytest.RaisesExc(RenderError, match="the deadline came first")):
        await extraction.run(FakeCutter(seconds=1))


async def test_a_finished_clip_never_comes_to_work(autojump_clock: trio.testing.MockClock) -> None:
    """It has the status of its rung, no place, and takes no time; a rung that is gone is left behind by the look."""
    plan, listener = make_plan("a", "b", "c", ladder=REMOTE_FIRST), Recorder()
    limits = Limits(1, 1, cores=2)
    extraction = Extraction(
        plan, limits, listener, on_missing=OnMissing.PLACEHOLDER, max_placeholders=PlaceholderLimit("100%")
    )
    cutter = FakeCutter(
        seconds=1,
        finished=frozenset({("c0", Method.REMOTE), ("c1", Method.LOCAL), ("c2", Method.LOCAL)}),
        gone={"c1": (Method.REMOTE,)},
        outcomes={("c2", Method.REMOTE): GONE},
    )

    await extraction.run(cutter)

    first, second, third = extraction.results()
    assert (Status.SUCCESS, True, None, 0) == (first.status, first.is_cached, first.parallel_slot, first.duration_ms)
    assert (Status.FALLBACK_LOCAL, True, None) == (second.status, second.is_cached, second.parallel_slot)
    assert [(Method.REMOTE, Outcome.FAILED), (Method.LOCAL, Outcome.OK)] == [
        (attempt.method, attempt.outcome) for attempt in second.attempts
    ]
    assert (Status.FALLBACK_LOCAL, False, 0) == (third.status, third.is_cached, third.parallel_slot)
    assert [("c2", Method.REMOTE)] == cutter.calls
    assert ["c2"] == [name for event, name in listener.events if event == "started"]
    assert 1 == limits.peak_parallelism


async def test_whoever_has_to_ask_is_at_work_first(autojump_clock: trio.testing.MockClock) -> None:
    """Each comes to work before anything is fetched for it, whether it was finished before or not.

    A clip that was found by asking has no slot and no time in its result, as any other that was finished before.
    """
    plan, listener = make_plan("a", "b", "c", "d", ladder=REMOTE_FIRST), Recorder()
    limits = Limits(1, 1, cores=2)
    extraction = Extraction(
        plan, limits, listener, on_missing=OnMissing.PLACEHOLDER, max_placeholders=PlaceholderLimit("100%")
    )
    cutter = FakeCutter(
        finished=frozenset({("c0", Method.REMOTE), ("c1", Method.LOCAL), ("c3", Method.REMOTE)}),
        gone={"c1": (Method.REMOTE,)},
        asks=frozenset((f"c{n}", Method.REMOTE) for n in range(3)),
        events=listener.events,
    )

    await extraction.run(cutter)

    asked = [[(event, name) for event in ("started", "asked", "finished")] for name in ("c0", "c1", "c2")]
    assert [*itertools.chain(*asked), ("finished", "c3")] == listener.events
    results = extraction.results()
    assert [Status.SUCCESS, Status.FALLBACK_LOCAL, Status.SUCCESS, Status.SUCCESS] == [one.status for one in results]
    assert [True, True, False, True] == [one.is_cached for one in results]
    assert [None, None, 0, None] == [one.parallel_slot for one in results]
    assert [0, 0, 1000, 0] == [one.duration_ms for one in results]
    assert (1, 0) == (limits.peak_parallelism, limits.at_work)


async def test_what_was_finished_before_is_found_after_the_deadline_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Three finished clips wait behind one that hangs: only that one is late."""
    extraction, _ = late(6, 2.5)
    names = [f"c{n}" for n in range(1, 6)]
    cutter = FakeCutter(seconds=10**6, finished=frozenset((name, Method.REMOTE) for name in names))
    extraction._limits.change(1, 1, 3, None)

    await extraction.run(cutter)

    assert [Status.FALLBACK_PLACEHOLDER] + [Status.SUCCESS] * 5 == [one.status for one in extraction.results()]
    assert [False] + [True] * 5 == [one.is_cached for one in extraction.results()]
