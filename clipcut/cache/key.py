"""What a clip is known by: everything that shapes its bytes, and nothing else."""

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs

from clipcut import __version__
from clipcut.digest import digest
from clipcut.ffmpeg.argv import sound_facts
from clipcut.ffmpeg.tools import Tool
from clipcut.plan import Edit
from clipcut.timeline import Output

RECIPE = 2
"""Our own way of cutting. It goes up with each change that makes other bytes of the same clip."""


def recipe_of(output: Output, tool: Tool, cut: str = "encode") -> str:
    """Name what shapes every clip of a render: the output's form, the programs, our own recipe.

    Args:
        output: The output's form; where it goes doesn't matter, nor how long sound fades, which is made at the join.
        tool: The FFmpeg; two builds may call themselves alike, so its file is looked at.
        cut: Whether clips are copied where they need no change, ``auto`` or ``encode``.
    """
    import av  # noqa: PLC0415  a light start

    build: Any = None
    with contextlib.suppress(OSError):
        status = Path(tool.path).stat()
        build = (status.st_size, status.st_mtime_ns)
    form = attrs.asdict(attrs.evolve(output, path=None, audio=attrs.evolve(output.audio, fade_ms=Fraction(0))))
    return digest(
        RECIPE, __version__, form, tool.version, tool.can_tone_map, build, av.__version__, av.library_versions, cut
    )


def clip_key(edit: Edit, identity: str, recipe: str) -> str:
    """Name a finished clip.

    Args:
        edit: The clip in its slot; its place in the output doesn't matter, but how many frames and samples it gets.
        identity: What its source is known by.
        recipe: What ``recipe_of`` returned.
    """
    clip, slot = edit.clip, edit.slot
    return digest(recipe, identity, clip.start, clip.length, slot.frames, slot.samples, sound_facts(edit))
