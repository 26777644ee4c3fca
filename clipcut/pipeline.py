"""A render from its job to its result, step by step: the place to start reading.

Whatever happens here becomes a ``RenderResult``; what is a mistake of the caller was found before, in ``preflight``.
"""

import contextlib
import importlib
import math
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import trio

from clipcut.assemble import Assembly
from clipcut.cache.key import recipe_of
from clipcut.cache.place import cache_root, open_store
from clipcut.cache.shelf import Shelf
from clipcut.climb import milliseconds_since
from clipcut.cut import Cutter, FFmpegCutter
from clipcut.encoders import own_cores
from clipcut.errors import RenderError
from clipcut.events import Listener
from clipcut.extract import Extraction
from clipcut.failures import SHOWN_BY_V, error_text, one_line, telling_error
from clipcut.ffmpeg.readers import Readers, open_readers
from clipcut.ffmpeg.tools import Tool, find_ffmpeg, inspect_ffmpeg
from clipcut.files import is_special, part_file, real_path, replace, sweep_folders, sweep_parts, work_folder
from clipcut.limits import Limits, affordable_places, allow_open_files, usable_cores
from clipcut.plan import needs_network
from clipcut.preflight import Job, placeholder_path
from clipcut.reload import Change, changed_settings
from clipcut.results import Fetched, OutputFacts, RenderResult, RenderStatus, Status
from clipcut.room import look_for_room, needs_of
from clipcut.settings import Settings
from clipcut.sources.twelvelabs_key import open_key_file
from clipcut.user_folders import why_no_cache
from clipcut.working import WORKING_FILE, without_folder

if TYPE_CHECKING:
    from clipcut.network.fetch import Fetcher


