"""The commands beside ``render``: check, plan, schema, doctor. Each is a few lines over what the others made."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import trio
import typer
from typer.core import TyperCommand

from clipcut.errors import Mistake, SettingsError, nearest
from clipcut.files import why_unreadable
from clipcut.inputs import read_settings, read_timeline
from clipcut.jsonout import document_text, timeline_document
from clipcut.plan import Method, Plan, build_plan, needs_network
from clipcut.planning import look_ahead
from clipcut.preflight import refuse_bad_variables
from clipcut.report_schema import report_schema
from clipcut.schema import timeline_schema
from clipcut.settings import Settings
from clipcut.signals import until_signalled
from clipcut.streams import say, tell
from clipcut.summary import count_text, plan_document, plan_lines
from clipcut.timeline import clips_per_video
from clipcut.user_folders import why_no_settings

GENERAL = "General"

TimelineArgument = Annotated[str, typer.Argument(metavar="TIMELINE", help="The timeline, or [bold]-[/] for stdin.")]
ConfigOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATH", rich_help_panel=GENERAL, help="Settings file. [dim]default: ./clipcut.toml, then the user's[/]"
    ),
]
FFmpegOption = Annotated[
    str | None,
    typer.Option(
        "--ffmpeg", metavar="PATH", rich_help_panel=GENERAL, help="FFmpeg to use. [dim]default: the packaged one[/]"
    ),
]
IndexOption = Annotated[
    str | None,
    typer.Option(
        "--index-id",
        metavar="ID",
        rich_help_panel=GENERAL,
        help="For Jockey lists: the TwelveLabs index of their videos.",
    ),
]
VerboseOption = Annotated[
    bool, typer.Option("-v", "--verbose", metavar="", rich_help_panel=GENERAL, help="Show the traceback of a bug.")
]
"""What each command takes, as whoever meets a bug is told to; ``cli`` looks for it."""


class PlainCommand(TyperCommand):
    """A command whose usage line is plain: ``TIMELINE``, without Typer's braces."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words after the command's name."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


def command_settings(config: str | None, **flags: Any) -> Settings:
    """Read the settings of a command that logs nothing; say on standard error where the user's can't be looked for."""
    settings = read_settings(config, **flags)
    if settings.lacks_users:
        tell(f"warning: {why_no_settings()}")
    return settings


def check_command(timeline: TimelineArgument, index_id: IndexOption = None, _verbose: VerboseOption = False) -> None:
    """Find every mistake of a timeline at once, without any network."""
    document, _, base = read_timeline(timeline, index_id)
    plan = build_plan(document, base)
    for line in _missing_media(plan):
        tell(f"warning: {line}")
    clips = count_text(len(plan.edits), "clip")
    videos = count_text(len(clips_per_video(document)), "video")
    length = f"{count_text(plan.frames, 'frame')}, {float(plan.seconds):.3f} s"
    say(f"{timeline}: fine, {clips} of {videos}, {length}")


def _missing_media(plan: Plan) -> Iterator[str]:
    """Yield a line for each local file that can't be used, with the clips that would do without it."""
    users: dict[str, list[str]] = {}
    for edit in plan.edits:
        for rung in edit.ladder:
            if rung.method is Method.LOCAL:
                users.setdefault(rung.location, []).append(edit.name)
    if plan.soundtrack is not None:
        users[plan.soundtrack.path] = ["the soundtrack (a render would not begin)"]
    for path, names in users.items():
        if why := why_unreadable(Path(path)):
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            what = f"there is no file {path}" if why == "doesn't exist" else f"{path} {why}"
            yield f"{what}, wanted by {', '.join(names[:3])}{more}"


def plan_command(
    timeline: TimelineArgument,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print it as JSON.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", metavar="", help="Fetch nothing: what only the network knows stays open.")
    ] = False,
    config: ConfigOption = None,
    index_id: IndexOption = None,
    _verbose: VerboseOption = False,
) -> None:
    """Show what render would do: each clip's place in the output, its rung, what has to be fetched for it.

    Of network sources only playlists and indexes are fetched.
    """
    document, _, base = read_timeline(timeline, index_id)
    plan = build_plan(document, base)
    found = None
    if needs_network(plan) and not offline:
        refuse_bad_variables(document, timeline)
        seen = trio.run(look_ahead, plan, command_settings(config))
        if isinstance(seen, int):
            raise typer.Exit(seen)
        found = seen
    if as_json:
        say(document_text(plan_document(plan, found) | {"timeline": timeline_document(document)}))
        return
    for line in plan_lines(plan, found):
        say(line)


def schema_command(
    document: Annotated[str, typer.Argument(metavar="timeline|report", help="Which document.")] = "timeline",
    _verbose: VerboseOption = False,
) -> None:
    """Print a document's JSON Schema (draft 2020-12)."""
    makers = {"timeline": timeline_schema, "report": report_schema}
    if document not in makers:
        what = f"write {' or '.join(makers)}{nearest(document, makers)}"
        raise SettingsError("There is no such schema:", [Mistake(document, what)])
    say(json.dumps(makers[document](), indent=2))


def doctor_command(config: ConfigOption = None, ffmpeg: FFmpegOption = None, _verbose: VerboseOption = False) -> None:
    """Look at this machine: FFmpeg, encoders, folders, open files, cores; and render a little to be sure."""
    raise typer.Exit(trio.run(_examine, command_settings(config, ffmpeg=ffmpeg)))


async def _examine(settings: Settings) -> int:
    """Look, print what was found, and return the exit code; a signal ends it cleanly."""
    from clipcut.doctor import Finding, examine  # noqa: PLC0415  only this command needs it

    findings: list[Finding] = []

    async def look() -> None:
        findings.extend(await examine(settings))

    async def conclude(ended_by: int | None) -> int:
        await trio.lowlevel.checkpoint()
        if ended_by is not None and not findings:
            return 128 + ended_by
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            say(f"{'ok ' if finding.is_fine else 'BAD'}  {finding.name.ljust(width)}  {finding.found}")
        for bug in [finding.bug for finding in findings if finding.bug is not None]:
            raise bug  # it is told as any other
        return 0 if all(finding.is_fine for finding in findings) else 1

    return await until_signalled(look, conclude)
