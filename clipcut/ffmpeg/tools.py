"""Find FFmpeg, read its version, and see whether it can do what clipcut needs."""

import os
import re
import shutil
from pathlib import Path

import attrs
import trio

from clipcut.errors import ToolError
from clipcut.ffmpeg.process import run

NEEDED_ENCODERS = ("libx264", "aac")
OLDEST_MAJOR = 5


@attrs.frozen(kw_only=True)
class Tool:
    """An FFmpeg that was found and asked.

    Attributes:
        path: The program.
        version: What it calls itself, such as ``5.1.9-0+deb12u1``.
        found: Why it is this one, in words.
        encoders: The names of its encoders.
        can_tone_map: Whether it has the filters that bring HDR to BT.709.
    """

    path: str
    version: str
    found: str
    encoders: frozenset[str]
    can_tone_map: bool


def find_ffmpeg(setting: str | None, origin: str) -> tuple[str, str]:
    """Choose an FFmpeg: the setting's, else the packaged one, else the one on the PATH.

    Returns:
        The program's path, and why it is this one.

    Raises:
        ToolError: There is none.
    """
    if setting is not None:
        path = shutil.which(setting) or (setting if "/" in setting else None)
        if path is None:
            raise ToolError(f"There is no program {setting} on the PATH; name another FFmpeg with --ffmpeg.")
        return path, f"named by {origin}"
    if packaged := _packaged():
        return packaged, "the packaged one"
    if on_path := shutil.which("ffmpeg"):
        return on_path, "found on the PATH, as there is no packaged one for this machine"
    raise ToolError("There is no FFmpeg: none came with the install and none is on the PATH; name one with --ffmpeg.")


def _packaged() -> str | None:
    """Return the FFmpeg that came with the install.

    ``get_ffmpeg_exe`` would also give back the PATH's, or whatever IMAGEIO_FFMPEG_EXE says, unchecked.
    """
    import imageio_ffmpeg  # noqa: PLC0415  a light start: only a render needs it

    folder = Path(imageio_ffmpeg.__file__).parent / "binaries"
    programs = sorted(path for path in folder.glob("ffmpeg-*") if os.access(path, os.X_OK))
    return str(programs[-1]) if programs else None


async def _ask(path: str, *arguments: str) -> str:
    lines: list[bytes] = []
    try:
        with trio.fail_after(20):
            done = await run([path, "-hide_banner", *arguments], on_stdout=lines.append)
    except trio.TooSlowError:
        raise ToolError(f"{path} doesn't answer within 20 s; name another FFmpeg with --ffmpeg.") from None
    except OSError as exc:
        raise ToolError(f"{path} doesn't run: {exc.strerror}; name another FFmpeg with --ffmpeg.") from exc
    if done.returncode:
        said = done.stderr[-1] if done.stderr else "it said nothing"
        raise ToolError(f"{path} doesn't run (exit {done.returncode}): {said}; name another FFmpeg with --ffmpeg.")
    return b"\n".join(lines).decode("utf-8", "replace")


async def inspect_ffmpeg(path: str, found: str) -> Tool:
    """Ask a program what it is.

    Raises:
        ToolError: It doesn't run, isn't FFmpeg, is too old or lacks an encoder.
    """
    version_text = await _ask(path, "-version")
    match = re.match(r"ffmpeg version (\S+)", version_text)
    if match is None:
        raise ToolError(f"{path} is not FFmpeg: it calls itself {version_text[:60]!r}; name one with --ffmpeg.")
    major = re.match(r"n?(\d+)\.", match[1])
    if major is not None and int(major[1]) < OLDEST_MAJOR:
        raise ToolError(f"{path} is FFmpeg {match[1]}; clipcut needs {OLDEST_MAJOR}.1 or newer.")
    listing = await _ask(path, "-encoders")
    encoders = frozenset(re.findall(r"^ [VAS][A-Z.]{5} (\S+)", listing, re.MULTILINE))
    if missing := [name for name in NEEDED_ENCODERS if name not in encoders]:
        raise ToolError(f"{path} has no {' and no '.join(missing)} encoder; name another FFmpeg with --ffmpeg.")
    filters = frozenset(re.findall(r"^ [A-Z.]{2,3} (\S+)", await _ask(path, "-filters"), re.MULTILINE))
    return Tool(
        path=path, version=match[1], found=found, encoders=encoders, can_tone_map={"zscale", "tonemap"} <= filters
    )
