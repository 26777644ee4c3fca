"""What ended some work: for people one line, for whoever mends a bug the whole traceback."""

import re
import traceback
from collections.abc import Iterator

from clipcut.errors import ClipcutError
from clipcut.redact import redact

SHOWN_BY_V = "which -v shows"
"""Where the traceback of a bug is, if nobody has kept it."""

_MOST_LETTERS = 300
"""So much is said of a bug in one line; more is in its traceback."""


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield what is in an exception group, however deep, or the exception itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def telling_error(error: BaseException) -> BaseException:
    """Return the one of a group's errors that says most: one of ours, else the first; the others followed from it."""
    leaves = list(_leaves(error))
    return next((leaf for leaf in leaves if isinstance(leaf, ClipcutError)), leaves[0])


def is_bug(error: BaseException | None) -> bool:
    """Tell whether nobody foresaw an error: it is neither one of ours nor the system's."""
    return error is not None and not isinstance(error, (ClipcutError, OSError))


def one_line(text: str) -> str:
    """Return a text with its lines in one."""
    return re.sub(r"\s*[\r\n]+\s*", " ", text.strip())


def error_text(error: BaseException, place: str = SHOWN_BY_V) -> str:
    """Say what a failure was; what nobody foresaw is a bug, and said in one line.

    Args:
        error: The failure.
        place: Where the traceback is, if it is a bug, as the end of a sentence: ``which is in night.log``.
    """
    if isinstance(error, ClipcutError):
        return str(error)
    if isinstance(error, OSError):
        about = f": {error.filename}" if error.filename is not None else ""
        return f"The system refused: {error.strerror or error}{about}"
    words = redact(one_line(f"{type(error).__name__}: {error}"))
    said = words if len(words) <= _MOST_LETTERS else f"{words[:_MOST_LETTERS]}…"
    return f"this is a bug in clipcut ({said}); please report it with its traceback, {place}"


def traceback_text(error: BaseException) -> str:
    """Return an error's whole traceback, without secrets."""
    return redact("".join(traceback.format_exception(error)).rstrip())
