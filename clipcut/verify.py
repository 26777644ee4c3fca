"""Hold a finished video against its report: is every clip still what the render wrote, and can it be played.

What is coded is compared by the report's hashes, which a lossless remux keeps, whatever the container; and all of it is
decoded once, so that a file that no player could show is never called fine.
"""

import contextlib
import enum
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import trio

from clipcut.decoded import Decoded, decode
from clipcut.errors import Reason, SourceError
from clipcut.ffmpeg.probe import open_media
from clipcut.ffmpeg.readback import AAC_SAMPLES, SLACK, Grid, Readback, read_back
from clipcut.ffmpeg.tags import first_picture, tags_of
from clipcut.reported import Reported, ReportedClip
from clipcut.results import SpanHashes

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts"
"""Containers that a finished video may have been remuxed into."""


class Finding(enum.StrEnum):
    """What became of a clip's pictures, or of its sound."""

    OK = "ok"
    DIFFERS = "differs"
    SILENT = "silent"
    MISSING = "missing"


@attrs.frozen(kw_only=True)
class ClipVerdict:
    """What became of one clip."""

    clip: ReportedClip
    picture: Finding
    sound: Finding

    @property
    def is_fine(self) -> bool:
        """Whether it is what was written."""
        return self.picture is Finding.OK and self.sound is Finding.OK


@attrs.frozen(kw_only=True)
class Verdict:
    """What became of the whole.

    Attributes:
        reported: What it should be.
        frames: How many pictures it has; 0 where it can't be read.
        problems: What is wrong with it as a whole, in words.
        clips: Each clip's, in timeline order.
    """

    reported: Reported
    frames: int
    problems: tuple[str, ...]
    clips: tuple[ClipVerdict, ...]

    @property
    def is_fine(self) -> bool:
        """Whether it is what was written, all of it."""
        return not self.problems and all(clip.is_fine for clip in self.clips)


def compare(reported: Reported, found: Readback) -> Verdict:
    """Hold what a file has against what its report says; nothing is decoded."""
    return Verdict(
        reported=reported,
        frames=found.frames,
        problems=tuple(_problems(reported, found)),
        clips=tuple(_judge_clip(clip, found.hashes(clip.span)) for clip in reported.clips),
    )


def _judge_clip(clip: ReportedClip, found: SpanHashes) -> ClipVerdict:
    return ClipVerdict(
        clip=clip,
        picture=_finding(clip.hashes.picture, found.picture),
        sound=_finding(clip.hashes.sound, found.sound),
    )


def _finding(reported: str | None, found: str | None) -> Finding:
    if found is None:
        return Finding.MISSING
    return Finding.OK if found == reported else Finding.DIFFERS


def _problems(reported: Reported, found: Readback) -> Iterator[str]:
    """Yield what is wrong with the file as a whole."""
    grid = reported.grid
    if found.frames != grid.frames:
        yield f"it has {found.frames} frames instead of {grid.frames}"
    if found.displaced_frame is not None:
        yield f"frame {found.displaced_frame} ({_seconds(found.displaced_frame / grid.fps)}) is not in its place"
    if found.sound_start is None or found.sound_end is None:
        yield "it has no sound"
        return
    if abs(found.sound_late) > 2 * SLACK:
        yield f"its sound is {_seconds(abs(found.sound_late))} too {'late' if found.sound_late > 0 else 'early'}"
    if found.displaced_packet is not None:
        # the sound that a packet begins with is that of the packet before it
        at = max(Fraction(0), Fraction((found.displaced_packet - 1) * AAC_SAMPLES, grid.sample_rate))
        yield f"its sound is not in its place from {_seconds(at)} on"
    end = (found.start or 0) + found.sound_late + Fraction(reported.samples, grid.sample_rate)
    if found.sound_end < end - 2 * SLACK:
        yield f"its sound ends {_seconds(end - found.sound_end)} early"


def _seconds(value: Fraction) -> str:
    return f"{float(value):.3f} s"


def unreadable(reported: Reported, why: str) -> Verdict:
    """Return the verdict on a file that can't be read: every clip is missing."""
    lost = tuple(ClipVerdict(clip=clip, picture=Finding.MISSING, sound=Finding.MISSING) for clip in reported.clips)
    return Verdict(reported=reported, frames=0, problems=(why,), clips=lost)


async def hold_against(output: Path, reported: Reported, ffmpeg: str) -> Verdict:
    """Read a file back, decode it, and hold it against its report.

    Args:
        output: The file, as it was written or remuxed.
        reported: What it should be.
        ffmpeg: The program that decodes it.

    Raises:
        ClipcutError: The machine can't do it.
    """
    try:
        found = await trio.to_thread.run_sync(_read, output, reported.grid, trio.from_thread.check_cancelled)
    except SourceError as exc:
        return unreadable(reported, str(exc))
    verdict = compare(reported, found)
    tags = await trio.to_thread.run_sync(_tags, output)
    verdict = attrs.evolve(verdict, problems=(*verdict.problems, *tags))
    try:
        return _with_decoded(verdict, await decode(output, FORMATS, ffmpeg))
    except SourceError as exc:
        return attrs.evolve(verdict, problems=(*verdict.problems, f"it can't be played: {exc}"))


def _read(output: Path, grid: Grid, check: Callable[[], None]) -> Readback:
    with open_media(output, FORMATS) as container:
        if not container.streams.video:
            raise SourceError(Reason.UNDECODABLE, f"{output} has no picture")
        return read_back(container, grid, check)


def _tags(output: Path) -> list[str]:
    """Say what is said of a file's first picture that no output says, and would change how a player shows all."""
    with contextlib.suppress(SourceError), open_media(output, FORMATS) as container:  # whoever decodes it says why
        frame = first_picture(container, container.streams.video[0])
        return [f"its pictures are tagged: {words}" for words in tags_of(frame).problems] if frame is not None else []
    return []


def _with_decoded(verdict: Verdict, decoded: Decoded) -> Verdict:
    """Add to a verdict what only the decoders know."""
    reported, problems = verdict.reported, list(verdict.problems)
    if decoded.pictures != reported.grid.frames:
        problems.append(f"{decoded.pictures} pictures came out of the decoder instead of {reported.grid.frames}")
    # an MP4 made by others has its tracks' lengths in milliseconds, and then the last samples may not be played
    if decoded.samples < reported.samples - SLACK * reported.grid.sample_rate:
        problems.append(f"{decoded.samples} samples came out of the decoder instead of {reported.samples}")
    clips = tuple(
        attrs.evolve(each, sound=Finding.SILENT)
        if each.sound is Finding.DIFFERS and decoded.is_silent(each.clip.span, reported.grid)
        else each
        for each in verdict.clips
    )
    return attrs.evolve(verdict, problems=tuple(problems), clips=clips)


def verdict_document(output: str, report: str, verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON."""
    grid = verdict.reported.grid
    return {
        "output": output,
        "report": report,
        "ok": verdict.is_fine,
        "problems": list(verdict.problems),
        "frames": {"reported": grid.frames, "found": verdict.frames},
        "duration_s": {
            "reported": round(float(grid.frames / grid.fps), 6),
            "found": round(float(verdict.frames / grid.fps), 6),
        },
        "clips": [
            {
                "id": each.clip.id,
                "index": each.clip.index,
                "start_frame": each.clip.span.start_frame,
                "frames": each.clip.span.frames,
                "picture": each.picture,
                "sound": each.sound,
            }
            for each in verdict.clips
        ],
    }
