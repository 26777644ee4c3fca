"""The parts of a clip around its copy, pure: edits of their own, and the command that proves the copy whole."""

from fractions import Fraction
from pathlib import Path

import attrs

from clipcut.ffmpeg.argv import base_args, input_args, sound_of
from clipcut.ffmpeg.packets import EXCERPT_FORMATS
from clipcut.ffmpeg.probe import MediaInfo
from clipcut.plan import Edit
from clipcut.timeline import Output

HEAD, COPY, TAIL = 0, 1, 2
"""Which part of the clip each piece is."""


def edge_of(edit: Edit, fps: Fraction, first: int, end: int, part: int) -> Edit:
    """Return the edit of a clip's frames ``[first, end)``, without sound: the same frames of the source, as exactly."""
    clip = attrs.evolve(edit.clip, start=edit.clip.start + first / fps, end=None, duration=(end - first) / fps)
    slot = attrs.evolve(edit.slot, start_frame=edit.slot.start_frame + first, frames=end - first)
    return attrs.evolve(edit, clip=clip, slot=slot, is_silent=True, part=part)


@attrs.frozen
class Sound:
    """A clip's sound in a file of its own, and by how many seconds its timestamps are later than the source's."""

    path: Path
    shift: Fraction


def proof_argv(
    ffmpeg: str, copied: Path, edit: Edit, info: MediaInfo, sound: Sound | None, output: Output, target: Path
) -> list[str]:
    """Return the command that decodes what was copied, and makes the whole clip's sound.

    It writes to standard output one line ``frame:… pts:…`` per picture that came out of the decoder. Pictures are not
    filtered at their blocks' edges: that changes nothing of what is read, and takes a third of the time.
    """
    argv = [*base_args(ffmpeg), "-copyts", "-skip_loop_filter", "all", *input_args(copied, EXCERPT_FORMATS)]
    argv += input_args(sound.path, EXCERPT_FORMATS) if sound is not None else []
    argv += ["-map", "0:v:0", "-vf", "metadata=mode=add:key=cut:value=1,metadata=mode=print:file=-"]
    argv += ["-fps_mode", "passthrough", "-c:v", "wrapped_avframe", "-f", "null", "-"]
    return argv + (sound_of(edit, info, sound.shift, output.audio, target) if sound is not None else [])
