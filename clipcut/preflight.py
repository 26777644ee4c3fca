"""What is checked before any work, all of it at once: mistakes of the caller (exit 2); nothing was touched."""

import os
from collections.abc import Iterator
from pathlib import Path

import attrs

from clipcut.errors import Mistake, SettingsError, TimelineError
from clipcut.ffmpeg.mux import MARK, SUFFIXES, is_ours
from clipcut.placeholder import packaged_placeholder
from clipcut.plan import Method, Plan
from clipcut.report import default_report_path
from clipcut.settings import Settings
from clipcut.timeline import Timeline


@attrs.frozen(kw_only=True)
class Job:
    """A render that may begin.

    Attributes:
        plan: What to do.
        settings: The effective settings.
        output: The finished video's path, absolute.
        report: The report's path, absolute; None for stdout.
        placeholder: The placeholder clip.
        work_parent: The folder that the private work folder is made in.
        comment: The mark that the output carries.
    """

    plan: Plan
    settings: Settings
    output: Path
    report: Path | None
    placeholder: Path
    work_parent: Path
    comment: str


def _is_same(path: Path, other: Path) -> bool:
    return path == other or (path.exists() and other.exists() and path.samefile(other))


def _is_writable_folder(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK)


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return path.is_file()
    except OSError:
        return False


def _output_mistakes(output: Path, read: set[Path], *, force: bool) -> Iterator[Mistake]:
    """Yield why the output can't be written, or must not be replaced; ``read`` are the files that the render reads."""
    if output.suffix.lower() not in SUFFIXES:
        yield Mistake(str(output), f"has no suffix of a container that clipcut writes; end it in {', '.join(SUFFIXES)}")
    if not _is_writable_folder(output.parent):
        yield Mistake(str(output), f"the folder {output.parent} doesn't exist or can't be written to; make it first")
    if output.is_dir():
        yield Mistake(str(output), "is a folder; name a file")
    elif any(_is_same(output, path) for path in read):
        yield Mistake(str(output), "is one of the timeline's own sources; write somewhere else")
    elif output.exists() and not force and not is_ours(output):
        yield Mistake(
            str(output), "exists and was not made by clipcut; choose another output, or replace it with --force"
        )


def _report_mistakes(report: Path, output: Path, read: set[Path]) -> Iterator[Mistake]:
    """Yield why the report can't go where it should."""
    is_device = report.exists() and not report.is_file() and not report.is_dir()  # such as /dev/null
    if not (os.access(report, os.W_OK) if is_device else _is_writable_folder(report.parent) and not report.is_dir()):
        yield Mistake("--report", f"{report} can't be written")
    elif any(_is_same(report, path) for path in (output, *read)):
        yield Mistake("--report", f"{report} is read or written by this render; name another file")


def _unset_variables(timeline: Timeline) -> Iterator[Mistake]:
    """Yield the ``${NAME}`` of headers that the environment lacks."""
    for video_id, source in timeline.sources.items():
        for header, value in (source.headers or {}).items():
            for part in value.split("${")[1:]:
                name = part.partition("}")[0]
                if name not in os.environ:
                    yield Mistake(f"$.sources.{video_id}.headers.{header}", f"the variable {name} is not set")


def prepare(
    timeline: Timeline,
    plan: Plan,
    settings: Settings,
    *,
    output: Path,
    name: str,
    path: Path | None,
    force: bool = False,
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

    Raises:
        TimelineError, SettingsError: Something can't be used; nothing was touched.
    """
    if mistakes := list(_unset_variables(timeline)):
        raise TimelineError(f"{name} can't be used:", mistakes)
    placeholder = Path(settings.placeholder_asset_path or packaged_placeholder())
    work_parent = Path(settings.work_dir) if settings.work_dir is not None else output.parent
    report = Path(settings.report) if settings.report is not None else default_report_path(output)
    read = {Path(rung.location) for edit in plan.edits for rung in edit.ladder if rung.method is Method.LOCAL}
    read |= {placeholder} if path is None else {placeholder, path}
    mistakes = list(_output_mistakes(output, read, force=force))
    if settings.report != "-":
        mistakes += _report_mistakes(report, output, read)
    if settings.placeholder_asset_path is not None and not _is_readable(placeholder):
        mistakes.append(Mistake("--placeholder", f"{placeholder} can't be read"))
    if settings.work_dir is not None and not _is_writable_folder(work_parent):
        mistakes.append(Mistake("--work-dir", f"{work_parent} is no writable folder"))
    if mistakes:
        raise SettingsError("The render can't begin:", mistakes)
    return Job(
        plan=plan,
        settings=settings,
        output=output,
        report=None if settings.report == "-" else report,
        placeholder=placeholder,
        work_parent=work_parent,
        comment=f"{MARK} {Path(name).name}",
    )
