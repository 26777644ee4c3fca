"""The command line: flags to settings, a render to its report and exit code, an error to a message."""

import contextlib
import datetime as dt
import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TextIO

import trio
import typer

from clipcut import __version__
from clipcut.errors import ClipcutError, Mistake, SettingsError, TimelineError
from clipcut.events import Listener, Listeners
from clipcut.files import write_atomic
from clipcut.jsonio import MAX_BYTES, load_timeline
from clipcut.log import LogListener, make_logger, trace_id_from, wants_colours
from clipcut.pipeline import render
from clipcut.plan import Method, Plan, build_plan
from clipcut.preflight import Job, prepare
from clipcut.progress import Display, make_display
from clipcut.report import RunFacts, build_report, clip_stats, report_bytes
from clipcut.results import RenderResult, RenderStatus
from clipcut.schema import timeline_schema
from clipcut.settings import Settings, find_config, resolve_settings
from clipcut.summary import plan_document, plan_lines, summary_lines
from clipcut.timeline import Timeline, clips_per_video

OUTPUT, CONCURRENCY, FALLBACKS = "Output", "Concurrency", "Fallbacks"
REPORTS, GENERAL = "Reports", "General"

app = typer.Typer(
    name="clipcut",
    help="Turn a timeline of moments in long videos into one frame-exact video.",
    epilog="Exit codes: 0 complete, 1 failed, 2 bad usage, settings or timeline, 3 finished with placeholders, "
    "129, 130, 143 ended by a signal.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

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


def _say(text: str) -> None:
    """Print what was asked for."""
    sys.stdout.write(text + "\n")


def _tell(text: str) -> None:
    """Print what was not asked for."""
    sys.stderr.write(text + "\n")


def _version(value: bool) -> None:
    if value:
        _say(f"clipcut {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    pass


def _read_timeline(name: str) -> tuple[Timeline, bytes, Path]:
    """Return the timeline, the document, and the folder that its paths start from."""
    cwd = Path.cwd()
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
            return load_timeline(data, "stdin"), data, cwd
        path = cwd / name
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise TimelineError("The timeline can't be used:", [Mistake(name, f"can't be read: {exc.strerror}")]) from exc
    return load_timeline(data, name), data, path.parent


def _settings(config: str | None, **flags: Any) -> Settings:
    cwd = Path.cwd()
    return resolve_settings(flags, os.environ, find_config(config, os.environ, cwd), cwd)


def _job_name(settings: Settings, timeline: str) -> str:
    return settings.job or ("stdin" if timeline == "-" else Path(timeline).stem)


@contextlib.contextmanager
def _log_stream(path: Path | None, display: Display | None) -> Iterator[TextIO]:
    """Open the log file for appending, or give stderr: above the display, if there is one."""
    if path is None:
        yield display.log_stream if display is not None else sys.stderr
        return
    try:
        file = path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
    except OSError as exc:
        raise SettingsError(
            "The settings can't be used:", [Mistake("--log-file", f"{path} can't be written: {exc.strerror}")]
        ) from exc
    with file:
        yield file


def _level(verbose: int, *, quiet: bool, is_above: bool) -> int:
    """Return the lowest level to log; above a live display only what is odd, unless ``-v`` asks for more."""
    if quiet:
        return logging.ERROR
    if verbose:
        return logging.DEBUG
    return logging.WARNING if is_above else logging.INFO


def _output_path(flag: str | None, timeline: Timeline, base: Path) -> Path:
    if flag is not None:
        return Path(os.path.normpath(Path.cwd() / flag))
    if timeline.output.path is None:
        what = 'has no "path", so say where the video goes with -o'
        raise TimelineError("The timeline can't be used:", [Mistake("$.output", what)])
    return Path(os.path.normpath(base / timeline.output.path))


def _write_report(result: RenderResult, job: Job, facts: RunFacts) -> None:
    data = report_bytes(build_report(result, job.plan, job.settings, facts))
    if job.report is None:
        sys.stdout.write(data.decode("utf-8"))
        sys.stdout.flush()
        return
    try:
        write_atomic(job.report, data)
    except OSError as exc:
        _tell(f"clipcut: the report {job.report} can't be written: {exc.strerror}")


def _log_end(logger: Any, result: RenderResult, settings: Settings) -> None:
    facts = {"status": str(result.status), "exit_code": result.exit_code, "elapsed_ms": result.elapsed_ms}
    stats = clip_stats(result, settings)
    match result.status:
        case RenderStatus.INTERRUPTED:
            logger.warning("render.interrupted", **facts, error=result.error, clip_stats=stats)
        case RenderStatus.FAILED:
            logger.error("render.failed", **facts, error=result.error, clip_stats=stats)
        case _:
            logger.info("render.completed", **facts, clip_stats=stats)


@app.command(
    "render",
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
        bool, typer.Option("--force", rich_help_panel=OUTPUT, help="Replace a file that clipcut did not make.")
    ] = False,
    work_dir: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", rich_help_panel=OUTPUT, help="Where working files go. [dim]default: beside the output[/]"
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
    report: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|-",
            rich_help_panel=REPORTS,
            help="The JSON report; - is stdout. [dim]default: mix.mp4 gives mix.report.json[/]",
        ),
    ] = None,
    job: Annotated[
        str | None,
        typer.Option(metavar="NAME", rich_help_panel=REPORTS, help="This render's name in log and report."),
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
    verbose: Annotated[int, typer.Option("-v", "--verbose", count=True, rich_help_panel=REPORTS, help="Log more.")] = 0,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", rich_help_panel=REPORTS, help="Say nothing on success.")
    ] = False,
    config: ConfigOption = None,
    ffmpeg: FFmpegOption = None,
) -> None:
    """Cut, fall back where needed, join, report: the main job."""
    settings = _settings(
        config,
        max_parallelism=concurrency,
        per_video_limit=per_video,
        on_missing=on_missing,
        max_placeholders=max_placeholders,
        placeholder_asset_path=placeholder,
        report=report,
        job=job,
        work_dir=work_dir,
        ffmpeg=ffmpeg,
        log_format=log_format,
    )
    document, data, base = _read_timeline(timeline)
    plan = build_plan(document, base)
    target = _output_path(output, document, base)
    path = None if timeline == "-" else Path.cwd() / timeline
    ready = prepare(document, plan, settings, output=target, name=timeline, path=path, force=force)
    facts = RunFacts(
        trace_id=trace_id_from(os.environ),
        job=_job_name(settings, timeline),
        timeline_name=timeline,
        timeline_data=data,
        started_at=dt.datetime.now(dt.UTC),
    )
    is_display = not quiet and (settings.log_format != "json" or log_file is not None)
    display = make_display(plan, facts.job, sys.stderr, os.environ) if is_display else None
    with _log_stream(log_file, display) as stream:
        is_above = display is not None and log_file is None
        level = _level(verbose, quiet=quiet and log_file is None, is_above=is_above)
        logger = make_logger(
            stream,
            log_format=settings.log_format,
            level=level,
            colours=wants_colours(stream, os.environ),
            trace_id=facts.trace_id,
            job=facts.job,
        )
        result = _run_render(ready, facts, logger, display)
    if not quiet or result.exit_code:
        for line in summary_lines(result, str(ready.report) if ready.report is not None else None):
            _tell(line)
    raise typer.Exit(result.exit_code)


