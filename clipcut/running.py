"""A render as the command line runs it: with log lines and display, ended by signals, to its report and summary.

Standard error holds JSON lines or words, never both: where log lines go there as JSON, whatever else is to be said is
one of them, and there is no summary.
"""

import contextlib
import functools
import logging
import os
import stat
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TextIO, cast

import attrs
import trio

from clipcut.errors import LockedError, Mistake, SettingsError, ToldError
from clipcut.events import Listener, Listeners
from clipcut.failures import SHOWN_BY_V, error_text, is_bug, telling_error, traceback_text
from clipcut.files import OutputLock, lock_output, write_atomic
from clipcut.lines import Lines
from clipcut.log import LogListener, chosen_format, make_logger, wants_colours
from clipcut.pipeline import Render, open_render
from clipcut.preflight import Job
from clipcut.progress import Display, make_display
from clipcut.reload_file import FileWatch
from clipcut.reload_redis import redis_watch
from clipcut.report import RunFacts, build_report, clip_stats, report_bytes
from clipcut.results import RenderResult, RenderStatus
from clipcut.settings import Settings
from clipcut.signals import hear_no_hangup, until_signalled
from clipcut.streams import writer_of
from clipcut.summary import summary_lines
from clipcut.textfile import Textfile, open_textfile
from clipcut.user_folders import why_no_settings

LOCK_GLANCE_S = 0.1
"""How often a lock that somebody else holds is tried, in seconds."""


@attrs.frozen(kw_only=True)
class Manner:
    """How a render is to be told of: a log file instead of standard error, how often ``-v`` was given, ``-q``."""

    log_file: Path | None = None
    verbose: int = 0
    quiet: bool = False


