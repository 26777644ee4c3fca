"""The command line: flags to settings, a command to its exit code, an error to a message."""

import contextlib
import datetime as dt
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import attrs
import typer

from clipcut import __version__
from clipcut.cache_commands import cache_app
from clipcut.commands import (
    ConfigOption,
    FFmpegOption,
    IndexOption,
    PlainCommand,
    TimelineArgument,
    check_command,
    doctor_command,
    plan_command,
    schema_command,
)
from clipcut.config_commands import config_app
from clipcut.errors import ClipcutError, LockedError, SettingsError, ToldError
from clipcut.failures import SHOWN_BY_V, error_text, telling_error, traceback_text
from clipcut.inputs import current_folder, default_job, output_path, read_settings, read_timeline
from clipcut.log import trace_id_from
from clipcut.plan import build_plan
from clipcut.preflight import prepare
from clipcut.report import RunFacts
from clipcut.running import Manner, run_render
from clipcut.settings import Settings
from clipcut.streams import finish_stdout, give_up_stdout, say, tell
from clipcut.textfile import note_refusal
from clipcut.verify_command import verify_command

OUTPUT, CONCURRENCY, FALLBACKS, NETWORK, REPORTS = "Output", "Concurrency", "Fallbacks", "Network", "Reports"

app = typer.Typer(
    name="clipcut",
    help="Turn a timeline of moments in long videos into one frame-exact video.",
    epilog="Exit codes: 0 complete, 1 failed, 2 bad usage, settings or timeline, 3 finished with placeholders, "
    "4 another render of this output is at work, "
    "129, 130, 143 ended by a signal.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        say(f"clipcut {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, metavar="", help="Show the version and leave."),
    ] = False,
) -> None:
    pass