def _run_render(job: Job, facts: RunFacts, logger: Any, display: Display | None) -> RenderResult:
    logger.info(
        "render.started",
        timeline=facts.timeline_name,
        output=str(job.output),
        clips=len(job.plan.edits),
        frames=job.plan.frames,
        max_parallelism=job.settings.max_parallelism,
        per_video_limit=job.settings.per_video_limit,
    )
    listeners: list[Listener] = [LogListener(logger, facts.trace_id)]
    if display is not None:
        listeners.append(display.board)
    with display or contextlib.nullcontext():
        result = trio.run(render, job, Listeners(listeners))
    _write_report(result, job, facts)
    _log_end(logger, result, job.settings)
    return result


@app.command("check", epilog="Example:\n\n  clipcut check mix.json")
def check_command(timeline: TimelineArgument) -> None:
    """Find every mistake of a timeline at once, without any network."""
    document, _, base = _read_timeline(timeline)
    plan = build_plan(document, base)
    for line in _missing_media(plan):
        _tell(f"warning: {line}")
    videos = len(clips_per_video(document))
    length = f"{plan.frames} frames, {float(plan.seconds):.3f} s"
    _say(f"{timeline}: fine, {len(plan.edits)} clips of {videos} videos, {length}")


def _missing_media(plan: Plan) -> Iterator[str]:
    """Yield a line for each local file that isn't there, with the clips that would do without it."""
    users: dict[str, list[str]] = {}
    for edit in plan.edits:
        for rung in edit.ladder:
            if rung.method is Method.LOCAL and not Path(rung.location).is_file():
                users.setdefault(rung.location, []).append(edit.name)
    for path, names in users.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield f"there is no file {path}, wanted by {', '.join(names[:3])}{more}"


