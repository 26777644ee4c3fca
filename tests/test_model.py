"""A model of a render: whatever sources do, and whatever changes meanwhile, each clip ends once and no place is lost.

The machine decides step by step how the work that is going on ends: well, for good or in passing, with a crash, a full
disk or a bug. It lets time pass a deadline, changes the limits, interrupts. Extraction, ladder, limits, verdict and
report are the real ones; only the cutter is a fake, which waits to be told. Time stands still between the steps.
"""

import datetime as dt
import itertools
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import trio
from fakes import Recorder, make_cut, make_plan
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from reports import report_mistakes
from trio.testing import MockClock, wait_all_tasks_blocked

from clipcut.errors import Reason, RenderError, SourceError
from clipcut.events import Retry, Told
from clipcut.extract import Extraction
from clipcut.limits import Limits
from clipcut.options import OnMissing, PlaceholderLimit
from clipcut.pipeline import Render
from clipcut.plan import Edit, Method, Plan, Rung
from clipcut.preflight import Job
from clipcut.report import RunFacts, build_report
from clipcut.results import Attempt, ClipResult, CutFile, Outcome, OutputFacts, SpanHashes, Status
from clipcut.settings import resolve_settings

REMOTE, LOCAL = Rung(Method.REMOTE, "https://cdn.example/v"), Rung(Method.LOCAL, "v.mp4")
LADDERS = [(REMOTE, LOCAL), (REMOTE,), (LOCAL, Rung(Method.LOCAL, "w.mp4")), (LOCAL,)]
PLACEHOLDER = Rung(Method.PLACEHOLDER)
CORES = 2
SIGINT = 2

ENDS: dict[str, Callable[[], Exception | None]] = {
    "fine": lambda: None,
    "gone": lambda: SourceError(Reason.HTTP_404, "gone"),
    "known": lambda: SourceError(Reason.HTTP_404, "gone", is_known=True),
    "given up": lambda: SourceError(Reason.HTTP_5XX, "the server answers 503 (asked 4 times)", is_passing=True),
    "crash": lambda: SourceError(Reason.FFMPEG, "FFmpeg crashed (exit 139)"),
    "disk": lambda: RenderError("There is no room for working files."),
    "bug": lambda: ZeroDivisionError("a bug"),
}
OUTCOMES: dict[str | None, Outcome] = {
    "fine": Outcome.OK,
    "gone": Outcome.FAILED,
    "known": Outcome.SKIPPED,
    "given up": Outcome.FAILED,
    "crash": Outcome.FAILED,
    "disk": Outcome.FAILED,
    "bug": Outcome.CANCELLED,
}
FATAL = ("disk", "bug")


@attrs.define(eq=False)
class Work:
    """Something that goes on for a clip until the machine says how it ends."""

    key: tuple[int, int]
    told: Told
    is_look: bool
    over: trio.Event = attrs.field(factory=trio.Event)
    end: str = "fine"


@attrs.define
class Desk:
    """A cutter whose work lies on a desk; it holds an encoder's place meanwhile, as the real one does."""

    limits: Limits
    looks: bool
    asks: bool = False
    lying: list[Work] = attrs.field(factory=list)

    def knows(self, edit: Edit, rung: Rung) -> bool:
        """Know what was finished, unless somebody has to be asked; never of a placeholder."""
        return self.looks and not self.asks and rung.method is not Method.PLACEHOLDER

    async def find(self, edit: Edit, rung: Rung, told: Told) -> tuple[CutFile, ...]:
        """Look whether the clip was finished before; ``fine`` says yes."""
        await trio.lowlevel.checkpoint()
        if not self.looks:
            return ()
        return await self._wait(edit, Work((edit.index, edit.ladder.index(rung)), told, is_look=True))

    async def cut(self, edit: Edit, rung: Rung, told: Told) -> tuple[CutFile, ...]:
        """Cut."""
        async with self.limits.encoders:
            return await self._wait(edit, Work((edit.index, edit.ladder.index(rung)), told, is_look=False))

    async def _wait(self, edit: Edit, work: Work) -> tuple[CutFile, ...]:
        self.lying.append(work)
        try:
            await work.over.wait()
        finally:
            self.lying.remove(work)
        if work.end == "nothing":
            return ()
        if (error := ENDS[work.end]()) is not None:
            raise error
        return (make_cut(edit, edit.ladder[work.key[1]].method),)


