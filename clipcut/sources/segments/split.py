"""Edit to parts, pure: where a clip crosses from one run of timestamps to the next, it is cut in parts, one a run."""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

import attrs

from clipcut.plan import Edit, Slot
from clipcut.timebase import sample_at
from clipcut.timeline import Output


def split(edit: Edit, begins: Sequence[Fraction], output: Output) -> list[tuple[int, Edit]]:
    """Split an edit at the begins of runs.

    Args:
        edit: The clip in its slot.
        begins: When each run begins, in source time, ascending; what is before the first belongs to the first.
        output: The output's rate and samples.

    Returns:
        The number of each run that has a frame of the slot, with the edit for its frames: the frames whose middle lies
        in the run. Together they tile the slot.
    """
    fps, frames = output.fps, edit.slot.frames
    # frame k's middle is at start + (k + 1/2) / fps: the first k at or after a moment
    firsts = [0, *(min(frames, max(0, ceil((begin - edit.clip.start) * fps - Fraction(1, 2)))) for begin in begins[1:])]
    ends = [*firsts[1:], frames]
    found = [(run, first, end) for run, (first, end) in enumerate(zip(firsts, ends, strict=True)) if first < end]
    if len(found) == 1:
        return [(found[0][0], edit)]
    return [(run, _piece(edit, number, first, end, output)) for number, (run, first, end) in enumerate(found)]


def _piece(edit: Edit, number: int, first: int, end: int, output: Output) -> Edit:
    """Return the edit for the frames ``[first, end)`` of a slot."""
    fps, rate = output.fps, output.audio.sample_rate
    is_last = end == edit.slot.frames
    start = edit.clip.start + first / fps
    stop = edit.clip.start + (edit.clip.length if is_last else end / fps)
    begins, ends = (sample_at(edit.slot.start_frame + frame, fps, rate) for frame in (first, end))
    return attrs.evolve(
        edit,
        part=number,
        clip=attrs.evolve(edit.clip, start=start, end=None, duration=stop - start),
        slot=Slot(
            start_frame=edit.slot.start_frame + first,
            frames=end - first,
            start_sample=begins,
            samples=ends - begins,
        ),
    )
