"""The Prometheus textfile: gone on from, refreshed while a render runs, always whole."""

import contextlib
import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import trio

from clipcut.files import is_link, is_special, is_there, write_atomic
from clipcut.inputs import default_job
from clipcut.metrics import Key, Older, added, counts_of, metrics_text, read_metrics
from clipcut.pipeline import Render
from clipcut.results import ClipResult, Fetched, RenderResult, RenderStatus
from clipcut.settings import settings_as_known

EVERY_S = 5.0
"""How often the file is refreshed while a render runs, in seconds."""
MODE = 0o644
"""node_exporter runs as somebody else."""
_MAX_BYTES = 1 << 20

Warn = Callable[[str, str], None]
"""Takes an event's name and what it is about."""


def _label(job: str) -> str:
    """Return a job's name as a label; a file's name may have bytes that are no text."""
    return job.encode("utf-8", "backslashreplace").decode("utf-8")


def _read(path: Path, timeline: str) -> Older:
    """Read the file that will be replaced; none is an empty one.

    Raises:
        OSError, ValueError: It can't be read; says why.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return Older({})
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a regular file")
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError("it is larger than any textfile of clipcut's")
    return read_metrics(data.decode("utf-8"), timeline)


@attrs.define
class Textfile:
    """One job's textfile.

    Attributes:
        path: Where.
        timeline: The label of its metrics.
        base: The values that it had before this run.
        warn: Told of what isn't as it should be.
        gauges: What this run says of itself, by name.
    """

    path: Path
    timeline: str
    base: Mapping[Key, float]
    warn: Warn
    gauges: dict[str, float] = attrs.field(factory=dict)
    _has_failed: bool = False

    async def refresh(self, render: Render) -> None:
        """Write what is so now, again and again, until cancelled."""
        while True:
            self._look(render)
            await trio.to_thread.run_sync(self._count, render.extraction.finished(), render.fetched)
            await trio.sleep(EVERY_S)

    def finish(self, render: Render, result: RenderResult) -> None:
        """Write how a render ended."""
        self._look(render)
        self.gauges["render_clip_inflight"] = 0
        seconds = result.output.duration_s if result.output is not None else 0
        self._end(result.status, result.exit_code, result.elapsed_ms / 1000, seconds)
        self._write(counts_of(result.clips, result.fetched) + Counter({("render_runs_total", str(result.status)): 1}))

    def refuse(self, exit_code: int) -> None:
        """Write that a render did not even begin."""
        self.gauges |= {"render_clip_inflight": 0, "render_clip_peak_parallelism": 0}
        self._end(RenderStatus.FAILED, exit_code, 0, 0)
        self._write({("render_runs_total", str(RenderStatus.FAILED)): 1})

    def _look(self, render: Render) -> None:
        limits = render.limits
        self.gauges["render_clip_inflight"] = limits.at_work
        self.gauges["render_clip_peak_parallelism"] = limits.peak_parallelism
        self.gauges["render_clip_max_parallelism"] = limits.max_parallelism

    def _count(self, clips: Sequence[ClipResult], fetched: Fetched) -> None:
        """Count and write; in a thread, as there may be very many clips."""
        self._write(counts_of(clips, fetched))

    def _end(self, status: RenderStatus, exit_code: int, took_s: float, plays_s: float) -> None:
        now = time.time()
        self.gauges["render_last_run_timestamp_seconds"] = now
        if status in (RenderStatus.COMPLETE, RenderStatus.DEGRADED):
            self.gauges["render_last_success_timestamp_seconds"] = now
        self.gauges["render_last_duration_seconds"] = took_s
        self.gauges["render_last_output_seconds"] = plays_s
        self.gauges["render_last_exit_code"] = exit_code

    def _write(self, counts: Mapping[Key, float]) -> None:
        """Replace the file; what goes wrong is told once, and ends nothing."""
        try:
            write_atomic(self.path, metrics_text(added(self.base, counts, self.gauges), self.timeline), MODE)
        except OSError as exc:
            if not self._has_failed:
                self._has_failed = True
                self.warn("metrics.not_written", f"{self.path} can't be written: {exc.strerror}")


def open_textfile(path: Path, job: str, warn: Warn) -> Textfile:
    """Read the file that will be gone on from; what can't be read starts every counter at 0, with a warning.

    Args:
        path: Where, absolute.
        job: The render's name.
        warn: Told of what isn't as it should be.
    """
    timeline = _label(job)
    try:
        older = _read(path, timeline)
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        warn("metrics.started_anew", f"{path} can't be read, so its counters start at 0: {why}")
        older = Older({})
    if older.others:
        names = ", ".join(sorted(older.others)[:3])
        words = f"{path} held the metrics of {names}, which are lost now; give each job a file of its own"
        warn("metrics.others_replaced", words)
    return Textfile(path, timeline, older.values, warn, {"render_run_started_timestamp_seconds": time.time()})


def note_refusal(flags: Mapping[str, Any], exit_code: int) -> None:
    """Let a render that did not even begin show in its textfile, as far as that is known.

    Args:
        flags: What the command line said, by name, as far as it could be understood.
        exit_code: What the process returns.
    """
    with contextlib.suppress(OSError):  # the current folder is gone, say: what the user needs to know was said
        found = settings_as_known(("prom_textfile", "job"), flags, os.environ, Path.cwd())
        if found["prom_textfile"] is None or not _is_ours(path := Path(found["prom_textfile"])):
            return
        timeline = flags.get("timeline") or "--"
        job = found["job"] or (default_job(timeline) if timeline[:1] != "-" or timeline == "-" else _owner(path))
        if job is not None:
            open_textfile(path, job, lambda _, __: None).refuse(exit_code)


def _is_ours(path: Path) -> bool:
    """Tell whether a path, that nobody has checked, may be written to: nothing is there, or metrics of clipcut's."""
    if not is_link(path) and not is_there(path):
        return not is_special(path)
    try:
        older = _read(path, "")
    except (OSError, ValueError):
        return False
    return not is_special(path) and bool(older.values or older.others)


def _owner(path: Path) -> str | None:
    """Return whose metrics a file holds: what tells the job if the command line can't be understood."""
    try:
        owners = _read(path, "").others
    except (OSError, ValueError):
        return None
    return next(iter(owners)) if len(owners) == 1 else None