@attrs.define
class Watch(Recorder):
    """Sees that starts and ends of clips alternate, and that slots are the lowest that are free."""

    in_use: dict[str, int] = attrs.field(factory=dict)
    ends: Counter[str] = attrs.field(factory=Counter)
    mistakes: list[str] = attrs.field(factory=list)
    """Kept: a render would take a raise for a bug."""

    def clip_started(self, edit: Edit, parallel_slot: int) -> None:
        """Note who has which slot."""
        lowest = next(n for n in itertools.count() if n not in self.in_use.values())
        if parallel_slot != lowest or edit.name in self.in_use:
            self.mistakes.append(f"{edit.name} starts in slot {parallel_slot}; in use are {self.in_use}")
        self.in_use[edit.name] = parallel_slot

    def clip_finished(self, result: ClipResult) -> None:
        """Note an end, which each clip has once."""
        name = result.edit.name
        self.ends[name] += 1
        slot = self.in_use.pop(name, None)
        if self.ends[name] > 1 or (None if result.is_cached else slot) != result.parallel_slot:
            self.mistakes.append(f"{name} ends {self.ends[name]} times, with slot {result.parallel_slot}")


@attrs.define(kw_only=True)
class ModelRender(Render):
    """A render whose clips are cut at a desk, and joined by being waited for."""

    desk: Desk

    async def work(self) -> None:
        """Extract and join; then the output is there."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._join)
            nursery.start_soon(self.extraction.run, self.desk)
        self._refuse_all_black()
        plan = self.job.plan
        hashes = tuple(SpanHashes("0" * 32, "0" * 32) for _ in plan.edits)
        self.output = OutputFacts(self.job.output, 1, plan.frames, float(plan.seconds), hashes)

    async def _join(self) -> None:
        for edit in self.job.plan.edits:
            await self.extraction.clip(edit.index)


@attrs.define
class Loop:
    """Trio in a thread of its own, which does nothing but what it is asked to, and then waits."""

    clock: MockClock = attrs.field(factory=MockClock)
    failed: list[BaseException] = attrs.field(factory=list)
    _token: trio.lowlevel.TrioToken | None = None
    _ready: threading.Event = attrs.field(factory=threading.Event)
    _thread: threading.Thread | None = None
    _end: Callable[[], None] = attrs.field(init=False)

    def start(self, work: Callable[[], Any]) -> None:
        """Start a task, and wait until it can't go on."""
        self._thread = threading.Thread(target=self._run, args=(work,))
        self._thread.start()
        self._ready.wait()
        self.step(lambda: None)

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            trio.run(self._main, work, clock=self.clock)
        except BaseException as exc:
            self.failed.append(exc)
        finally:
            self._ready.set()

    async def _main(self, work: Callable[[], Any]) -> None:
        with trio.CancelScope() as scope:
            self._end = scope.cancel
            self._token = trio.lowlevel.current_trio_token()
            self._ready.set()
            await work()
            await trio.sleep_forever()

    def step(self, act: Callable[[], Any]) -> None:
        """Do something inside Trio, and wait until everybody waits."""

        async def do() -> None:
            act()
            await wait_all_tasks_blocked()

        assert [] == self.failed
        trio.from_thread.run(do, trio_token=self._token)

    def close(self) -> None:
        """End it, also if it hangs."""
        if self._thread is not None:
            if not self.failed:
                trio.from_thread.run_sync(self._end, trio_token=self._token)
            self._thread.join()
        assert [] == self.failed


