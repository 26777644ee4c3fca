"""What is checked before any work, all of it at once: mistakes of the caller (exit 2); nothing was touched."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import attrs

from clipcut.errors import Mistake, SettingsError, SourceError, TimelineError, child_path
from clipcut.ffmpeg.asking import read_once
from clipcut.ffmpeg.mux import MARK, SUFFIXES, is_ours
from clipcut.ffmpeg.probe import has_sound
from clipcut.files import file_mode, is_folder, is_regular_file, is_special, real_path, why_unreadable
from clipcut.network.ask import variables_of
from clipcut.placeholder import packaged_placeholder
from clipcut.plan import Method, Plan
from clipcut.report import default_report_path
from clipcut.settings import Settings
from clipcut.sources.twelvelabs_key import base_problem, key_problem
from clipcut.timeline import Timeline, clips_per_video


@attrs.frozen(kw_only=True)
class Job:
    """A render that may begin.

    Attributes:
        plan: What to do.
        settings: The effective settings.
        output: The finished video's path, absolute.
        report: The report's path, absolute; None for stdout.
        work_parent: The folder that the private work folder is made in.
        comment: The mark that the output carries.
        uses_cache: Whether finished clips are looked for, and kept, in the cache.
    """

    plan: Plan
    settings: Settings
    output: Path
    report: Path | None
    work_parent: Path
    comment: str
    uses_cache: bool = True


def placeholder_path(settings: Settings) -> Path:
    """Return the placeholder clip in force."""
    return Path(settings.placeholder_asset_path or packaged_placeholder())


def _is_same(path: Path, other: Path) -> bool:
    if real_path(path) == real_path(other):
        return True
    try:
        return path.samefile(other)
    except (OSError, ValueError):
        return False


def _is_writable_folder(folder: Path) -> bool:
    return is_folder(folder) and os.access(folder, os.W_OK | os.X_OK)


def _name_problem(path: Path) -> str | None:
    """Say why the system takes no such name: too long, links in a circle, a folder that can't be entered."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        return f"can't be used: {exc.strerror}"
    return None


def _output_mistakes(output: Path, read: set[Path], *, force: bool) -> Iterator[Mistake]:
    """Yield why the output can't be written, or must not be replaced; ``read`` are the files that the render reads."""
    folder, mode = real_path(output).parent, file_mode(output)
    if output.suffix.lower() not in SUFFIXES:
        yield Mistake(str(output), f"has no suffix of a container that clipcut writes; end it in {', '.join(SUFFIXES)}")
    if problem := _name_problem(output):
        yield Mistake(str(output), f"{problem}; choose another output")
    elif not _is_writable_folder(folder):
        yield Mistake(str(output), f"the folder {folder} doesn't exist or can't be written to; make it first")
    if is_folder(output):
        yield Mistake(str(output), "is a folder; name a file")
    elif mode is not None and not is_regular_file(output):
        yield Mistake(str(output), "is not a regular file; choose another output")
    elif any(_is_same(output, path) for path in read):
        yield Mistake(str(output), "is one of the timeline's own sources; write somewhere else")
    elif mode is not None and not force and not is_ours(output):
        yield Mistake(
            str(output), "exists and was not made by clipcut; choose another output, or replace it with --force"
        )


def _report_mistakes(report: Path, output: Path, read: set[Path]) -> Iterator[Mistake]:
    """Yield why the report can't go where it should."""
    if problem := _name_problem(report):
        yield Mistake("--report", f"{report} {problem}")
    elif is_folder(report) or not (
        os.access(report, os.W_OK) if is_special(report) else _is_writable_folder(real_path(report).parent)
    ):
        yield Mistake("--report", f"{report} can't be written")
    elif any(_is_same(report, path) for path in (output, *read)):
        yield Mistake("--report", f"{report} is read or written by this render; name another file")


def _log_mistakes(log_file: Path, others: set[Path]) -> Iterator[Mistake]:
    """Yield why log lines must not be appended to a file; a device such as ``/dev/null`` takes everything."""
    mode = file_mode(log_file)
    if (mode is None or stat.S_ISREG(mode)) and any(_is_same(log_file, path) for path in others):
        yield Mistake("--log-file", f"{log_file} is read or written by this render; name another file")


def _textfile_mistakes(textfile: Path, others: set[Path]) -> Iterator[Mistake]:
    """Yield why metrics can't go where they should."""
    mode = file_mode(textfile)
    if problem := _name_problem(textfile):
        yield Mistake("--prom-textfile", f"{textfile} {problem}")
    elif (mode is not None and not stat.S_ISREG(mode)) or not _is_writable_folder(real_path(textfile).parent):
        yield Mistake("--prom-textfile", f"{textfile} can't be written")
    elif any(_is_same(textfile, path) for path in others):
        yield Mistake("--prom-textfile", f"{textfile} is read or written by this render; name another file")