@attrs.frozen(kw_only=True)
class Session:
    """One render of the command line.

    Attributes:
        job: What to do.
        facts: What the report says of the run.
        manner: How it is told of.
        said: Lines for standard error.
        log: Where log lines are written; ``said`` if that is standard error.
        display: The live display; None where there is none.
        logger: Writes to ``log``, above the display where that is on the same terminal.
        in_words: Whether standard error holds words: it doesn't where log lines go there as JSON.
        textfile: Where metrics go; None for nowhere.
    """

    job: Job
    facts: RunFacts
    manner: Manner
    said: Lines
    log: Lines
    display: Display | None
    logger: Any
    in_words: bool
    textfile: Textfile | None = None

    async def run(self) -> RenderResult:
        """Render until it is done or a signal ends it, then report and sum up, whatever happened."""
        listener = self._listener()
        place = self._traceback_place("render.failed")
        steps = open_render(self.job, listener, trace_id=self.facts.trace_id, traceback_place=place)
        file = FileWatch(self.job.settings, steps.change, listener.warning)
        self._log_start()

        async def work() -> None:
            with self.display or contextlib.nullcontext():
                async with trio.open_nursery() as beside:
                    for task in self._beside(steps, file, listener):
                        beside.start_soon(self._harmless, task)
                    await steps.attempt()
                    beside.cancel_scope.cancel()

        async def conclude(ended_by: int | None) -> RenderResult:
            result = steps.result(ended_by)
            with trio.CancelScope(shield=True):  # in a thread: a reader may be slow, and a second signal must be heard
                await trio.to_thread.run_sync(self._conclude, steps, result)
            return result

        return await until_signalled(work, conclude, file.hung_up)

    def _beside(
        self, steps: Render, file: FileWatch, listener: Listener
    ) -> Iterator[Callable[[], Coroutine[None, None, None]]]:
        """Yield what runs as long as the render does."""
        yield file.run
        if self.textfile is not None:
            yield functools.partial(self.textfile.refresh, steps)
        base = Path.cwd()
        redis = redis_watch(os.environ, base, self.job.settings, steps.change, listener.warning)
        if redis is not None:
            yield redis.run

    def _listener(self) -> Listener:
        listeners: list[Listener] = [LogListener(self.logger, self.facts.trace_id)]
        if self.display is not None:
            listeners.append(self.display.board)
        return Listeners(listeners)

    def _log_start(self) -> None:
        settings = self.job.settings
        self.logger.info(
            "render.started",
            timeline=self.facts.timeline_name,
            output=str(self.job.output),
            clips=len(self.job.plan.edits),
            frames=self.job.plan.frames,
            max_parallelism=settings.max_parallelism,
            per_video_limit=settings.per_video_limit,
        )
        if settings.lacks_users:
            self.logger.warning("render.no_user_settings", message=why_no_settings())

    def _conclude(self, steps: Render, result: RenderResult) -> None:
        self._write_report(result, steps.settings)
        if self.textfile is not None:
            self.textfile.finish(steps, result)
        if self.log is self.said:
            self._tell_of_dropped()
        self._log_end(steps, result)
        if self.in_words:
            self._sum_up(steps, result)
        self.log.close()
        if self.log is not self.said:
            self._tell_of_dropped()
        self.said.close()

    def _log_end(self, steps: Render, result: RenderResult) -> None:
        facts = {"status": str(result.status), "exit_code": result.exit_code, "elapsed_ms": result.elapsed_ms}
        facts |= {"output": str(result.output.path) if result.output is not None else None}
        facts |= {"report": str(self.job.report) if self.job.report is not None else None}
        stats = clip_stats(result, steps.settings)
        match result.status:
            case RenderStatus.INTERRUPTED:
                self.logger.warning("render.interrupted", **facts, error=result.error, clip_stats=stats)
            case RenderStatus.FAILED:
                bug = self._logged_bug(steps.failure)
                self.logger.error("render.failed", **facts, error=result.error, clip_stats=stats, exc_info=bug)
            case _:
                self.logger.info("render.completed", **facts, clip_stats=stats)

    def _sum_up(self, steps: Render, result: RenderResult) -> None:
        if self.manner.verbose and self.log is self.said and steps.failure is not None and is_bug(steps.failure):
            self._tell(traceback_text(steps.failure))
        if not self.manner.quiet or result.exit_code:
            for line in summary_lines(result, str(self.job.report) if self.job.report is not None else None):
                self._tell(line)

    def _tell(self, text: str) -> None:
        self.said.write(text + "\n")

    def _remark(self, event: str, words: str) -> None:
        """Say what isn't as it should be about the telling itself, also where no log lines are wanted."""
        if self.in_words:
            self._tell(f"clipcut: {words}")
        else:
            self.logger.warning(event, message=words)

    def _tell_of_dropped(self) -> None:
        if self.log.dropped:
            words = f"{self.log.dropped} log lines were left out, as nobody took them in time"
            self._remark("render.log_lines_left_out", words)

    def _write_report(self, result: RenderResult, settings: Settings) -> None:
        data = report_bytes(build_report(result, self.job.plan, settings, self.facts))
        where = self.job.report
        try:
            if where is None:
                writer_of(sys.stdout)(data.decode("utf-8"))
            else:
                write_atomic(where, data)
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else exc
            self._remark(
                "render.report_not_written", f"the report can't be written to {where or 'standard output'}: {why}"
            )

    async def _harmless(self, task: Callable[[], Awaitable[None]]) -> None:
        """Do something beside the render; a bug in it is told, and doesn't end the render."""
        try:
            await task()
        except* Exception as group:
            error, event = telling_error(group), "render.task_failed"
            words = error_text(error, self._traceback_place(event))
            self.logger.warning(event, message=words, exc_info=self._logged_bug(error))

    def log_end_of(self, failure: BaseException) -> None:
        """Log what ended the run from outside the render, where nothing could be summed up.

        Where the log is words on standard error, whoever catches it says it in words.
        """
        if not self._logs_tracebacks:
            return
        event = "render.failed"
        words = error_text(failure, self._traceback_place(event))
        self.logger.error(event, status="failed", exit_code=1, error=words, exc_info=self._logged_bug(failure))

    @property
    def _logs_tracebacks(self) -> bool:
        """Whether the log takes the tracebacks of bugs: as JSON and in a file they are in nobody's way."""
        return not self.in_words or self.log is not self.said

    def _logged_bug(self, failure: BaseException | None) -> BaseException | None:
        """Return a failure whose traceback goes with its log line; None for any other."""
        return failure if self._logs_tracebacks and is_bug(failure) else None

    def _traceback_place(self, event: str) -> str:
        """Say where the traceback of a bug is that this event tells of."""
        if self._logs_tracebacks:
            return f"which is in {self.manner.log_file or f'the log line {event}'}"
        return "which stands above" if self.manner.verbose and event == "render.failed" else SHOWN_BY_V


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Open a log file for appending, without waiting for the reader of a pipe.

    Raises:
        SettingsError: It can't be opened.
    """
    try:
        number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o666)
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        mistake = Mistake("--log-file", f"{path} can't be written: {why}")
        raise SettingsError("The settings can't be used:", [mistake]) from exc
    if stat.S_ISFIFO(os.fstat(number).st_mode):
        os.set_blocking(number, True)
    with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
        yield file


def _is_standard_error(file: TextIO) -> bool:
    """Tell whether a file is standard error itself, as ``/dev/stderr`` is."""
    try:
        return os.path.sameopenfile(file.fileno(), sys.stderr.fileno())
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def _lines(stream: TextIO) -> Iterator[Lines]:
    lines = Lines(stream)
    try:
        yield lines
    finally:
        lines.close()


def _level(manner: Manner, *, is_above: bool) -> int:
    """Return the lowest level to log; above a live display only what is odd, unless ``-v`` asks for more."""
    if manner.quiet and manner.log_file is None:
        return logging.CRITICAL  # no line is so
    if manner.verbose:
        return logging.DEBUG
    return logging.WARNING if is_above else logging.INFO


def _display(job: Job, facts: RunFacts, manner: Manner, said: Lines) -> Display | None:
    if manner.quiet or (job.settings.log_format == "json" and manner.log_file is None):
        return None
    return make_display(job.plan, facts.job, said, os.environ)


def _textfile(settings: Settings, facts: RunFacts, logger: Any) -> Textfile | None:
    if settings.prom_textfile is None:
        return None
    return open_textfile(
        Path(settings.prom_textfile), facts.job, lambda event, message: logger.warning(event, message=message)
    )


@contextlib.contextmanager
def open_session(job: Job, facts: RunFacts, manner: Manner) -> Iterator[Session]:
    """Open what a render writes to.

    Args:
        job: What ``prepare`` made.
        facts: What the report says of the run.
        manner: How it is to be told of.

    Raises:
        SettingsError: The log file can't be opened.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(_opened(manner.log_file)) if manner.log_file is not None else None
        if file is not None and _is_standard_error(file):  # or lines and words would meet there
            file, manner = None, attrs.evolve(manner, log_file=None)
        said = stack.enter_context(_lines(sys.stderr))
        log = stack.enter_context(_lines(file)) if file is not None else said
        display = _display(job, facts, manner, said)
        is_above = display is not None and log is said
        stream = display.log_stream if display is not None and log is said else cast("TextIO", log)
        logger = make_logger(
            stream,
            log_format=job.settings.log_format,
            level=_level(manner, is_above=is_above),
            colours=wants_colours(stream, os.environ),
            trace_id=facts.trace_id,
            job=facts.job,
        )
        yield Session(
            job=job,
            facts=facts,
            manner=manner,
            said=said,
            log=log,
            display=display,
            logger=logger,
            in_words=manner.quiet or log is not said or chosen_format(stream, job.settings.log_format) == "console",
            textfile=_textfile(job.settings, facts, logger),
        )


