"""Which frames of its source a clip shows, so that an editor can put the same ones into another edit."""

from collections.abc import Sequence
from fractions import Fraction

import attrs

from clipcut.ffmpeg.probe import MediaInfo
from clipcut.timebase import round_half_up


@attrs.frozen(kw_only=True)
class Used:
    """What was used of a source, in its own frames.

    Attributes:
        fps: The source's frames a second, on average where they vary; None if it has no rate, as a still picture.
        start_timecode: The timecode of its first frame; None if it has none, or isn't one file that is all here.
        frames: The range ``[first, end)`` of its frames that are shown, counted from its zero at ``fps``; None without
            a rate.
    """

    fps: Fraction | None
    start_timecode: str | None
    frames: tuple[int, int] | None


def used_of(info: MediaInfo, first: int, last: int) -> Used:
    """Tell what was used of a source.

    Args:
        info: The probed source, or a piece of it.
        first: When the first picture begins that is shown, in ticks.
        last: The same of the last one.
    """
    video = info.video
    is_whole = not info.is_piece and info.has_bytes is None  # else a track of timecodes may be a hole of zeros
    timecode = str(info.timecode) if info.timecode is not None and is_whole else None
    if video.rate is None or video.is_still:
        return Used(fps=None, start_timecode=timecode, frames=None)
    begin, end = (round_half_up((pts * video.time_base - video.zero) * video.rate) for pts in (first, last))
    return Used(fps=video.rate, start_timecode=timecode, frames=(max(0, begin), max(0, end) + 1))


def joined(pieces: Sequence[Used | None]) -> Used | None:
    """Return what the pieces of a clip used together; None if they are no pieces of a source."""
    found = [piece for piece in pieces if piece is not None]
    if not found:
        return None
    ranges = [piece.frames for piece in found if piece.frames is not None]
    reach = (min(first for first, _ in ranges), max(end for _, end in ranges)) if ranges else None
    return attrs.evolve(found[0], frames=reach)
