"""What people read: the closing summary of a render, the plan as a table, the check of a timeline."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from clipcut.plan import Edit, Method, Plan, needs_network, shown_source
from clipcut.planning import chosen_rung
from clipcut.redact import redact
from clipcut.report import telling_attempt
from clipcut.results import ClipResult, RenderResult, Status
from clipcut.timebase import decimal_text, format_timecode

if TYPE_CHECKING:
    from clipcut.sources.forecast import Forecast, Piece

_MARKS = {
    Status.FALLBACK_LOCAL: "local copy",
    Status.FALLBACK_PLACEHOLDER: "placeholder",
    Status.FAILED: "failed",
}


def count_text(count: int, thing: str) -> str:
    """Write ``1 clip``, ``2 clips``."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _clip_line(clip: ClipResult) -> str:
    failed = telling_attempt(clip)
    why = f"{failed.method} {failed.reason}: {redact(failed.message or '')}" if failed is not None else ""
    return f"  {clip.edit.name}  {_MARKS[clip.status]}  ({why})"


def summary_lines(result: RenderResult, report: str | None) -> Iterator[str]:
    """Yield the closing summary: what came out, then each clip that isn't what was asked for.

    Args:
        result: How the render ended.
        report: Where the report is; None if it went to stdout.
    """
    odd = [clip for clip in result.clips if clip.status in _MARKS]
    if result.output is not None:
        size = f"{result.output.size / 1e6:.1f} MB"
        length = f"{result.output.duration_s:.3f} s, {count_text(result.output.frames, 'frame')}, {size}"
        fine = len(result.clips) - len(odd)
        yield f"{result.status}: {result.output.path} ({length}) in {result.elapsed_ms / 1000:.1f} s"
        cached = sum(clip.is_cached for clip in result.clips)
        copied = sum(clip.copied_frames for clip in result.clips)
        facts = [f"{cached} finished before"] * bool(cached) + [f"{count_text(copied, 'frame')} copied"] * bool(copied)
        more = f" ({', '.join(facts)})" if facts else ""
        yield f"{fine} of {count_text(len(result.clips), 'clip')} as asked for{more}" + (":" if odd else ".")
    else:
        yield f"{result.status}: {redact(result.error or '')}"
    yield from (_clip_line(clip) for clip in odd)
    if report is not None:
        yield f"report: {report}"


def plan_document(plan: Plan, found: "Forecast | None" = None) -> dict[str, Any]:
    """Return the plan as JSON values: slots in frames and samples, ladders, and what the network would have to give.

    Args:
        plan: The clips.
        found: What was found out of the network; None if it wasn't asked. What isn't known is null.
    """
    output = plan.output
    return {
        "version": 1,
        "output": {
            "path": output.path,
            "width": output.width,
            "height": output.height,
            "fps": f"{output.fps.numerator}/{output.fps.denominator}",
            "frames": plan.frames,
            "samples": plan.samples,
            "duration_s": round(float(plan.seconds), 6),
        },
        "totals": _totals(plan, found),
        "clips": [_planned_clip(edit, found) for edit in plan.edits],
    }


def _totals(plan: Plan, found: "Forecast | None") -> dict[str, Any]:
    if found is None:
        nothing = None if needs_network(plan) else 0
        return {"clips": len(plan.edits), "requests": nothing, "bytes": nothing}
    return {"clips": len(plan.edits), "requests": found.requests, "bytes": found.size}


def _planned_clip(edit: Edit, found: "Forecast | None") -> dict[str, Any]:
    clip = found.clips.get(edit.index) if found is not None else None
    pieces = clip.pieces if clip is not None else None
    sizes = [piece.size for piece in pieces or ()]
    return {
        "id": edit.name,
        "index": edit.index,
        "video_id": edit.clip.video_id,
        "start": float(edit.clip.start),
        "end": float(edit.clip.start + edit.clip.length),
        "start_frame": edit.slot.start_frame,
        "frames": edit.slot.frames,
        "start_sample": edit.slot.start_sample,
        "samples": edit.slot.samples,
        "rung": chosen_rung(edit, found),
        "reason": clip.reason if clip is not None else None,
        "message": redact(clip.message) if clip is not None and clip.message else None,
        "segments": [_planned_piece(piece) for piece in pieces] if pieces is not None else None,
        "bytes": None if pieces is None or None in sizes else sum(size or 0 for size in sizes),
        "ladder": [{"method": rung.method, "source": shown_source(rung.location, rung.method)} for rung in edit.ladder],
    }


def _planned_piece(piece: "Piece") -> dict[str, Any]:
    first, end = piece.byte_range or (None, None)
    return {
        "what": piece.what,
        "source": piece.source,
        "first_byte": first,
        "end_byte": end,
        "bytes": piece.size,
        "shared": piece.is_shared,
    }


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, *rows]:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _cost(edit: Edit, found: "Forecast") -> str:
    """Say in few words what a clip would have the network give."""
    clip = found.clips.get(edit.index)
    if clip is None:
        return "-"
    if clip.pieces is None:
        return str(clip.reason)
    sizes = [piece.size for piece in clip.pieces]
    size = "" if None in sizes else f", {sum(size or 0 for size in sizes) / 1e6:.2f} MB"
    shared = sum(piece.is_shared for piece in clip.pieces)
    return f"{count_text(len(clip.pieces), 'piece')}{size}{f', {shared} shared' if shared else ''}"


def _network_line(found: "Forecast") -> str:
    requests = "?" if found.requests is None else count_text(found.requests, "request")
    size = "an unknown number of bytes" if found.size is None else f"{found.size / 1e6:.2f} MB"
    return f"network: {requests}, {size}; what clips share is counted once"


def plan_lines(plan: Plan, found: "Forecast | None" = None) -> Iterator[str]:
    """Yield the plan as a table: one line a clip, its place in the output, its range in the source, its ladder.

    Args:
        plan: The clips.
        found: What was found out of the network, for one column more; None if it wasn't asked.
    """
    fps = plan.output.fps
    rows = [
        (
            edit.name,
            format_timecode(edit.slot.start_frame / fps),
            str(edit.slot.start_frame),
            str(edit.slot.frames),
            edit.clip.video_id,
            f"{decimal_text(edit.clip.start)} + {decimal_text(edit.clip.length)}",
            " > ".join(
                shown_source(rung.location, rung.method) or "placeholder"
                for rung in edit.ladder
                if rung.method is not Method.PLACEHOLDER or len(edit.ladder) > 1
            ),
            *([_cost(edit, found)] if found is not None else []),
        )
        for edit in plan.edits
    ]
    columns = ("clip", "at", "frame", "frames", "video", "from + length (s)", "ladder")
    yield from _table((*columns, "network") if found is not None else columns, rows)
    rate = str(fps) if fps.denominator == 1 else f"{fps.numerator}/{fps.denominator}"
    size = f"{plan.output.width}x{plan.output.height} at {rate}/s"
    totals = f"{count_text(len(rows), 'clip')}, {count_text(plan.frames, 'frame')}"
    yield f"{totals}, {float(plan.seconds):.3f} s, {size}"
    if found is not None:
        yield _network_line(found)