@app.command(
    "render",
    cls=PlainCommand,
    epilog="Examples:\n\n"
    "  clipcut render fixtures/demo.json\n\n"
    "  clipcut render mix.json -o out/mix.mp4 --concurrency 6 --per-video 3\n\n"
    "  clipcut render mix.json --max-placeholders 5% --report -",
)
def render_command(  # noqa: PLR0913  flag declarations
    timeline: TimelineArgument,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            rich_help_panel=OUTPUT,
            help="The finished video: .mp4, .mov or .mkv. [dim]default: the timeline's output.path[/]",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", metavar="", rich_help_panel=OUTPUT, help="Replace a file that clipcut did not make."),
    ] = False,
    work_dir: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", rich_help_panel=OUTPUT, help="Where working files go. [dim]default: beside the output[/]"
        ),
    ] = None,
    cache_dir: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=OUTPUT,
            help="Where finished clips are kept for later renders. [dim]default: the user's cache folder[/]",
        ),
    ] = None,
    no_cache: Annotated[
        bool,
        typer.Option("--no-cache", metavar="", rich_help_panel=OUTPUT, help="Neither find nor keep finished clips."),
    ] = False,
    cache_size: Annotated[
        str | None,
        typer.Option(metavar="BYTES", rich_help_panel=OUTPUT, help="How much is kept. [dim]default: 10 GB[/]"),
    ] = None,
    cut: Annotated[
        str | None,
        typer.Option(
            metavar="auto|encode",
            rich_help_panel=OUTPUT,
            help="auto copies what needs no change where that is faster. [dim]default: encode[/]",
        ),
    ] = None,
    concurrency: Annotated[
        str | None,
        typer.Option(
            metavar="N", rich_help_panel=CONCURRENCY, help="Clips at work at once, 1 to 256. [dim]default: 4[/]"
        ),
    ] = None,
    per_video: Annotated[
        str | None,
        typer.Option(metavar="N", rich_help_panel=CONCURRENCY, help="Of these, on one video_id. [dim]default: 2[/]"),
    ] = None,
    on_missing: Annotated[
        str | None,
        typer.Option(
            metavar="placeholder|fail",
            rich_help_panel=FALLBACKS,
            help="What a clip that can't be had does. [dim]default: placeholder[/]",
        ),
    ] = None,
    max_placeholders: Annotated[
        str | None,
        typer.Option(
            metavar="N|P%", rich_help_panel=FALLBACKS, help="More placeholders than this fail. [dim]default: 100%[/]"
        ),
    ] = None,
    placeholder: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            rich_help_panel=FALLBACKS,
            help="The placeholder clip. [dim]default: 3 s of black with a beep[/]",
        ),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS",
            rich_help_panel=FALLBACKS,
            help="Then unfinished clips become placeholders. [dim]default: never[/]",
        ),
    ] = None,
    max_retry: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            rich_help_panel=NETWORK,
            help="More tries of a request that failed in passing. [dim]default: 3[/]",
        ),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="N", rich_help_panel=NETWORK, help="Requests a second for one host. [dim]default: no limit[/]"
        ),
    ] = None,
    report: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|-",
            rich_help_panel=REPORTS,
            help="The JSON report; - is stdout. [dim]default: mix.mp4 gives mix.report.json[/]",
        ),
    ] = None,
    prom_textfile: Annotated[
        str | None,
        typer.Option(metavar="PATH", rich_help_panel=REPORTS, help="Metrics for node_exporter; PATH ends in .prom."),
    ] = None,
    job: Annotated[
        str | None,
        typer.Option(metavar="NAME", rich_help_panel=REPORTS, help="This render's name in log, report and metrics."),
    ] = None,
    wait_lock: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS",
            rich_help_panel=OUTPUT,
            help="How long to wait for another render of this output. [dim]default: 0[/]",
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option(
            metavar="console|json", rich_help_panel=REPORTS, help="[dim]default: console on a terminal, else json[/]"
        ),
    ] = None,
    log_file: Annotated[
        Path | None, typer.Option(metavar="PATH", rich_help_panel=REPORTS, help="Log to this file, not to stderr.")
    ] = None,
    verbose: Annotated[
        int, typer.Option("-v", "--verbose", count=True, metavar="", rich_help_panel=REPORTS, help="Log more.")
    ] = 0,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", metavar="", rich_help_panel=REPORTS, help="Say nothing on success.")
    ] = False,
    config: ConfigOption = None,
    ffmpeg: FFmpegOption = None,
    index_id: IndexOption = None,
) -> None:
    """Cut, fall back where needed, join, report: the main job."""
    settings = read_settings(
        config,
        max_parallelism=concurrency,
        per_video_limit=per_video,
        max_retry=max_retry,
        rate_limit=rate,
        on_missing=on_missing,
        max_placeholders=max_placeholders,
        deadline=deadline,
        placeholder_asset_path=placeholder,
        cut=cut,
        report=report,
        prom_textfile=prom_textfile,
        job=job,
        work_dir=work_dir,
        cache_dir=cache_dir,
        cache_size=cache_size,
        ffmpeg=ffmpeg,
        wait_lock=wait_lock,
        log_format=log_format,
    )
    log_path = current_folder() / log_file if log_file is not None else None
    manner = Manner(log_file=log_path, verbose=verbose, quiet=quiet)
    raise typer.Exit(
        _render(timeline, output, settings, manner, force=force, index_id=index_id, uses_cache=not no_cache)
    )


def _render(
    name: str,
    output: str | None,
    settings: Settings,
    manner: Manner,
    *,
    force: bool,
    index_id: str | None,
    uses_cache: bool,
) -> int:
    """Check everything, then render; return the exit code."""
    document, data, base = read_timeline(name, index_id)
    plan = build_plan(document, base)
    job = prepare(
        document,
        plan,
        settings,
        output=output_path(output, document, base),
        name=name,
        path=None if name == "-" else current_folder() / name,
        force=force,
        log_file=manner.log_file,
    )
    facts = RunFacts(
        trace_id=trace_id_from(os.environ),
        job=settings.job or default_job(name),
        timeline_name=name,
        timeline_data=data,
        started_at=dt.datetime.now(dt.UTC),
    )
    return run_render(attrs.evolve(job, uses_cache=uses_cache), facts, manner)


