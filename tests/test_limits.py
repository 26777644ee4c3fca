"""The laws of the limits, on a virtual clock."""

from pathlib import Path

import pytest
import trio
from fakes import FakeCutter, Recorder, make_plan
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from clipcut.events import Told
from clipcut.extract import Extraction
from clipcut.limits import Limits, affordable_places, usable_cores
from clipcut.options import OnMissing, PlaceholderLimit
from clipcut.plan import Edit, Plan, Rung
from clipcut.results import CutFile


async def extract(plan: Plan, cutter: FakeCutter, limits: Limits, listener: Recorder | None = None) -> Extraction:
    """Run every clip of a plan through a fake cutter."""
    extraction = Extraction(
        plan,
        limits,
        listener or Recorder(),
        on_missing=OnMissing.PLACEHOLDER,
        max_placeholders=PlaceholderLimit("100%"),
    )
    await extraction.run(cutter)
    return extraction


def virtual_seconds(plan: Plan, limits: Limits, cutter: FakeCutter, listener: Recorder | None = None) -> float:
    """Run a plan on a virtual clock and return how long it took there."""

    async def timed() -> float:
        began = trio.current_time()
        await extract(plan, cutter, limits, listener)
        return trio.current_time() - began

    return trio.run(timed, clock=MockClock(autojump_threshold=0))


@given(
    videos=st.lists(st.sampled_from("abcde"), min_size=1, max_size=40),
    places=st.integers(1, 8),
    per_video=st.integers(1, 4),
    seed=st.integers(0, 9),
)
def test_limits_hold_and_peaks_are_counted(videos: list[str], places: int, per_video: int, seed: int) -> None:
    """Never more at work than allowed, in all or of one video; the peaks are what was seen; every place comes back."""
    at_work: dict[str, int] = {}
    seen_per_video = 0
    limits = Limits(places, per_video, cores=2)
    cutter = FakeCutter(seconds=lambda edit: 1 + (edit.index * 7 + seed) % 5)
    listener = Recorder()

    class Watch(FakeCutter):
        async def cut(self, edit: Edit, rung: Rung, told: Told) -> tuple[CutFile, ...]:
            nonlocal seen_per_video
            at_work[edit.clip.video_id] = at_work.get(edit.clip.video_id, 0) + 1
            seen_per_video = max(seen_per_video, *at_work.values())
            try:
                return await cutter.cut(edit, rung, told)
            finally:
                at_work[edit.clip.video_id] -= 1

    virtual_seconds(make_plan(*videos), limits, Watch(), listener)

    assert cutter.peak <= places
    assert seen_per_video <= per_video
    assert (cutter.peak, seen_per_video) == (limits.peak_parallelism, limits.peak_per_video)
    assert max(listener.slots) == limits.peak_parallelism - 1
    assert 0 == cutter.at_work


def test_sixty_clips_of_pure_latency_take_at_least_40_percent_less_at_4_than_one_after_another() -> None:
    """The target that this tool began with."""
    plan = make_plan(*(f"v{n % 6}" for n in range(60)))

    serial = virtual_seconds(plan, Limits(1, 2, cores=2), FakeCutter(seconds=1.0))
    parallel = virtual_seconds(plan, Limits(4, 2, cores=2), FakeCutter(seconds=1.0))

    assert 60 == serial
    assert parallel <= 0.6 * serial
    assert 15 == parallel


def test_a_busy_video_leaves_the_global_places_to_others() -> None:
    """Clips that wait for their video hold no global place: three others finish meanwhile."""
    plan = make_plan("busy", "busy", "busy", "a", "b", "c")

    assert 3 == virtual_seconds(plan, Limits(4, 1, cores=2), FakeCutter(seconds=1.0))


def test_a_wait_for_a_video_while_a_place_is_free_is_told_once_at_its_end() -> None:
    """The second clip of a video waits a second, with three places free, and that is one event."""
    listener = Recorder()

    virtual_seconds(make_plan("v", "v"), Limits(4, 1, cores=2), FakeCutter(seconds=1.0), listener)

    assert [("started", "c0"), ("finished", "c0"), ("throttled", "c1"), ("started", "c1"), ("finished", "c1")] == (
        listener.events
    )
    assert [1.0] == listener.waits


def test_a_wait_for_a_global_place_is_no_throttling() -> None:
    """With all places taken, waiting is nobody's video's fault."""
    listener = Recorder()

    virtual_seconds(make_plan("a", "b", "c"), Limits(1, 1, cores=2), FakeCutter(seconds=1.0), listener)

    assert "throttled" not in [name for name, _ in listener.events]


def test_clips_come_to_work_in_timeline_order() -> None:
    """The join takes clips in timeline order, so they queue in it; those that get a place at once are equal."""
    listener = Recorder()
    names = [f"v{n}" for n in range(30)]

    virtual_seconds(make_plan(*names), Limits(3, 1, cores=2), FakeCutter(seconds=1.0), listener)

    started = [clip for name, clip in listener.events if name == "started"]
    assert [{f"c{n}", f"c{n + 1}", f"c{n + 2}"} for n in range(0, 30, 3)] == [
        set(started[n : n + 3]) for n in range(0, 30, 3)
    ]


