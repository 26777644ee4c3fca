"""How much may happen at once: clips at work (global, and per video), FFmpeg encoders, threads.

A clip takes its video's place first and then a global one, so that a clip which waits for a busy video leaves the
global places to others. Inside, it takes one of the encoder places around each FFmpeg child only.
"""

import contextlib
import heapq
import math
import os
import resource
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path

import attrs
import trio

_FILES = 28
"""What a render has open whatever it does: streams, locks, Trio's own, the join."""

_FILES_PER_CORE = 10
"""What a reader takes, with the pipes that are open for a moment while a child starts."""

_FILES_PER_PLACE = 6
"""An FFmpeg, which may wait for an encoder place with its pipes open, and a file."""

_FILES_PER_FETCH = 12
"""Six requests under way, each into a file."""

_MOST_FILES = 65536


def _group_quota(folder: Path) -> float:
    """Return the CPU quota that one control group has, in cores; infinite where it has none."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):
        quota_us = int((folder / "cpu.cfs_quota_us").read_text())
        period_us = int((folder / "cpu.cfs_period_us").read_text())
        return quota_us / period_us if quota_us > 0 else math.inf
    return math.inf


def _quota_cores(root: Path, membership: Path) -> float:
    """Return the smallest CPU quota of this process's control group and those around it, in cores."""
    smallest = math.inf
    with contextlib.suppress(OSError):
        for line in membership.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            base = root / "cpu" if "cpu" in controllers.split(",") else root
            group = base / path.lstrip("/")
            for folder in [group, *(parent for parent in group.parents if parent.is_relative_to(base))]:
                smallest = min(smallest, _group_quota(folder))
    return smallest


def usable_cores(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> int:
    """Count the cores that this process may use: its affinity, bounded by its control groups' quota; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota_cores(root, membership)
    return max(1, cores if math.isinf(quota) else min(cores, math.ceil(quota)))


def needed_open_files(max_parallelism: int, cores: int, *, is_networked: bool = True) -> int:
    """Return how many files a render may have open, all pipes and connections of the clips at work counted."""
    each = _FILES_PER_PLACE + (_FILES_PER_FETCH if is_networked else 0)
    return _FILES + _FILES_PER_CORE * min(cores, max_parallelism) + each * max_parallelism


def affordable_places(files: int, max_parallelism: int, cores: int, *, is_networked: bool) -> int:
    """Return how many clips may be at work at once with so many open files: at least 1, and no more than asked for."""
    counts = range(max_parallelism, 1, -1)
    return next((n for n in counts if needed_open_files(n, cores, is_networked=is_networked) <= files), 1)


def allow_open_files() -> int:
    """Raise this process's limit of open files as far as it may, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return soft if soft != resource.RLIM_INFINITY else _MOST_FILES


@attrs.define
class Place:
    """A place that a clip holds: it may look whether there is anything to do, and is at work once it has started.

    Attributes:
        throttled_s: Seconds that it waited for its video while a global place was free; None if it did not.
        parallel_slot: The lowest number that was free when it started, from 0; None if it didn't (yet).
    """

    throttled_s: float | None
    _start: Callable[[], int]
    parallel_slot: int | None = None

    def start(self) -> int:
        """Come to work; return the slot."""
        self.parallel_slot = self._start()
        return self.parallel_slot


class Limits:
    """The limiters of one render, with the peaks they saw."""

    def __init__(
        self,
        max_parallelism: int,
        per_video: int,
        cores: int,
        *,
        max_retry: int = 3,
        rate: float | None = None,
        own_cores: Sequence[int] = (),
    ) -> None:
        """Open the places.

        Args:
            max_parallelism: Clips at work at once.
            per_video: Of these, on one video.
            cores: FFmpeg encoders at once.
            max_retry: How often a request that failed in passing is sent again.
            rate: Requests a second for one host; None for any number.
            own_cores: The cores that encoders may be bound to, by number; none if they are not to be.
        """
        self.max_retry = max_retry
        self.rate = rate
        self.max_parallelism = max_parallelism
        self.per_video_limit = per_video
        self.cores = cores
        self.encoders = trio.CapacityLimiter(cores)
        self._own_cores = sorted(own_cores, reverse=True)
        self.threads = trio.CapacityLimiter(max(4, cores + 2))
        self.peak_parallelism = 0
        self.peak_per_video = 0
        self._places = trio.CapacityLimiter(max_parallelism)
        self._videos: dict[str, trio.CapacityLimiter] = defaultdict(lambda: trio.CapacityLimiter(self.per_video_limit))
        self._working: dict[str, int] = defaultdict(int)
        self.at_work = 0
        """How many clips are at work now."""
        self._free_slots: list[int] = []
        self._slots_made = 0

    def change(self, max_parallelism: int, per_video: int, max_retry: int, rate: float | None) -> None:
        """Let other limits hold from now on; see the constructor. What is at work goes on, also above a lower limit."""
        self.max_retry, self.rate = max_retry, rate
        self.max_parallelism, self.per_video_limit = max_parallelism, per_video
        self._places.total_tokens = max_parallelism
        for video in self._videos.values():
            video.total_tokens = per_video

    @contextlib.asynccontextmanager
    async def place(self, video_id: str) -> AsyncIterator[Place]:
        """Wait for a place to work on a clip of ``video_id``, and hold it inside the block."""
        video = self._videos[video_id]
        throttled = await self._acquire_video(video)
        try:
            async with self._places:
                place = Place(throttled, partial(self._enter, video_id))
                try:
                    yield place
                finally:
                    if place.parallel_slot is not None:
                        self._leave(video_id, place.parallel_slot)
        finally:
            video.release()

    async def _acquire_video(self, video: trio.CapacityLimiter) -> float | None:
        with contextlib.suppress(trio.WouldBlock):
            video.acquire_nowait()
            return None
        began = trio.current_time()
        was_free = self._places.available_tokens > 0
        await video.acquire()
        if was_free or self._places.available_tokens > 0:
            return trio.current_time() - began
        return None

    def _enter(self, video_id: str) -> int:
        self._working[video_id] += 1
        self.peak_per_video = max(self.peak_per_video, self._working[video_id])
        self.at_work += 1
        self.peak_parallelism = max(self.peak_parallelism, self.at_work)
        if self._free_slots:
            return heapq.heappop(self._free_slots)
        self._slots_made += 1
        return self._slots_made - 1

    def _leave(self, video_id: str, slot: int) -> None:
        self._working[video_id] -= 1
        self.at_work -= 1
        heapq.heappush(self._free_slots, slot)

    def take_core(self) -> int | None:
        """Take a core for an encoder of its own; None if there is none, or too few clips to use them all."""
        return self._own_cores.pop() if self._own_cores and self.max_parallelism >= self.cores else None

    def give_core(self, core: int) -> None:
        """Give a core back."""
        self._own_cores.append(core)

    def threads_for(self, unfinished: int) -> int:
        """Return how many threads an encoder that starts now should use, so that few clips still fill the cores."""
        return max(1, self.cores // max(1, min(unfinished, self.max_parallelism)))
