"""A render from its job to its result, step by step: the place to start reading.

Whatever happens here becomes a ``RenderResult``; what is a mistake of the caller was found before, in ``preflight``.
"""

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import trio

from clipcut.assemble import Assembly
from clipcut.cut import Cutter, FFmpegCutter
from clipcut.errors import ClipcutError, RenderError
from clipcut.events import Listener
from clipcut.extract import Extraction, milliseconds_since
from clipcut.ffmpeg.tools import Tool, find_ffmpeg, inspect_ffmpeg
from clipcut.files import replace, work_folder
from clipcut.limits import Limits, usable_cores
from clipcut.preflight import Job
from clipcut.results import ClipResult, OutputFacts, RenderResult, RenderStatus, Status

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@attrs.define
class Interruption:
    """The signal that ended a render; None if none did."""

    number: int | None = None


async def _watch_signals(
    scope: trio.CancelScope, interruption: Interruption, *, task_status: trio.TaskStatus[None]
) -> None:
    """Cancel the render at the first signal, end at once at the second; what was ignored at start stays ignored."""
    wanted = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    with trio.open_signal_receiver(*wanted) as signals:
        task_status.started()
        async for number in signals:
            if interruption.number is not None:
                os._exit(128 + number)  # the guards see our pipes close and end the children
            interruption.number = number
            scope.cancel()


@contextlib.contextmanager
def _part_file(output: Path) -> Iterator[Path]:
    """Name a temporary file beside the output, and see that it is gone in the end."""
    descriptor, name = tempfile.mkstemp(prefix=f".{output.name[:100]}.", suffix=".part", dir=output.parent)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@attrs.define(kw_only=True)
class Render:
    """One render at work: what its steps share.

    Attributes:
        job: What to do.
        listener: Who is told.
        limits: How much may happen at once.
        extraction: The clips on their way.
        tool: The FFmpeg in use, once it is known.
        output: The finished video, once it is in its place.
    """

    job: Job
    listener: Listener
    limits: Limits
    extraction: Extraction
    tool: Tool | None = None
    output: OutputFacts | None = None

    async def work(self) -> None:
        """Do every step in order; raises what ends the render as a whole."""
        setting, origin = self.job.settings.ffmpeg, self.job.settings.origins["ffmpeg"]
        path, found = find_ffmpeg(setting, origin)
        self.tool = await inspect_ffmpeg(path, found)
        with work_folder(self.job.work_parent) as folder:
            assembly = self._assembly(self.tool, folder)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(assembly.join)
                nursery.start_soon(self.extraction.run, self._cutter(self.tool, folder))
            self._refuse_all_black()
            with _part_file(self.job.output) as part:
                await assembly.finish(part, self.job.output.suffix.lower(), self.job.comment)
                size = part.stat().st_size
                await trio.to_thread.run_sync(replace, part, self.job.output)
        plan = self.job.plan
        self.output = OutputFacts(self.job.output, size, plan.frames, float(plan.seconds))

    def _assembly(self, tool: Tool, folder: Path) -> Assembly:
        return Assembly(
            plan=self.job.plan, ffmpeg=tool.path, folder=folder, limits=self.limits, piece=self.extraction.piece
        )

    def _cutter(self, tool: Tool, folder: Path) -> Cutter:
        return FFmpegCutter(
            tool=tool,
            output=self.job.plan.output,
            folder=folder,
            limits=self.limits,
            placeholder=self.job.placeholder,
            listener=self.listener,
            unfinished=lambda: self.extraction.unfinished,
        )

    def _refuse_all_black(self) -> None:
        if all(clip.status is Status.FALLBACK_PLACEHOLDER for clip in self.extraction.results()):
            raise RenderError("Not one clip could be had, so there is no new output; an old one was kept.")


def _first_error(group: BaseExceptionGroup[ClipcutError]) -> ClipcutError:
    """Return one of the errors that ended a nursery; the others followed from it or say the same."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ClipcutError)  # noqa: S101  except* saw to it
    return error


def _judge(clips: Sequence[ClipResult], error: str | None, interruption: Interruption) -> tuple[RenderStatus, int]:
    """Name the render's status and exit code."""
    if interruption.number is not None:
        return RenderStatus.INTERRUPTED, 128 + interruption.number
    if error is not None:
        return RenderStatus.FAILED, 1
    if any(clip.status is Status.FALLBACK_PLACEHOLDER for clip in clips):
        return RenderStatus.DEGRADED, 3
    return RenderStatus.COMPLETE, 0


async def render(job: Job, listener: Listener, *, cores: int | None = None) -> RenderResult:
    """Render, whatever happens: failures and signals become part of the result, bugs pass through.

    Args:
        job: What ``prepare`` made.
        listener: Who is told while it runs.
        cores: Encoders at once; None for as many as this process may use cores.

    Returns:
        The result, with one entry for every clip of the timeline.
    """
    began = trio.current_time()
    settings = job.settings
    limits = Limits(settings.max_parallelism, settings.per_video_limit, cores or usable_cores())
    extraction = Extraction(
        job.plan, limits, listener, on_missing=settings.on_missing, max_placeholders=settings.max_placeholders
    )
    steps = Render(job=job, listener=listener, limits=limits, extraction=extraction)
    error: str | None = None
    interruption = Interruption()
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(_watch_signals, nursery.cancel_scope, interruption)
            await steps.work()
            nursery.cancel_scope.cancel()
    except* ClipcutError as group:
        error = str(_first_error(group))
    except* OSError as group:
        error = f"The system refused: {group.exceptions[0]}"
    if interruption.number is not None and steps.output is None:
        error = f"Ended by {signal.Signals(interruption.number).name}; there is no new output."
    elif steps.output is not None:
        interruption.number = None  # it came too late to matter
    clips = extraction.results()
    status, exit_code = _judge(clips, error, interruption)
    return RenderResult(
        status=status,
        exit_code=exit_code,
        error=error,
        clips=clips,
        output=steps.output,
        ffmpeg=steps.tool.version if steps.tool is not None else None,
        peak_parallelism=limits.peak_parallelism,
        peak_per_video=limits.peak_per_video,
        elapsed_ms=milliseconds_since(began),
    )
