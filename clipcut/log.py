"""structlog set-up: console on a terminal, JSON elsewhere, to stderr or a file; and the Listener that writes the lines.

No global logger: a render gets its own, and the tests theirs.
"""

import logging
import re
import secrets
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, TextIO

import structlog

from clipcut.events import Retry, Stage
from clipcut.plan import Edit, Method
from clipcut.redact import redact
from clipcut.report import task_id, telling_attempt
from clipcut.results import ClipResult, Status
from clipcut.settings import Settings

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")

_FOR_MACHINES = frozenset(
    {
        "trace_id",
        "job",
        "clip_task_id",
        "clip_stats",
        "report",
        "per_video_limit",
        "max_parallelism",
        "parallel_slot",
        "frames",
        "duration_ms",
        "retries",
        "cached",
    }
)
_ONLY_IF_VERBOSE = frozenset({"clip.started", "clip.throttled", "clip.retry", "source.resolved"})


def trace_id_from(environ: Mapping[str, str]) -> str:
    """Take the trace id from a valid W3C ``TRACEPARENT``, else make one."""
    match = _TRACEPARENT.fullmatch(environ.get("TRACEPARENT", "").strip())
    if match and match[0][:2] != "ff" and int(match[1], 16) and int(match[2], 16):
        return match[1]
    return secrets.token_hex(16)


def _redact_values(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}


def _shorten(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Leave away what only machines read: people at a terminal see one render, and its summary at the end."""
    if event["event"] in _ONLY_IF_VERBOSE:
        raise structlog.DropEvent
    return {key: value for key, value in event.items() if key not in _FOR_MACHINES and value is not None}


def _keep(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return event


def wants_colours(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Obey ``NO_COLOR``, then ``FORCE_COLOR``, then whether ``stream`` is a terminal that can show colours."""
    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or (stream.isatty() and environ.get("TERM") != "dumb")


def chosen_format(stream: TextIO, log_format: str | None) -> str:
    """Return how lines to ``stream`` are written, ``console`` or ``json``; None chooses by whether it is a terminal."""
    return log_format or ("console" if stream.isatty() else "json")


def make_logger(
    stream: TextIO, *, log_format: str | None, level: int = logging.INFO, colours: bool = False, **bound: object
) -> structlog.typing.FilteringBoundLogger:
    """Make a logger.

    Args:
        stream: Where the lines go.
        log_format: ``console`` or ``json``; None for console if ``stream`` is a terminal.
        level: The lowest level that is written.
        colours: Whether a console line has colours.
        **bound: Fields of every line.
    """
    if chosen_format(stream, log_format) == "json":
        renderers: list[Any] = [
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(),
            _redact_values,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    else:
        renderers = [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            _shorten if level > logging.DEBUG else _keep,
            _redact_values,
            structlog.dev.ConsoleRenderer(
                colors=colours,
                pad_event_to=16,
                exception_formatter=structlog.dev.plain_traceback,  # Rich's would show local variables
            ),
        ]
    logger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[structlog.processors.add_log_level, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    return logger.bind(**bound)  # type: ignore[no-any-return]


class LogListener:
    """Writes a line for each event of a render."""

    def __init__(self, logger: structlog.typing.FilteringBoundLogger, trace_id: str) -> None:
        """Write to ``logger``; clips are named after ``trace_id``."""
        self._logger = logger
        self._trace_id = trace_id
        self._slots: dict[int, int] = {}

    def _about(self, edit: Edit, parallel_slot: int | None) -> structlog.typing.FilteringBoundLogger:
        return self._logger.bind(
            clip_task_id=task_id(self._trace_id, edit.index),
            clip=edit.name,
            video_id=edit.clip.video_id,
            parallel_slot=parallel_slot,
        )

    def clip_started(self, edit: Edit, parallel_slot: int) -> None:
        """Say that a clip is at work."""
        self._slots[edit.index] = parallel_slot
        self._about(edit, parallel_slot).info("clip.started")

    def clip_stage(self, edit: Edit, method: Method, stage: Stage) -> None:
        """Say nothing: one line a clip, not one a step."""

    def clip_finished(self, result: ClipResult) -> None:
        """Say how a clip ended, in one line with all its facts."""
        # that of its start, also where it was at work only to find out that it was finished before
        about = self._about(result.edit, self._slots.pop(result.edit.index, result.parallel_slot))
        fine = result.status in (Status.SUCCESS, Status.CANCELLED)
        failed = telling_attempt(result)
        (about.info if fine else about.warning)(
            "clip.finished",
            clip_status=str(result.status),
            duration_ms=result.duration_ms,
            fallback_reason=str(result.fallback_reason) if result.fallback_reason else None,
            frames=result.edit.slot.frames,
            retries=sum(attempt.retries for attempt in result.attempts),
            cached=result.is_cached,
            **({"message": failed.message} if failed is not None else {}),
        )

    def clip_throttled(self, edit: Edit, per_video_limit: int, waited_s: float) -> None:
        """Say that a clip waited for its video while a global place was free."""
        self._about(edit, None).info(
            "clip.throttled", per_video_limit=per_video_limit, waited_ms=round(waited_s * 1000)
        )

    def clip_retry(self, edit: Edit, retry: Retry) -> None:
        """Say that a request is sent again."""
        self._about(edit, self._slots.get(edit.index)).info(
            "clip.retry", attempt=retry.attempt, delay_ms=round(retry.delay_s * 1000), reason=str(retry.reason)
        )

    def source_resolved(self, video_id: str, source: str, facts: Mapping[str, object]) -> None:
        """Say what was found behind an address."""
        self._logger.info("source.resolved", video_id=video_id, source=source, **facts)

    def settings_changed(self, before: Settings, after: Settings, names: Sequence[str]) -> None:
        """Say which settings are others from now on, with their old and new values."""
        old, new = before.described(), after.described()
        self._logger.info(
            "render.config_hot_reload",
            origin={name: new[name]["origin"] for name in names},
            old={name: old[name]["value"] for name in names},
            new={name: new[name]["value"] for name in names},
        )

    def warning(self, event: str, message: str) -> None:
        """Say that something isn't as it should be."""
        self._logger.warning(event, message=message)
