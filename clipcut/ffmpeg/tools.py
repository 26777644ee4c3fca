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


async def _ask_all(path: str, *questions: str) -> list[str | ToolError]:
    """Ask several things at once, as each start takes a while; return the answers in order, or what went wrong."""
    answers: list[str | ToolError] = [""] * len(questions)

    async def ask(index: int) -> None:
        try:
            answers[index] = await _ask(path, questions[index])
        except ToolError as exc:
            answers[index] = exc

    async with trio.open_nursery() as nursery:
        for index in range(len(questions)):
            nursery.start_soon(ask, index)
    return answers


def _text(answer: str | ToolError) -> str:
    if isinstance(answer, ToolError):
        raise answer
    return answer


def _version(path: str, text: str) -> str:
    """Return the version that a program says it has.

    Raises:
        ToolError: It isn't FFmpeg, or too old.
    """
    match = re.match(r"ffmpeg version (\S+)", text)
    if match is None:
        raise ToolError(f"{path} is not FFmpeg: it calls itself {text[:60]!r}; name one with --ffmpeg.")
    major = re.match(r"n?(\d+)\.", match[1])
    if major is not None and int(major[1]) < OLDEST_MAJOR:
        raise ToolError(f"{path} is FFmpeg {match[1]}; clipcut needs {OLDEST_MAJOR}.1 or newer.")
    return match[1]


async def inspect_ffmpeg(path: str, found: str) -> Tool:
    """Ask a program what it is.

    Raises:
        ToolError: It doesn't run, isn't FFmpeg, is too old or lacks an encoder.
    """
    said, encoder_list, filter_list = await _ask_all(path, "-version", "-encoders", "-filters")
    version = _version(path, _text(said))
    encoders = frozenset(re.findall(r"^ [VAS][A-Z.]{5} (\S+)", _text(encoder_list), re.MULTILINE))
    if missing := [name for name in NEEDED_ENCODERS if name not in encoders]:
        raise ToolError(f"{path} has no {' and no '.join(missing)} encoder; name another FFmpeg with --ffmpeg.")
    filters = frozenset(re.findall(r"^ [A-Z.]{2,3} (\S+)", _text(filter_list), re.MULTILINE))
    return Tool(
        path=path, version=version, found=found, encoders=encoders, can_tone_map={"zscale", "tonemap"} <= filters
    )
