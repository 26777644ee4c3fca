"""A report as ``verify`` reads it back: only what tells of the output, every mistake of it with its JSON path."""

import json
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import attrs

from clipcut.errors import Mistake, SettingsError
from clipcut.ffmpeg.readback import Grid, Span
from clipcut.results import SpanHashes
from clipcut.scalars import show
from clipcut.timebase import MAX_SECONDS, sample_at
from clipcut.timeline import AAC_RATES

MAX_BYTES = 256 * 1024 * 1024
"""No report is larger; one of 100,000 clips has about 100 MB."""

MAX_FPS = 240
"""No output has more frames a second."""

_HASH = re.compile(r"[0-9a-f]{32}", re.ASCII)
_RATE = re.compile(r"[1-9][0-9]{0,9}(/[1-9][0-9]{0,9})?", re.ASCII)
_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class ReportedClip:
    """A clip as the report has it: its name and place, its span of the output, what was coded there."""

    id: str
    index: int
    span: Span
    hashes: SpanHashes


@attrs.frozen(kw_only=True)
class Reported:
    """What a report says of its output; the clips' spans tile it."""

    grid: Grid
    clips: tuple[ReportedClip, ...]

    @property
    def samples(self) -> int:
        """How many samples per channel it has."""
        return sample_at(self.grid.frames, self.grid.fps, self.grid.sample_rate)


def read_reported(path: Path, name: str) -> Reported:
    """Read what a report says of its output.

    Args:
        path: The report.
        name: What the user calls it, for messages.

    Raises:
        SettingsError: It can't be read, is no report, tells of no output, or was written before reports had hashes.
    """
    reader = _Reader(name)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        document = json.loads(data) if len(data) <= MAX_BYTES else None
    except OSError as exc:
        raise reader.refuse(name, f"can't be read: {exc.strerror}; name the report with --report") from exc
    except (ValueError, RecursionError) as exc:
        raise reader.refuse(name, "is no JSON; name the report that the render wrote with --report") from exc
    return reader.read(document)


def _is_count(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_sample_rate(value: Any) -> bool:
    return _is_count(1)(value) and value <= max(AAC_RATES)


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def _is_rate(value: Any) -> bool:
    return isinstance(value, str) and _RATE.fullmatch(value) is not None


class _Reader:
    """Reads a report's values one by one, and keeps every mistake."""

    def __init__(self, name: str) -> None:
        self._title = f"The output can't be held against {name}:"
        self._mistakes: list[Mistake] = []

    def refuse(self, where: str, what: str) -> SettingsError:
        return SettingsError(self._title, [Mistake(where, what)])

    def read(self, document: Any) -> Reported:
        if not isinstance(document, dict) or document.get("version") != 1 or "clip_stats" not in document:
            raise self.refuse("$", "is no version 1 report; name the one that the render wrote with --report")
        if not isinstance(document.get("output"), dict):
            raise self.refuse("$.output", "is null: that render wrote no output; look at its error")
        grid = self._grid(document["output"])
        clips = self._clips(document.get("clips"))
        if not self._mistakes and not _tiles(clips, grid):
            self._mistakes.append(Mistake("$.clips", "their frames don't make the output's; was the report changed?"))
        if self._mistakes:
            raise SettingsError(self._title, self._mistakes)
        return Reported(grid=grid, clips=clips)

    def _grid(self, output: dict[str, Any]) -> Grid:
        fps = Fraction(self._take(output, "$.output", "fps", _is_rate, 'frames a second such as "30000/1001"', "1"))
        frames = self._take(output, "$.output", "frames", _is_count(1), "a count of frames", 1)
        rate = self._take(output, "$.output", "sample_rate", _is_sample_rate, "samples a second", 1)
        if frames / fps > MAX_SECONDS or fps > MAX_FPS:
            self._mistakes.append(Mistake("$.output.frames", f"{frames} is more than any output has"))
        return Grid(fps, frames, rate)

    def _clips(self, clips: Any) -> tuple[ReportedClip, ...]:
        if not isinstance(clips, list) or not clips or not all(isinstance(clip, dict) for clip in clips):
            raise self.refuse("$.clips", "is no list of clips")
        return tuple(self._clip(clip, index) for index, clip in enumerate(clips))

    def _clip(self, clip: dict[str, Any], index: int) -> ReportedClip:
        where = f"$.clips[{index}]"
        span = Span(
            self._take(clip, where, "start_frame", _is_count(0), "a frame's number", 0),
            self._take(clip, where, "frames", _is_count(1), "a count of frames", 1),
        )
        hashes = [self._take(clip, where, key, _is_hash, "32 hex digits", "") for key in ("picture_hash", "sound_hash")]
        name = self._take(clip, where, "id", lambda value: isinstance(value, str), "the clip's id", "")
        return ReportedClip(id=name, index=index, span=span, hashes=SpanHashes(*hashes))

    def _take(
        self, parent: dict[str, Any], where: str, key: str, is_right: Callable[[Any], bool], wanted: str, instead: _T
    ) -> _T:
        value = parent.get(key)
        if is_right(value):
            return value  # type: ignore[return-value]
        what = f"{show(value)} should be {wanted}" if key in parent else f"is missing: {wanted}"
        self._mistakes.append(Mistake(f"{where}.{key}", what))
        return instead


def _tiles(clips: Sequence[ReportedClip], grid: Grid) -> bool:
    ends = [clip.span.start_frame + clip.span.frames for clip in clips]
    return [clip.span.start_frame for clip in clips] == [0, *ends[:-1]] and ends[-1] == grid.frames
