"""RenderResult to report: the facts of every clip as JSON, format version 1, written beside its target and renamed."""

import datetime as dt
import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs

from clipcut import __version__
from clipcut.plan import Plan, shown_source
from clipcut.redact import redact
from clipcut.results import Attempt, ClipResult, RenderResult, SpanHashes, Status
from clipcut.settings import Settings


@attrs.frozen(kw_only=True)
class RunFacts:
    """What a report says of the run beside its result.

    Attributes:
        trace_id: 32 hex digits, the same in every log line.
        job: The name of this render.
        timeline_name: The timeline's path as the user wrote it.
        timeline_data: The document.
        started_at: When the render began, UTC.
    """

    trace_id: str
    job: str
    timeline_name: str
    timeline_data: bytes = attrs.field(repr=False)
    started_at: dt.datetime


def iso_time(moment: dt.datetime) -> str:
    """Write a UTC moment as ISO 8601 with milliseconds and a ``Z``."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def nearest_rank(values: Sequence[int], percent: int) -> int:
    """Return the nearest-rank percentile of whole numbers; 0 if there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else 0


def clip_stats(result: RenderResult, settings: Settings) -> dict[str, int]:
    """Return the totals over all clips."""
    count = Counter(clip.status for clip in result.clips)
    durations = [clip.duration_ms for clip in result.clips if clip.parallel_slot is not None]
    return {
        "total_tasks": len(result.clips),
        "success_tasks": count[Status.SUCCESS],
        "fallback_local_tasks": count[Status.FALLBACK_LOCAL],
        "placeholder_tasks": count[Status.FALLBACK_PLACEHOLDER],
        "failed_tasks": count[Status.FAILED],
        "cancelled_tasks": count[Status.CANCELLED],
        "cached_tasks": sum(clip.is_cached for clip in result.clips),
        "retries": result.fetched.retries,
        "max_parallelism": settings.max_parallelism,
        "peak_parallelism": result.peak_parallelism,
        "per_video_limit": settings.per_video_limit,
        "peak_per_video": result.peak_per_video,
        "avg_duration_ms": round(sum(durations) / len(durations)) if durations else 0,
        "p50_duration_ms": nearest_rank(durations, 50),
        "p95_duration_ms": nearest_rank(durations, 95),
        "max_duration_ms": max(durations, default=0),
        "requests": result.fetched.requests,
        "bytes_fetched": result.fetched.size,
    }


def telling_attempt(clip: ClipResult) -> Attempt | None:
    """Return the attempt that explains a clip's status: a failed clip's last, else the first that failed, if any."""
    failed = [attempt for attempt in clip.attempts if attempt.reason is not None]
    if not failed:
        return None
    return failed[-1] if clip.status is Status.FAILED else failed[0]


def task_id(trace_id: str, index: int) -> str:
    """Name one clip's work in one render, for logs and report."""
    return f"{trace_id[:16]}-{index + 1:04}"


def _number(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)


def _clip(clip: ClipResult, trace_id: str, hashes: SpanHashes) -> dict[str, Any]:
    edit, first = clip.edit, clip.edit.ladder[0]
    return {
        "clip_task_id": task_id(trace_id, edit.index),
        "id": edit.name,
        "index": edit.index,
        "video_id": edit.clip.video_id,
        "label": edit.clip.label,
        "source": shown_source(first.location, first.method),
        "start": _number(edit.clip.start),
        "end": _number(edit.clip.start + edit.clip.length),
        "status": clip.status,
        "cached": clip.is_cached,
        "fallback_reason": clip.fallback_reason,
        "parallel_slot": clip.parallel_slot,
        "duration_ms": clip.duration_ms,
        "frames": edit.slot.frames,
        "start_frame": edit.slot.start_frame,
        "picture_hash": hashes.picture,
        "sound_hash": hashes.sound,
        "copied_frames": clip.copied_frames,
        "why_encoded": clip.why_encoded,
        "used": _used(clip),
        "attempts": [
            {
                "method": attempt.method,
                "outcome": attempt.outcome,
                "reason": attempt.reason,
                "message": redact(attempt.message) if attempt.message else None,
                "retries": attempt.retries,
                "duration_ms": attempt.duration_ms,
            }
            for attempt in clip.attempts
        ],
    }


def _used(clip: ClipResult) -> dict[str, Any] | None:
    """Say what of which source an editor needs to have the same clip; None where nothing of a source is shown."""
    rung, used = clip.rung, clip.used
    if rung is None or used is None:
        return None
    return {
        "method": rung.method,
        "location": shown_source(rung.location, rung.method),
        "fps": str(used.fps) if used.fps is not None else None,
        "start_timecode": used.start_timecode,
        "frames": {"first": used.frames[0], "end": used.frames[1]} if used.frames is not None else None,
    }


def build_report(result: RenderResult, plan: Plan, settings: Settings, facts: RunFacts) -> dict[str, Any]:
    """Put the report together.

    Args:
        result: How the render ended.
        plan: What it was to do; its edits are the result's clips.
        settings: The effective settings.
        facts: What is known of the run.
    """
    import av  # noqa: PLC0415  a light start

    output = result.output
    hashes = output.hashes if output is not None else (SpanHashes(None, None),) * len(result.clips)
    return {
        "version": 1,
        "clipcut": __version__,
        "ffmpeg": result.ffmpeg,
        "av": av.__version__,
        "trace_id": facts.trace_id,
        "job": facts.job,
        "status": result.status,
        "exit_code": result.exit_code,
        "error": redact(result.error) if result.error else None,
        "started_at": iso_time(facts.started_at),
        "elapsed_ms": result.elapsed_ms,
        "timeline": {"path": facts.timeline_name, "sha256": hashlib.sha256(facts.timeline_data).hexdigest()},
        "output": None
        if output is None
        else {
            "path": str(output.path),
            "bytes": output.size,
            "frames": output.frames,
            "duration_s": round(float(plan.seconds), 6),
            "fps": str(plan.output.fps),
            "sample_rate": plan.output.audio.sample_rate,
        },
        "config": settings.described(),
        "clip_stats": clip_stats(result, settings),
        "clips": [_clip(clip, facts.trace_id, span) for clip, span in zip(result.clips, hashes, strict=True)],
    }


def report_bytes(report: dict[str, Any]) -> bytes:
    """Write a report as JSON text that people can read too."""
    return (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def default_report_path(output: Path) -> Path:
    """Return where the report goes if nobody says: ``mix.mp4`` gives ``mix.report.json``."""
    return output.with_name(f"{output.stem}.report.json")