@attrs.define(kw_only=True)
class Render:
    """One render at work: what its steps share. ``open_render`` makes one.

    Attributes:
        job: What to do.
        settings: The effective settings; some may change while it runs.
        listener: Who is told.
        limits: How much may happen at once.
        extraction: The clips on their way.
        began: When it was opened, by Trio's clock.
        trace_id: The trace that it belongs to, 32 hex digits; empty for none.
        traceback_place: Where the traceback of a bug will be, as ``error_text`` says it.
        tool: The FFmpeg in use, once it is known.
        folder: The private work folder, once it is made.
        fetcher: The network, once it is open.
        output: The finished video, once it is in its place.
        failure: What ended the render as a whole; None if nothing did (yet).
    """

    job: Job
    settings: Settings
    listener: Listener
    limits: Limits
    extraction: Extraction
    began: float
    trace_id: str = ""
    traceback_place: str = SHOWN_BY_V
    tool: Tool | None = None
    folder: Path | None = None
    fetcher: "Fetcher | None" = None
    output: OutputFacts | None = None
    failure: BaseException | None = None

    async def attempt(self) -> None:
        """Work, and keep what ends it in ``failure``, a bug too; cancellation passes through."""
        try:
            await self.work()
        except* Exception as group:
            self.failure = telling_error(group)

    async def work(self) -> None:
        """Do every step in order; raises what ends the render as a whole."""
        setting, origin = self.job.settings.ffmpeg, self.job.settings.origins["ffmpeg"]
        self._set_limits(tell=True)
        async with open_readers(self.limits.cores, self.listener.warning) as readers:
            readers.start_one()  # it takes longer than all else before the first clip
            await self._look_around()
            path, found = find_ffmpeg(setting, origin)
            async with trio.open_nursery() as nursery:
                if needs_network(self.job.plan):
                    nursery.start_soon(_load, "clipcut.sources.remote")
                self.tool = await inspect_ffmpeg(path, found)
            async with work_folder(self.job.work_parent) as self.folder:
                await self._render(self.tool, self.folder, readers)

    async def _look_around(self) -> None:
        """Remove what killed renders left, and see that there is room."""
        await trio.to_thread.run_sync(self._sweep)
        needs = needs_of(self.job.plan, self.job.work_parent, real_path(self.job.output).parent)
        for words in await trio.to_thread.run_sync(lambda: list(look_for_room(needs))):
            self.listener.warning("render.little_room", words)

    async def _render(self, tool: Tool, folder: Path, readers: Readers) -> None:
        assembly = self._assembly(tool, folder)
        async with (
            self._shelf(tool, folder) as shelf,
            self._cutter(tool, folder, shelf, readers) as cutter,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(assembly.join)
            nursery.start_soon(self.extraction.run, cutter)
        self._refuse_all_black()
        await self._finish(assembly)

    def change(self, change: Change) -> None:
        """Let other settings hold from now on; what is at work goes on, also above a lower limit."""
        before = self.settings
        self.settings, names = changed_settings(before, self.job.settings, change)
        if not names:
            return
        self._set_limits(tell=self.settings.max_parallelism > before.max_parallelism)
        self.listener.settings_changed(before, self.settings, names)

    def _set_limits(self, *, tell: bool) -> None:
        """Let the settings' limits hold as far as this process may have files open; tell where that isn't enough."""
        wanted, files = self.settings, allow_open_files()
        places = affordable_places(
            files, wanted.max_parallelism, self.limits.cores, is_networked=needs_network(self.job.plan)
        )
        self.limits.change(places, wanted.per_video_limit, wanted.max_retry, _rate(wanted))
        if tell and places < wanted.max_parallelism:
            clips = f"{places} {'clip' if places == 1 else 'clips'} at once instead of {wanted.max_parallelism}"
            self.listener.warning(
                "render.few_open_files", f"{files} open files are allowed, so {clips}; allow more (ulimit -n)"
            )

    def _sweep(self) -> None:
        """Remove what killed renders have left where this one works; those at work are known by their locks."""
        sweep_folders(self.job.work_parent)
        textfile = self.settings.prom_textfile
        for target in (self.job.output, self.job.report, Path(textfile) if textfile is not None else None):
            if target is not None and not is_special(target):
                sweep_parts(target)

    async def _finish(self, assembly: Assembly) -> None:
        """Write the output beside its place, and put it there."""
        plan, target = self.job.plan, real_path(self.job.output)
        async with part_file(target) as part:
            hashes = await assembly.finish(part, self.job.output.suffix.lower(), self.job.comment)
            size = part.stat().st_size
            await trio.to_thread.run_sync(replace, part, target)
            self.output = OutputFacts(self.job.output, size, plan.frames, float(plan.seconds), hashes)

    def _assembly(self, tool: Tool, folder: Path) -> Assembly:
        return Assembly(
            plan=self.job.plan, ffmpeg=tool.path, folder=folder, limits=self.limits, clip=self.extraction.clip
        )

    @contextlib.asynccontextmanager
    async def _shelf(self, tool: Tool, folder: Path) -> AsyncIterator[Shelf | None]:
        """Give the cache of finished clips; None where it isn't wanted, or can't be used, which is a warning."""
        async with contextlib.AsyncExitStack() as stack:
            shelf = None
            root = cache_root(self.settings) if self.job.uses_cache else None
            if self.job.uses_cache and root is None:
                self.listener.warning("cache.unavailable", f"nothing is kept for later renders: {why_no_cache()}")
            if root is not None:
                try:
                    store = await stack.enter_async_context(open_store(root, self.settings.cache_size))
                except OSError as exc:
                    self.listener.warning(
                        "cache.unavailable", f"{root} can't be used, so nothing is kept: {exc.strerror}"
                    )
                else:
                    recipe = await trio.to_thread.run_sync(recipe_of, self.job.plan.output, tool, self.settings.cut)
                    shelf = Shelf(store, recipe, folder, self.limits.threads, self.listener.warning)
            yield shelf
            if shelf is not None and not self._has_placeholders():
                await shelf.forget_segments()

    @contextlib.asynccontextmanager
    async def _cutter(self, tool: Tool, folder: Path, shelf: Shelf | None, readers: Readers) -> AsyncIterator[Cutter]:
        """Give whoever cuts, with the network open around it where the plan needs one."""
        cutter = FFmpegCutter(
            tool=tool,
            output=self.job.plan.output,
            folder=folder,
            limits=self.limits,
            readers=readers,
            placeholder=lambda: placeholder_path(self.settings),
            listener=self.listener,
            unfinished=lambda: self.extraction.unfinished,
            shelf=shelf,
            copies=self.settings.cut == "auto",
        )
        if not needs_network(self.job.plan):
            yield cutter
            return
        from clipcut.sources.remote import Remote, open_fetcher, trace_of  # noqa: PLC0415  a light start: it takes 200 ms
        from clipcut.sources.remote_video import Bench  # noqa: PLC0415

        await self._tell_of_open_key_file()
        limits, trace = self.limits, trace_of(self.job.plan, self.trace_id)
        async with (
            open_fetcher(
                os.environ, max_retry=lambda: limits.max_retry, rate=lambda: limits.rate, trace=trace
            ) as self.fetcher,
            trio.open_nursery() as downloads,
        ):
            bench = Bench(
                fetcher=self.fetcher,
                output=self.job.plan.output,
                folder=folder,
                nursery=downloads,
                threads=limits.threads,
                readers=readers,
                probe=cutter.probe,
                listener=self.listener,
                keep=shelf.segments if shelf is not None else None,
            )
            cutter.remote = Remote(plan=self.job.plan, environ=os.environ, bench=bench)
            yield cutter
            downloads.cancel_scope.cancel()

    async def _tell_of_open_key_file(self) -> None:
        is_needed = any(rung.twelvelabs is not None for edit in self.job.plan.edits for rung in edit.ladder)
        words = await trio.to_thread.run_sync(open_key_file, os.environ) if is_needed else None
        if words is not None:
            self.listener.warning("source.open_key_file", words)

    def _has_placeholders(self) -> bool:
        return any(clip.status is Status.FALLBACK_PLACEHOLDER for clip in self.extraction.results())

    def _refuse_all_black(self) -> None:
        if all(clip.status is Status.FALLBACK_PLACEHOLDER for clip in self.extraction.results()):
            raise RenderError("Not one clip could be had, so there is no new output; an old one was kept.")

    def result(self, ended_by: int | None = None) -> RenderResult:
        """Return how the render ended, or how far it came.

        Args:
            ended_by: The signal that ended it; one that came when the output was in its place came too late to matter.
        """
        status, exit_code, error = self._judge(ended_by)
        return RenderResult(
            status=status,
            exit_code=exit_code,
            error=error,
            clips=self.extraction.results(),
            output=self.output,
            ffmpeg=self.tool.version if self.tool is not None else None,
            peak_parallelism=self.limits.peak_parallelism,
            peak_per_video=self.limits.peak_per_video,
            elapsed_ms=milliseconds_since(self.began),
            fetched=self.fetched,
        )

    @property
    def fetched(self) -> Fetched:
        """What came over the network by now."""
        if self.fetcher is None:
            return Fetched()
        return Fetched(self.fetcher.requests, self.fetcher.retries, self.fetcher.bytes_fetched)

    def _judge(self, ended_by: int | None) -> tuple[RenderStatus, int, str | None]:
        """Name the render's status and exit code, and what went wrong."""
        if self.output is None and ended_by is not None:
            error = f"Ended by {signal.Signals(ended_by).name}; there is no new output."
            return RenderStatus.INTERRUPTED, 128 + ended_by, error
        if self.output is None and self.failure is not None:
            words = one_line(error_text(self.failure, self.traceback_place))
            if self.folder is not None:
                words = without_folder(words, self.folder, WORKING_FILE)
            return RenderStatus.FAILED, 1, words
        if self._has_placeholders():
            return RenderStatus.DEGRADED, 3, None
        return RenderStatus.COMPLETE, 0, None


async def _load(*modules: str) -> None:
    """Load what takes long to load, in a thread, while FFmpeg answers; whoever imports it later finds it there."""
    for name in modules:
        await trio.to_thread.run_sync(importlib.import_module, name)


def _rate(settings: Settings) -> float | None:
    return float(settings.rate_limit) if settings.rate_limit is not None else None


def open_render(
    job: Job,
    listener: Listener,
    *,
    cores: int | None = None,
    trace_id: str = "",
    traceback_place: str = SHOWN_BY_V,
) -> Render:
    """Get a render ready, inside Trio; nothing happens before ``attempt``.

    Args:
        job: What ``prepare`` made.
        listener: Who is told while it runs.
        cores: Encoders at once; None for as many as this process may use cores.
        trace_id: The trace that the origins of the timeline are told of, 32 hex digits; empty for none.
        traceback_place: Where the traceback of a bug will be, as ``error_text`` says it.
    """
    settings = job.settings
    cores = cores or usable_cores()
    limits = Limits(
        settings.max_parallelism,
        settings.per_video_limit,
        cores,
        own_cores=own_cores(cores),
        max_retry=settings.max_retry,
        rate=_rate(settings),
    )
    began = trio.current_time()
    extraction = Extraction(
        job.plan,
        limits,
        listener,
        on_missing=settings.on_missing,
        max_placeholders=settings.max_placeholders,
        deadline=began + float(settings.deadline) if settings.deadline is not None else math.inf,
    )
    return Render(
        job=job,
        settings=settings,
        listener=listener,
        limits=limits,
        extraction=extraction,
        began=began,
        trace_id=trace_id,
        traceback_place=traceback_place,
    )


async def render(job: Job, listener: Listener, *, cores: int | None = None) -> RenderResult:
    """Render, whatever happens: failures become part of the result; cancellation passes through, and leaves nothing.

    Signals are the program's business and not watched here: cancel the scope that this is called in.

    Args:
        job: What ``prepare`` made.
        listener: Who is told while it runs.
        cores: Encoders at once; None for as many as this process may use cores.

    Returns:
        The result, with one entry for every clip of the timeline.
    """
    steps = open_render(job, listener, cores=cores)
    await steps.attempt()
    return steps.result()