def _variable_mistakes(timeline: Timeline) -> Iterator[Mistake]:
    """Yield the ``${NAME}`` of headers that the environment lacks, or that hold what no header can carry."""
    for video_id, source in timeline.sources.items():
        for header, value in (source.headers or {}).items():
            for name in variables_of(value):
                where, found = f"$.sources.{video_id}.headers.{header}", os.environ.get(name)
                if found is None:
                    yield Mistake(where, f"the variable {name} is not set")
                elif not found.isascii() or not found.isprintable():
                    yield Mistake(where, f"the variable {name} holds what no header can carry (it isn't shown here)")


def _twelvelabs_mistakes(timeline: Timeline) -> Iterator[Mistake]:
    """Yield why TwelveLabs can't be asked, for each of its videos that has clips."""
    used = clips_per_video(timeline)
    wanted = [name for name, source in timeline.sources.items() if source.twelvelabs is not None and name in used]
    problems = [problem(os.environ) for problem in (key_problem, base_problem)] if wanted else []
    for name in wanted:
        where = f"{child_path('$.sources', name)}.twelvelabs"
        yield from (Mistake(where, what) for what in problems if what is not None)


def _mark(name: str) -> str:
    """Return what the output's comment says; a name may have bytes that are no text."""
    return f"{MARK} {Path(name).name}".encode("utf-8", "backslashreplace").decode("utf-8")


def _soundtrack_mistakes(plan: Plan) -> Iterator[Mistake]:
    """Yield why the soundtrack can't be used."""
    if plan.soundtrack is None:
        return
    path = Path(plan.soundtrack.path)
    try:
        if not read_once(has_sound, path):
            yield Mistake("$.soundtrack.path", f"{path} has no sound")
    except SourceError as exc:
        yield Mistake("$.soundtrack.path", f"can't be used: {exc}")


def refuse_bad_variables(timeline: Timeline, name: str) -> None:
    """See that the environment has what network sources need: headers' variables, the TwelveLabs key.

    Args:
        timeline: The checked timeline.
        name: What the user calls it.

    Raises:
        TimelineError: With everything that is missing.
    """
    if mistakes := [*_variable_mistakes(timeline), *_twelvelabs_mistakes(timeline)]:
        raise TimelineError(f"{name} can't be used:", mistakes)


def prepare(
    timeline: Timeline,
    plan: Plan,
    settings: Settings,
    *,
    output: Path,
    name: str,
    path: Path | None,
    force: bool = False,
    log_file: Path | None = None,
) -> Job:
    """Check what can be checked before any work.

    Args:
        timeline: The checked timeline.
        plan: Its plan.
        settings: The effective settings.
        output: The finished video's path, absolute.
        name: What the user calls the timeline; its file name goes into the mark.
        path: The timeline's file, which is never written to; None if it has none.
        force: Whether a file that isn't clipcut's may be replaced.
        log_file: Where log lines go; None for standard error.

    Raises:
        TimelineError, SettingsError: Something can't be used; nothing was touched.
    """
    if mistakes := [*_variable_mistakes(timeline), *_twelvelabs_mistakes(timeline), *_soundtrack_mistakes(plan)]:
        raise TimelineError(f"{name} can't be used:", mistakes)
    placeholder = placeholder_path(settings)
    work_parent = Path(settings.work_dir) if settings.work_dir is not None else output.parent
    report = Path(settings.report) if settings.report is not None else default_report_path(output)
    read = {Path(rung.location) for edit in plan.edits for rung in edit.ladder if rung.method is Method.LOCAL}
    read |= {placeholder} if path is None else {placeholder, path}
    read |= {Path(plan.soundtrack.path)} if plan.soundtrack is not None else set()
    mistakes = list(_output_mistakes(output, read, force=force))
    if settings.report != "-":
        mistakes += _report_mistakes(report, output, read)
    others = {output, *read} | (set() if settings.report == "-" else {report})
    if log_file is not None:
        mistakes += _log_mistakes(log_file, others)
    if settings.prom_textfile is not None:
        others |= {log_file} if log_file is not None else set()
        mistakes += _textfile_mistakes(Path(settings.prom_textfile), others)
    if settings.placeholder_asset_path is not None and (why := why_unreadable(placeholder)):
        mistakes.append(Mistake("--placeholder", f"{placeholder} {why}"))
    if settings.work_dir is not None and not _is_writable_folder(work_parent):
        mistakes.append(Mistake("--work-dir", f"{work_parent} is no writable folder"))
    if mistakes:
        raise SettingsError("The render can't begin:", mistakes)
    return Job(
        plan=plan,
        settings=settings,
        output=output,
        report=None if settings.report == "-" else report,
        work_parent=work_parent,
        comment=_mark(name),
    )