app.command("check", cls=PlainCommand, epilog="Example:\n\n  clipcut check mix.json")(check_command)
app.command("plan", cls=PlainCommand, epilog="Example:\n\n  clipcut plan mix.json --json")(plan_command)
app.command(
    "schema",
    cls=PlainCommand,
    epilog="Examples:\n\n"
    "  clipcut schema timeline > timeline.schema.json\n\n"
    "  clipcut schema report > report.schema.json",
)(schema_command)
app.command(
    "verify",
    cls=PlainCommand,
    epilog="Examples:\n\n  clipcut verify mix.mp4\n\n  clipcut verify copy.mkv --report mix.report.json --json",
)(verify_command)
app.add_typer(config_app)
app.add_typer(cache_app)
app.command("doctor", cls=PlainCommand, epilog="Example:\n\n  clipcut doctor")(doctor_command)


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code. The one place where errors become messages.

    Args:
        arguments: The words after the program's name.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    _obey_no_color()
    code = _run(arguments)
    # a finished render says itself what became of its report; for the others, what they print is the product
    return code if finish_stdout() or code else 1


def _obey_no_color() -> None:
    """Let help and usage errors have no escapes at all under ``NO_COLOR``; Rich would leave bold and dim."""
    if os.environ.get("NO_COLOR"):
        from typer import rich_utils  # noqa: PLC0415  a light start

        rich_utils.COLOR_SYSTEM = None


def _run(arguments: Sequence[str]) -> int:
    try:
        code = app(args=list(arguments), prog_name="clipcut", standalone_mode=False)
    except typer.Exit as exc:
        return exc.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Exception as exc:
        error = telling_error(exc)
        code = _explain(error, arguments)
        if not isinstance(error, LockedError) and not _is_about_textfile(error):
            try:
                _note_refusal(arguments, code)
            except Exception as bug:
                _explain(bug, arguments)
        return code
    return code if isinstance(code, int) else 0


def _is_about_textfile(error: BaseException) -> bool:
    mistakes = error.mistakes if isinstance(error, SettingsError) else ()
    return any(mistake.where == "--prom-textfile" for mistake in mistakes)


def _note_refusal(arguments: Sequence[str], code: int) -> None:
    """Let a render that can't begin show in its metrics; its command line may be wrong, so it is read loosely."""
    command = getattr(typer.main.get_command(app), "commands", {}).get(arguments[0] if arguments else "")
    if command is None or command.name != "render":
        return
    loosely = {"resilient_parsing": True, "ignore_unknown_options": True, "allow_extra_args": True}
    note_refusal(command.make_context("render", list(arguments[1:]), **loosely).params, code)


def _explain(exc: BaseException, arguments: Sequence[str]) -> int:
    """Say what went wrong, and return the exit code."""
    show = getattr(exc, "show", None)
    if callable(show):  # a usage error of Typer's
        with contextlib.suppress(OSError, ValueError):
            show()
        return int(getattr(exc, "exit_code", 2))
    if isinstance(exc, OSError) and exc.filename is None:  # nothing but standard output is written here
        give_up_stdout(exc)
        return 1
    if isinstance(exc, ToldError):
        return exc.exit_code
    is_verbose = any(re.fullmatch(r"--verbose|-q*v[qv]*", word) for word in arguments)
    if is_verbose and not isinstance(exc, ClipcutError):
        tell(traceback_text(exc))
    tell(f"clipcut: {error_text(exc, 'which stands above' if is_verbose else SHOWN_BY_V)}")
    return exc.exit_code if isinstance(exc, ClipcutError) else 1
