"""Our own working files, which no message names: people know their sources, and the folder is gone when they read."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from clipcut.errors import RenderError, SourceError

PREFIX = ".clipcut-"
"""How the name of a private work folder begins."""

WORKING_FILE = "a working file"


def is_working_file(path: Path) -> bool:
    """Tell whether a file lies in a private work folder."""
    return any(part.startswith(PREFIX) for part in path.parts)


def without_folder(text: str, folder: Path, name: str) -> str:
    """Return a text in which every file of a private folder is called otherwise.

    Programs write paths in their own ways, so the folder's own name is enough to know it by: no other has it.

    Args:
        text: The text.
        folder: The private folder.
        name: What its files are called instead.
    """
    above = rf"(?:file:)?(?:{re.escape(str(folder.parent))}/|[^\s'\"]*/)?"
    below = r"(?:/[\w.-]*\w)*"
    return re.sub(f"{above}{re.escape(folder.name)}{below}", lambda _: name, text)


@contextlib.contextmanager
def naming(folder: Path, name: str) -> Iterator[None]:
    """Have what goes wrong inside the block named after what people know.

    Its words come from many places: from FFmpeg, from PyAV, from readers that know a path and nothing else.

    Args:
        folder: The private folder.
        name: The source that its files stand for.
    """
    try:
        yield
    except SourceError as exc:
        raise exc.again(without_folder(str(exc), folder, name)) from exc
    except RenderError as exc:
        raise RenderError(without_folder(str(exc), folder, WORKING_FILE)) from exc