class RenderMachine(RuleBasedStateMachine):
    """A render, with all that may happen to it."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        super().__init__()
        self.loop = Loop()
        self.is_over = False
        self.is_interrupted = False
        self.said: dict[tuple[int, int], str] = {}
        self.retries: Counter[int] = Counter()
        self.held: dict[str, int] = defaultdict(int)

    @initialize(
        clips=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(LADDERS)), min_size=1, max_size=8),
        places=st.integers(1, 4),
        per_video=st.integers(1, 3),
        on_missing=st.sampled_from([OnMissing.PLACEHOLDER] * 3 + [OnMissing.FAIL]),
        most=st.sampled_from(["100%"] * 3 + ["50%", "1", "0"]),
        deadline=st.none() | st.integers(1, 6),
        looks=st.booleans(),
        asks=st.booleans(),
    )
    def begin(
        self,
        clips: list[tuple[str, tuple[Rung, ...]]],
        places: int,
        per_video: int,
        on_missing: OnMissing,
        most: str,
        deadline: int | None,
        looks: bool,
        asks: bool,
    ) -> None:
        """Let a render begin."""
        self.plan = plan_of(clips)
        self.most, self.on_missing, self.deadline = PlaceholderLimit(most), on_missing, deadline
        self.limits, self.listener = Limits(places, per_video, CORES), Watch()
        self.desk = Desk(self.limits, looks, asks)

        async def work() -> None:
            self.render = self._open()
            with trio.CancelScope() as self.scope:
                await self.render.attempt()
            self.result = self.render.result(SIGINT if self.is_interrupted else None)
            self.is_over = True

        self.loop.start(work)

    def _open(self) -> ModelRender:
        began = trio.current_time()
        extraction = Extraction(
            self.plan,
            self.limits,
            self.listener,
            on_missing=self.on_missing,
            max_placeholders=self.most,
            deadline=began + (self.deadline if self.deadline is not None else float("inf")),
        )
        self.settings = resolve_settings({}, {}, None, Path("/"))
        output = Path("/mix.mp4")
        job = Job(
            plan=self.plan, settings=self.settings, output=output, report=None, work_parent=output.parent, comment=""
        )
        return ModelRender(
            job=job,
            settings=self.settings,
            listener=self.listener,
            limits=self.limits,
            extraction=extraction,
            began=began,
            desk=self.desk,
        )

    def _is_busy(self) -> bool:
        return not self.is_over and bool(self.desk.lying)

    def _pick(self, number: int) -> Work:
        lying = sorted(self.desk.lying, key=lambda work: work.key)
        return lying[number % len(lying)]

    def _end(self, work: Work, end: str) -> None:
        if end != "nothing":
            self.said[work.key] = end
        work.end = end
        self.loop.step(work.over.set)

    @precondition(_is_busy)
    @rule(number=st.integers(0, 7), end=st.sampled_from(["fine"] * 6 + ["gone", "known", "given up", "crash"]))
    def end(self, number: int, end: str) -> None:
        """Something that goes on ends."""
        self._end(self._pick(number), end)

    @precondition(_is_busy)
    @rule(number=st.integers(0, 7))
    def find_nothing(self, number: int) -> None:
        """A look ends without anything found, so that the clip has to be made."""
        work = self._pick(number)
        if work.is_look:
            self._end(work, "nothing")

    @precondition(_is_busy)
    @rule(number=st.integers(0, 7), end=st.sampled_from(FATAL), luck=st.integers(0, 5))
    def end_badly(self, number: int, end: str, luck: int) -> None:
        """The disk is full, or there is a bug: not in every render."""
        if luck == 5:
            self._end(self._pick(number), end)

    @precondition(_is_busy)
    @rule(number=st.integers(0, 7))
    def ask_again(self, number: int) -> None:
        """A request failed in passing, and is sent again."""
        work = self._pick(number)
        self.retries[work.key[0]] += 1
        self.loop.step(lambda: work.told(Retry(1, 0.5, Reason.HTTP_5XX)))

    @precondition(lambda self: not self.is_over)
    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds: int) -> None:
        """Time passes, perhaps past the deadline."""
        self.loop.step(lambda: self.loop.clock.jump(seconds))

    @precondition(lambda self: not self.is_over)
    @rule(places=st.integers(1, 5), per_video=st.integers(1, 4))
    def change_limits(self, places: int, per_video: int) -> None:
        """Others hold from now on."""
        self.loop.step(lambda: self.limits.change(places, per_video, 3, None))

    @precondition(lambda self: not self.is_over)
    @rule(luck=st.integers(0, 9))
    def interrupt(self, luck: int) -> None:
        """Somebody ends it: not every render."""
        if luck == 9:
            self.is_interrupted = True
            self.loop.step(self.scope.cancel)

    @precondition(lambda self: self.is_over)
    @rule()
    def rest(self) -> None:
        """It is over: nothing more can happen."""

    @invariant()
    def nobody_exceeds_a_limit_or_waits_for_nothing(self) -> None:
        """What holds places never grows above a limit, and who waits does so because there is none."""
        limiters = {
            "": (self.limits._places, self.limits.max_parallelism),
            **{name: (one, self.limits.per_video_limit) for name, one in self.limits._videos.items()},
        }
        for name, (limiter, limit) in limiters.items():
            held = int(limiter.borrowed_tokens)
            assert held <= max(limit, self.held[name])
            assert not limiter.statistics().tasks_waiting or held >= limit
            self.held[name] = held

    @invariant()
    def starts_and_ends_match(self) -> None:
        """Each clip starts and ends at most once, in the lowest slot; all that is at work is counted."""
        assert [] == self.listener.mistakes
        assert self.limits.at_work == len(self.listener.in_use)

    @invariant()
    def a_render_goes_on_as_long_as_there_is_work(self) -> None:
        """Nothing hangs: either something lies on the desk, or it is over."""
        assert self.is_over or self.desk.lying

    def teardown(self) -> None:
        """Let all that is left end well; then hold what is there against what was said."""
        try:
            if hasattr(self, "plan"):
                while self._is_busy():
                    self._end(self._pick(0), "fine")
                self._hold_places()
                self._hold_result()
        finally:
            self.loop.close()

    def _hold_places(self) -> None:
        limits = self.limits
        assert self.is_over
        assert [] == self.listener.mistakes
        assert (0, {}, []) == (limits.at_work, self.listener.in_use, self.desk.lying)
        assert 0 == limits._places.borrowed_tokens == limits.encoders.borrowed_tokens == limits.threads.borrowed_tokens
        assert {0} >= {video.borrowed_tokens for video in limits._videos.values()}
        assert sorted(limits._free_slots) == list(range(limits._slots_made))

    def _hold_result(self) -> None:
        facts = RunFacts(
            trace_id="0" * 32,
            job="mix",
            timeline_name="mix.json",
            timeline_data=b"{}",
            started_at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        )
        report = build_report(self.result, self.plan, self.settings, facts)
        assert [] == report_mistakes(report)
        for clip in self.result.clips:
            self._hold_clip(clip)
        assert (self._expected_exit(report), report["exit_code"]) == (report["exit_code"],) * 2
        status = {0: "complete", 3: "degraded", 1: "failed", 128 + SIGINT: "interrupted"}[report["exit_code"]]
        assert status == report["status"]
        assert (report["output"] is not None) == (report["exit_code"] in (0, 3))
        assert (report["error"] is None) == (report["exit_code"] in (0, 3))

    def _hold_clip(self, clip: ClipResult) -> None:
        """Each rung ended as it was said to, and the status is that of the last."""
        index, attempts = clip.edit.index, clip.attempts
        last = len(clip.edit.ladder) - 1
        rungs = [last if attempt.method is Method.PLACEHOLDER else n for n, attempt in enumerate(attempts)]
        said = [self.said.get((index, rung)) for rung in rungs]
        assert [attempt.method for attempt in attempts] == [clip.edit.ladder[rung].method for rung in rungs]
        assert [attempt.outcome for attempt in attempts] == [OUTCOMES.get(end, Outcome.CANCELLED) for end in said]
        assert Outcome.OK not in [attempt.outcome for attempt in attempts[:-1]]
        assert not attempts or sum(attempt.retries for attempt in attempts) == self.retries[index]
        assert expected_status(attempts, said) == clip.status
        assert self.listener.ends[clip.edit.name] == bool(attempts)

    def _expected_exit(self, report: dict[str, Any]) -> int:
        """Work the exit code out from what the report counts."""
        stats = report["clip_stats"]
        if self.is_interrupted:
            return 128 + SIGINT
        is_refused = self.most.exceeded_by(stats["placeholder_tasks"], stats["total_tasks"])
        is_black = stats["placeholder_tasks"] == stats["total_tasks"]
        if stats["failed_tasks"] or stats["cancelled_tasks"] or is_refused or is_black:
            return 1
        assert not set(FATAL) & set(self.said.values())
        return 3 if stats["placeholder_tasks"] else 0


def expected_status(attempts: tuple[Attempt, ...], said: list[str | None]) -> Status:
    """Name the status of a clip by its attempts and what was said of them."""
    if not attempts:
        return Status.CANCELLED
    last = attempts[-1]
    if last.outcome is Outcome.OK:
        if last.method is Method.PLACEHOLDER:
            return Status.FALLBACK_PLACEHOLDER
        return Status.SUCCESS if len(attempts) == 1 else Status.FALLBACK_LOCAL
    is_left = last.outcome is Outcome.CANCELLED and last.reason is not Reason.DEADLINE
    return Status.CANCELLED if is_left or said[-1] == "bug" else Status.FAILED


def plan_of(clips: list[tuple[str, tuple[Rung, ...]]]) -> Plan:
    """Make a plan of clips, each with a video and the rungs before its placeholder."""
    plan = make_plan(*(video for video, _ in clips))
    edits = tuple(
        attrs.evolve(edit, ladder=(*rungs, PLACEHOLDER)) for edit, (_, rungs) in zip(plan.edits, clips, strict=True)
    )
    return attrs.evolve(plan, edits=edits)


TestRender = RenderMachine.TestCase
TestRender.settings = settings(stateful_step_count=30)