@app.command("plan", epilog="Example:\n\n  clipcut plan mix.json --json")
def plan_command(
    timeline: TimelineArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show what render would do: each clip's place in the output, its range, its ladder."""
    document, _, base = _read_timeline(timeline)
    plan = build_plan(document, base)
    if as_json:
        _say(json.dumps(plan_document(plan), indent=2, ensure_ascii=False))
        return
    for line in plan_lines(plan):
        _say(line)


@app.command("schema", epilog="Example:\n\n  clipcut schema timeline > timeline.schema.json")
def schema_command(
    document: Annotated[str, typer.Argument(metavar="[timeline]", help="Which document.")] = "timeline",
) -> None:
    """Print a document's JSON Schema (draft 2020-12)."""
    if document != "timeline":
        raise SettingsError("There is no such schema:", [Mistake(document, "write timeline")])
    _say(json.dumps(timeline_schema(), indent=2))


@app.command("doctor", epilog="Example:\n\n  clipcut doctor")
def doctor_command(config: ConfigOption = None, ffmpeg: FFmpegOption = None) -> None:
    """Look at this machine: FFmpeg, encoders, folders, open files, cores; and render a little to be sure."""
    from clipcut.doctor import examine  # noqa: PLC0415  only this command needs it

    findings = trio.run(examine, _settings(config, ffmpeg=ffmpeg))
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        _say(f"{'ok ' if finding.is_fine else 'BAD'}  {finding.name.ljust(width)}  {finding.found}")
    raise typer.Exit(0 if all(finding.is_fine for finding in findings) else 1)


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code. The one place where errors become messages.

    Args:
        arguments: The words after the program's name.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(args=list(arguments), prog_name="clipcut", standalone_mode=False)
    except typer.Exit as exc:
        return exc.exit_code
    except ClipcutError as exc:
        _tell(f"clipcut: {exc}")
        return exc.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read our stdout has enough
        return 1
    except Exception as exc:
        return _report_bug(exc, arguments)
    return code if isinstance(code, int) else 0


def _report_bug(exc: Exception, arguments: Sequence[str]) -> int:
    show = getattr(exc, "show", None)
    if callable(show):  # a usage error of Typer's
        show()
        return int(getattr(exc, "exit_code", 2))
    _tell(f"clipcut: this is a bug in clipcut, please report it: {type(exc).__name__}: {exc}")
    if {"-v", "--verbose"} & set(arguments):
        traceback.print_exception(exc)
    return 1
