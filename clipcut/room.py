"""How much room a render needs on disk, before it begins: too little fails at once, and not after an hour."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import attrs

from clipcut.errors import RenderError
from clipcut.ffmpeg.argv import PCM_BYTES
from clipcut.plan import Plan

LEAST_BITS = 0.0003
LIKELY_BITS = 0.1
"""Bits of H.264 for one pixel of a frame: black at the least, and what ordinary pictures take as a rule."""


@attrs.frozen
class Need:
    """What a render needs on one disk, in bytes: at the very least, and likely.

    Attributes:
        folder: A folder on that disk.
        least, likely: The bytes.
        meant_for: What goes there, for messages.
    """

    folder: Path
    least: int
    likely: int
    meant_for: str


def needs_of(plan: Plan, work: Path, output: Path) -> list[Need]:
    """Return what a render needs in each folder; one entry where both are on one disk.

    The work folder holds picture and sound of the whole, and the decoded soundtrack; beside the output lies the whole
    once more until it is finished. Pieces of single clips go as soon as they are joined, and are not counted.

    Args:
        plan: What is rendered.
        work: The folder that the private work folder is made in.
        output: The output's folder.
    """
    form = plan.output
    pixels = form.width * form.height * plan.frames
    least = int(pixels * LEAST_BITS / 8)  # silence takes next to nothing
    likely = int(pixels * LIKELY_BITS / 8 + float(plan.seconds) * int(form.audio.bitrate.removesuffix("k")) * 125)
    track = plan.samples * form.audio.channels * PCM_BYTES if plan.soundtrack is not None else 0
    if work.stat().st_dev == output.stat().st_dev:
        return [Need(work, 2 * least + track, 2 * likely + track, "working files and the output")]
    return [Need(work, least + track, likely + track, "working files"), Need(output, least, likely, "the output")]


def look_for_room(needs: list[Need]) -> Iterator[str]:
    """Yield a warning for each disk that may turn out to be too small. Blocks, but briefly.

    Raises:
        RenderError: One is too small for certain.
    """
    for need in needs:
        free = shutil.disk_usage(need.folder).free
        if free < need.least:
            raise RenderError(
                f"{need.folder} has {_size(free)} free, and {need.meant_for} need at least {_size(need.least)}; "
                "free some, or name another --work-dir."
            )
        if free < need.likely:
            yield f"{need.folder} has {_size(free)} free, and {need.meant_for} may need {_size(need.likely)}"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
