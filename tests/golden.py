"""Render a timeline of numbered sources through the command line, and hold the finished file against the rule.

The rule is the contract's, computed here on its own: frame k of a slot shows the source frame on display at
``start + (k + 1/2) / fps``.
"""

import json
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
from media import CLICK_SECONDS, FrameCode, expected_frames, read_clicks, read_frames
from reports import read_report

from clipcut.cli import run

CLICK_TOLERANCE = 0.002
"""Seconds by which sound and picture may be apart."""


@attrs.frozen
class Numbered:
    """A numbered source: its id in the strip, its rate, its number of frames."""

    source_id: int
    fps: Fraction = Fraction(30)
    frames: int = 360


@attrs.frozen
class Rendered:
    """What a render left: its exit code, output and report."""

    exit_code: int
    output: Path
    report: dict[str, Any]


def timeline(clips: Sequence[Mapping[str, Any]], sources: Mapping[str, Any], **output: Any) -> dict[str, Any]:
    """Put a small timeline together; 320x180 at 30/s, encoded fast, unless told otherwise."""
    form: dict[str, Any] = {"width": 320, "height": 180, "video": {"preset": "ultrafast"}} | output
    form["audio"] = {"fade_ms": 0, **form.get("audio", {})}  # a fade would blur a click at a cut
    listed = {name: {"url": value} if isinstance(value, str) else value for name, value in sources.items()}
    return {"version": 1, "output": form, "sources": listed, "clips": list(clips)}


def render(folder: Path, document: Mapping[str, Any], *flags: str, ffmpeg: str, name: str = "mix.mp4") -> Rendered:
    """Write a timeline into ``folder`` and render it there."""
    path = folder / "timeline.json"
    path.write_text(json.dumps(document))
    output = folder / name
    code = run(["render", str(path), "-o", str(output), "--ffmpeg", ffmpeg, "--log-file", str(folder / "log"), *flags])
    report = output.with_suffix(".report.json")
    return Rendered(code, output, read_report(report) if report.exists() else {})


def _exact(value: Any) -> Fraction:
    return Fraction(str(value))


def slots(document: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return each clip's first output frame and its number of frames."""
    fps = Fraction(document["output"].get("fps", 30))
    total, found = Fraction(0), []
    for clip in document["clips"]:
        first = math.floor(total * fps + Fraction(1, 2))
        total += _exact(clip["duration"]) if "duration" in clip else _exact(clip["end"]) - _exact(clip["start"])
        found.append((first, math.floor(total * fps + Fraction(1, 2)) - first))
    return found


def wanted_frames(document: Mapping[str, Any], media: Mapping[str, Numbered]) -> list[FrameCode | None]:
    """Return the code that each output frame must carry; None in the slots of sources that aren't in ``media``."""
    fps = Fraction(document["output"].get("fps", 30))
    wanted: list[FrameCode | None] = []
    for clip, (_, frames) in zip(document["clips"], slots(document), strict=True):
        source = media.get(clip["video_id"])
        if source is None:
            wanted += [None] * frames
            continue
        numbers = expected_frames(_exact(clip["start"]), frames, fps, source.fps, source.frames)
        wanted += [FrameCode(source.source_id, number) for number in numbers]
    return wanted


def wanted_clicks(document: Mapping[str, Any], silent: Sequence[str] = ()) -> list[float]:
    """Return when the output must click, in seconds: at whole seconds of a source whose click is all in the slot."""
    fps = Fraction(document["output"].get("fps", 30))
    clicks = []
    for clip, (first, frames) in zip(document["clips"], slots(document), strict=True):
        start = _exact(clip["start"])
        if clip["video_id"] in silent or clip.get("mute"):
            continue
        second = math.ceil(start)
        while second + Fraction(CLICK_SECONDS) <= start + frames / fps:
            clicks.append(float(first / fps + second - start))
            second += 1
    return clicks


def assert_picture(
    rendered: Rendered, document: Mapping[str, Any], media: Mapping[str, Numbered], **reading: Any
) -> int:
    """Assert that every frame of the output is the right one; return how many were looked at."""
    assert_used(rendered, document, media)
    wanted = wanted_frames(document, media)
    found = read_frames(rendered.output, **reading)
    wrong = [(n, a, b) for n, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b]

    assert (len(wanted), []) == (len(found), wrong[:5])
    return len(found)


def assert_used(rendered: Rendered, document: Mapping[str, Any], media: Mapping[str, Numbered]) -> None:
    """Assert that the report names the frames of each source that are shown, by its rate."""
    wanted = wanted_frames(document, media)
    expected, found = {}, {}
    for clip, (first, frames) in zip(rendered.report.get("clips", ()), slots(document), strict=False):
        source, codes = media.get(clip["video_id"]), [code for code in wanted[first : first + frames] if code]
        if source is not None and codes and clip["status"] in ("success", "fallback-local"):
            reach = {"first": codes[0].frame, "end": codes[-1].frame + 1}
            expected[clip["id"]] = (str(source.fps), reach)
            found[clip["id"]] = (clip["used"]["fps"], clip["used"]["frames"])
    assert expected == found


def assert_clicks(rendered: Rendered, document: Mapping[str, Any], *, ffmpeg: str, silent: Sequence[str] = ()) -> float:
    """Assert that the output clicks when it must and at no other time; return the worst distance in seconds."""
    wanted, found = wanted_clicks(document, silent), read_clicks(rendered.output, ffmpeg=ffmpeg)

    assert len(wanted) == len(found)
    worst = max((abs(a - b) for a, b in zip(wanted, found, strict=True)), default=0.0)
    assert worst < CLICK_TOLERANCE
    return worst
