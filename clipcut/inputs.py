"""What every command reads before it does anything: the timeline, the settings."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clipcut.errors import Mistake, SettingsError, TimelineError
from clipcut.jockey import is_jockey_list, structure_jockey_list
from clipcut.jsonio import MAX_BYTES, parse_document, structure_timeline
from clipcut.settings import Settings, config_candidates, find_config, resolve_settings
from clipcut.timeline import Timeline

NOT_FOR_TIMELINES = "is only for Jockey lists; a timeline's TwelveLabs sources name their index; leave it out"


def current_folder() -> Path:
    """Return the current folder.

    Raises:
        SettingsError: It has been removed.
    """
    try:
        return Path.cwd()
    except OSError as exc:
        raise SettingsError("Nothing can be done here:", [Mistake("the current folder", f"{exc.strerror}")]) from exc


def load_document(data: bytes, name: str, index_id: str | None = None) -> Timeline:
    """Read a version 1 timeline or a Jockey list, whichever it is.

    Args:
        data: The document, UTF-8 JSON.
        name: What the user calls it, for messages.
        index_id: The TwelveLabs index of a Jockey list's videos; None for a timeline.

    Raises:
        TimelineError: With every mistake that it has.
    """
    document = parse_document(data, name)
    if is_jockey_list(document, is_expected=index_id is not None):
        return structure_jockey_list(document, name, index_id)
    if index_id is None:
        return structure_timeline(document, name)
    others: Sequence[Mistake] = ()
    try:
        structure_timeline(document, name)
    except TimelineError as exc:
        others = exc.mistakes
    raise TimelineError(f"{name} can't be used:", [Mistake("--index-id", NOT_FOR_TIMELINES), *others])


def read_timeline(name: str, index_id: str | None = None) -> tuple[Timeline, bytes, Path]:
    """Return the timeline, the document, and the folder that its paths start from.

    Args:
        name: Its path, or ``-`` for standard input.
        index_id: The TwelveLabs index of a Jockey list's videos; None for a timeline.

    Raises:
        TimelineError: It can't be read, or has mistakes.
    """
    cwd = current_folder()
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
            return load_document(data, "stdin", index_id), data, cwd
        path = cwd / name
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise TimelineError("The timeline can't be used:", [Mistake(name, f"can't be read: {exc.strerror}")]) from exc
    return load_document(data, name, index_id), data, path.parent


def read_settings(config: str | None, **flags: Any) -> Settings:
    """Put the settings together from flags, environment and settings file."""
    cwd = current_folder()
    found = find_config(config, os.environ, cwd)
    return resolve_settings(flags, os.environ, found, cwd, config_candidates(config, os.environ, cwd))


def output_path(flag: str | None, timeline: Timeline, base: Path) -> Path:
    """Return where the video goes: where the flag says, else where the timeline does.

    It is not normalised, like all other paths that the user writes: after a link, ".." is somewhere else.

    Raises:
        TimelineError: Neither does.
    """
    if flag is not None:
        return current_folder() / flag
    if timeline.output.path is None:
        what = 'has no "path", so say where the video goes with -o'
        raise TimelineError("The timeline can't be used:", [Mistake("$.output", what)])
    return base / timeline.output.path


def default_job(timeline: str) -> str:
    """Return a render's name where nobody gives it one: the timeline's file name without suffix."""
    return "stdin" if timeline == "-" else Path(timeline).stem