def run_render(job: Job, facts: RunFacts, manner: Manner) -> int:
    """Render, report, say how it went.

    Returns:
        The exit code.

    Raises:
        LockedError: Another render of this output is at work.
        SettingsError: The log file can't be opened.
        ToldError: Something else went wrong, and the log on standard error says so.
    """
    if job.settings.config_path is not None:
        hear_no_hangup()
    lock, why_none = trio.run(_lock, job)
    try:
        with open_session(job, facts, manner) as session:
            if why_none is not None:
                session.logger.warning("render.not_locked", message=why_none)
            try:
                return trio.run(session.run).exit_code
            except Exception as exc:
                session.log_end_of(telling_error(exc))
                if session.in_words:
                    raise
                raise ToldError from exc
    finally:
        if lock is not None:
            lock.give_back()


async def _lock(job: Job) -> tuple[OutputLock | None, str | None]:
    """Lock the output, and wait for that as long as the settings say; return why there is none if that can't be."""
    give_up = trio.current_time() + float(job.settings.wait_lock)
    try:
        while (lock := await trio.to_thread.run_sync(lock_output, job.output)) is None:
            if trio.current_time() >= give_up:
                words = f"Another render of {job.output} is at work; wait for it with --wait-lock SECONDS."
                raise LockedError(words)
            await trio.sleep(min(LOCK_GLANCE_S, give_up - trio.current_time()))
    except OSError as exc:
        return None, f"{job.output} can't be locked against other renders: {exc.strerror}"
    return lock, None
