"""``clipcut verify``: hold a finished video against its report."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import trio
import typer

from clipcut.commands import ConfigOption, FFmpegOption, VerboseOption, command_settings
from clipcut.errors import Mistake, SettingsError
from clipcut.ffmpeg.tools import find_ffmpeg, inspect_ffmpeg
from clipcut.files import is_regular_file
from clipcut.inputs import current_folder
from clipcut.jsonout import document_text
from clipcut.report import default_report_path
from clipcut.reported import Reported, read_reported
from clipcut.settings import Settings
from clipcut.signals import until_signalled
from clipcut.streams import say
from clipcut.summary import count_text
from clipcut.verify import ClipVerdict, Finding, Verdict, hold_against, verdict_document

_MOST_CLIPS = 20


def verify_command(
    output: Annotated[str, typer.Argument(metavar="OUTPUT", help="The finished video, or a lossless remux of it.")],
    report: Annotated[
        str | None,
        typer.Option("--report", metavar="PATH", help="Its report. [dim]default: mix.mp4 has mix.report.json[/]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print the verdict as JSON.")] = False,
    config: ConfigOption = None,
    ffmpeg: FFmpegOption = None,
    _verbose: VerboseOption = False,
) -> None:
    """Hold a finished video against its report: frames, duration, and what is coded in each clip's span.

    Exit code 0 if it is what the render wrote, else 1.
    """
    path = current_folder() / output
    name = report if report is not None else str(default_report_path(Path(output)))
    if not is_regular_file(path):
        raise SettingsError("There is nothing to look at:", [Mistake(output, "is no file")])
    reported = read_reported(current_folder() / name, name)
    verdict = trio.run(_hold, path, reported, command_settings(config, ffmpeg=ffmpeg))
    if isinstance(verdict, int):
        raise typer.Exit(verdict)
    if as_json:
        say(document_text(verdict_document(output, name, verdict)))
    else:
        for line in verdict_lines(output, verdict):
            say(line)
    raise typer.Exit(0 if verdict.is_fine else 1)


async def _hold(path: Path, reported: Reported, settings: Settings) -> Verdict | int:
    """Return the verdict, or the exit code of the signal that came before it."""
    verdicts: list[Verdict] = []

    async def look() -> None:
        tool = await inspect_ffmpeg(*find_ffmpeg(settings.ffmpeg, settings.origins["ffmpeg"]))
        verdicts.append(await hold_against(path, reported, tool.path))

    async def conclude(ended_by: int | None) -> int:
        await trio.lowlevel.checkpoint()
        return 128 + (ended_by or 0)

    code = await until_signalled(look, conclude)
    return verdicts[0] if verdicts else code


def verdict_lines(output: str, verdict: Verdict) -> Iterator[str]:
    """Yield the lines that tell a verdict to people."""
    grid = verdict.reported.grid
    size = f"{count_text(grid.frames, 'frame')}, {float(grid.frames / grid.fps):.3f} s"
    if verdict.is_fine:
        yield f"{output}: fine, {count_text(len(verdict.clips), 'clip')}, {size}"
        return
    bad = [clip for clip in verdict.clips if not clip.is_fine]
    yield f"{output}: DAMAGED" + (f", {len(bad)} of {count_text(len(verdict.clips), 'clip')}" if bad else "")
    yield from (f"  {problem}" for problem in verdict.problems)
    yield from (f"  {_clip_line(clip, verdict)}" for clip in bad[:_MOST_CLIPS])
    if len(bad) > _MOST_CLIPS:
        yield f"  and {len(bad) - _MOST_CLIPS} more clips; --json lists each"
    if _is_anew(verdict.clips):
        yield "  Every clip differs: this is another render, or it was encoded anew."


def _clip_line(clip: ClipVerdict, verdict: Verdict) -> str:
    span, fps = clip.clip.span, verdict.reported.grid.fps
    end = span.start_frame + span.frames
    place = f"frames {span.start_frame} to {end - 1}, {float(span.start_frame / fps):.3f} to {float(end / fps):.3f} s"
    wrong = {"picture": clip.picture, "sound": clip.sound}
    words = ", ".join(f"{what} {found}" for what, found in wrong.items() if found is not Finding.OK)
    return f"clip {clip.clip.id} ({place}): {words}"


def _is_anew(clips: Sequence[ClipVerdict]) -> bool:
    return len(clips) > 1 and any(
        all(finding in (Finding.DIFFERS, Finding.SILENT) for finding in findings)
        for findings in ([clip.picture for clip in clips], [clip.sound for clip in clips])
    )