@pytest.mark.parametrize(("unfinished", "threads"), [(60, 1), (8, 1), (4, 2), (3, 2), (2, 4), (1, 8)], ids=str)
def test_encoders_get_more_threads_when_few_clips_are_left(unfinished: int, threads: int) -> None:
    """Eight cores stay busy with eight clips of one thread, or one clip of eight."""
    assert threads == Limits(16, 2, cores=8).threads_for(unfinished)


def test_encoders_get_more_threads_when_concurrency_is_low() -> None:
    """One clip at a time on four cores gets four threads, however many are left."""
    assert 4 == Limits(1, 1, cores=4).threads_for(60)


@pytest.mark.parametrize(
    ("files", "most"),
    [
        pytest.param({"me": "0::/", "cpu.max": "50000 100000"}, 1, id="half-a-core"),
        pytest.param({"me": "0::/", "cpu.max": "max 100000"}, None, id="no-quota"),
        pytest.param({"me": "0::/", "cpu.max": "nonsense"}, None, id="nonsense"),
        pytest.param({"me": "0::/a/b", "a/b/cpu.max": "max 1", "a/cpu.max": "90000 100000"}, 1, id="a-group-around-it"),
        pytest.param({"me": "0::/a", "a/cpu.max": "90000 100000"}, 1, id="a-service"),
        pytest.param(
            {"me": "4:cpu,cpuacct:/", "cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"},
            1,
            id="older-groups",
        ),
        pytest.param(
            {"me": "4:cpu,cpuacct:/", "cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
            None,
            id="older-no-quota",
        ),
        pytest.param({}, None, id="no-groups"),
    ],
)
def test_a_quota_bounds_the_cores(tmp_path: Path, files: dict[str, str], most: int | None) -> None:
    """A container's CPU quota counts like missing cores."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)

    cores = usable_cores(tmp_path, tmp_path / "me")

    assert cores == (most if most is not None else usable_cores(tmp_path, tmp_path / "nowhere"))


def changing(limits: Limits, plan: Plan, *changes: tuple[float, int, int]) -> list[int]:
    """Run a plan of clips of 1 s on a virtual clock; at each (second, places, per video) the limits change.

    Returns how many were at work in the middle of each half second.
    """
    seen: list[int] = []

    async def change(at: float, places: int, per_video: int) -> None:
        await trio.sleep(at)
        limits.change(places, per_video, 3, None)

    async def watch() -> None:
        while True:
            await trio.sleep(0.25)
            seen.append(limits.at_work)
            await trio.sleep(0.25)

    async def both() -> None:
        async with trio.open_nursery() as nursery:
            for one in changes:
                nursery.start_soon(change, *one)
            nursery.start_soon(watch)
            await extract(plan, FakeCutter(seconds=1.0), limits)
            nursery.cancel_scope.cancel()

    trio.run(both, clock=MockClock(autojump_threshold=0))
    return seen


def test_more_places_are_taken_at_once_and_fewer_as_clips_end() -> None:
    """Up in the middle of a second, down in the middle of another: nothing at work is ended by it."""
    limits = Limits(1, 2, cores=2)

    seen = changing(limits, make_plan(*(f"v{n}" for n in range(14))), (1.5, 4, 2), (3.1, 2, 2))

    assert [1, 1, 1, 4, 4, 4, 4, 2, 2, 2] == seen[:10]  # three end at 3.5 s, one begins
    assert (4, 2, 0) == (limits.peak_parallelism, limits.max_parallelism, limits.at_work)


def test_the_limit_of_a_video_changes_for_those_at_work_and_those_to_come() -> None:
    """One video of many clips, from 1 at a time to 3, then 2; a video that comes later has the new limit too."""
    limits = Limits(8, 1, cores=2)

    seen = changing(limits, make_plan(*["v"] * 12), (2.0, 8, 3), (3.9, 8, 2))

    assert [1, 1, 1, 1, 3, 3, 3, 3, 2, 2] == seen[:10]
    assert (3, 2) == (limits.peak_per_video, limits.per_video_limit)
    assert 2 == limits._videos["another"].total_tokens


@pytest.mark.parametrize(
    ("files", "is_networked", "places"),
    [
        (20, False, 1),
        (40, False, 1),
        (60, False, 2),
        (168, False, 20),
        (167, False, 19),
        (92, True, 2),
        (1024, True, 20),
    ],
)
def test_as_many_places_as_open_files_allow(files: int, is_networked: bool, places: int) -> None:
    """Of 20 with two cores: at least one, and never more than asked for."""
    assert places == affordable_places(files, 20, 2, is_networked=is_networked)
