"""Everything that can go wrong on purpose, and the closed list of reasons.

::

    ClipcutError              exit code 1
      SettingsError           2, a flag, a variable or the settings file
      TimelineError           2, the document; carries every mistake at once
      SourceError             a rung of a clip's ladder failed, with its Reason; becomes an Attempt, ends no render
      ToolError               1, no FFmpeg that works
      RenderError             1, the render as a whole can't be finished
      ToldError               1, the log has told of it already

This module imports nothing from clipcut, so every other module may import it.
"""

import difflib
import enum
import errno
import json
import os
import re
from collections.abc import Collection, Sequence

import attrs


class Reason(enum.StrEnum):
    """Why a rung failed: the whole list, as the report and the metrics use it."""

    HTTP_401 = "http_401"
    HTTP_403 = "http_403"
    HTTP_404 = "http_404"
    HTTP_410 = "http_410"
    HTTP_429 = "http_429"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    TLS = "tls"
    DNS = "dns"
    BAD_PLAYLIST = "bad_playlist"
    TRUNCATED = "truncated"
    UNDECODABLE = "undecodable"
    SHORT_SOURCE = "short_source"
    MISSING_FILE = "missing_file"
    NO_VIDEO = "no_video"
    NOT_READY = "not_ready"
    REFUSED = "refused"
    TOO_LARGE = "too_large"
    DEADLINE = "deadline"
    FFMPEG = "ffmpeg"
    DISK = "disk"


DISK_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says when there is no room to write: never the fault of a source."""

MACHINE_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})
"""What the system says when it has too little left of something: never the fault of a source either."""


@attrs.frozen
class Mistake:
    """One thing that is wrong in a document or in the settings.

    Attributes:
        where: A JSON path such as ``$.clips[3].start``, or the flag, variable or key it is about.
        what: What is wrong, with the value, and what to write instead.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)


def quoted(value: object) -> str:
    """Write a value as JSON, in the letters that it is written in; what can't be printed is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def child_path(where: str, key: str | int) -> str:
    """Return the JSON path of what stands under a key or index; an odd key is quoted, so that it can be printed."""
    if isinstance(key, int):
        return f"{where}[{key}]"
    return f"{where}.{key}" if _PLAIN_KEY.fullmatch(key) else f"{where}[{quoted(key[:80])[:80]}]"


MOST_NAMES = 200
"""Among more names than this nobody looks for one that is near, nor for more words than this in one document."""

_LONGEST = 100
"""A longer word, in characters, is no misspelt name."""


@attrs.frozen(eq=False)
class Guesses:
    """What words of one document that nobody knows were meant to be: each is looked for once, and only so many."""

    _found: dict[tuple[str, Collection[str]], str] = attrs.field(init=False, factory=dict)

    def nearest(self, word: str, known: Collection[str]) -> str:
        """Return ``; did you mean "…"?`` when a known name is near, else nothing."""
        if len(known) > MOST_NAMES or len(word) > _LONGEST:
            return ""
        key = (word, tuple(known))
        if key not in self._found:
            if len(self._found) >= MOST_NAMES:
                return ""
            matches = difflib.get_close_matches(word, known, n=1)
            self._found[key] = f'; did you mean "{matches[0]}"?' if matches else ""
        return self._found[key]


def nearest(word: str, known: Collection[str]) -> str:
    """Return what ``Guesses`` does, of a word that stands alone."""
    return Guesses().nearest(word, known)


class ClipcutError(Exception):
    """Any failure that clipcut foresees; printed as one message, never as a traceback."""

    exit_code = 1


class _MistakesError(ClipcutError):
    exit_code = 2

    def __init__(self, title: str, mistakes: Sequence[Mistake]) -> None:
        """Say all of it: the title, then one line per mistake."""
        self.title = title
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join([title, *(f"  {mistake}" for mistake in self.mistakes)]))


class SettingsError(_MistakesError):
    """A flag, an environment variable or the settings file can't be used."""


class TimelineError(_MistakesError):
    """The timeline can't be used; ``mistakes`` has every one that was found, in document order."""


class LockedError(ClipcutError):
    """Another render of this output is at work."""

    exit_code = 4


class SourceError(ClipcutError):
    """One rung of a clip's ladder failed. Never leaves the clip's own task.

    Attributes:
        reason: Why, for scripts; the message is for people.
        is_passing: Whether the same request may go well a moment later.
        is_known: Whether nobody asked this time, as the answer is known from before.
        is_changed: Whether a file behind HTTP isn't the one any more that its index came from.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        is_passing: bool = False,
        is_known: bool = False,
        is_changed: bool = False,
    ) -> None:
        """Keep the reason apart from the words."""
        self.reason = reason
        self.is_passing = is_passing
        self.is_known = is_known
        self.is_changed = is_changed
        super().__init__(message)

    def again(self, message: str | None = None, *, is_known: bool | None = None) -> "SourceError":
        """Return the same failure, perhaps in other words: one exception in several tasks would mix their traces."""
        return SourceError(
            self.reason,
            str(self) if message is None else message,
            is_passing=self.is_passing,
            is_known=self.is_known if is_known is None else is_known,
            is_changed=self.is_changed,
        )

    def renamed(self, path: object, name: str) -> "SourceError":
        """Return the same failure, said of a source and not of the file that stands for it here."""
        return self.again(str(self).replace(str(path), name))


class ToolError(ClipcutError):
    """FFmpeg is missing, or does not do what clipcut needs."""


class RenderError(ClipcutError):
    """The render can't be finished: a full disk, a video that fails its last check, too many placeholders."""


class ToldError(ClipcutError):
    """What ended the run stands in the log lines on standard error, so it isn't said there once more in words."""


def raise_if_machine(error: BaseException) -> None:
    """Raise ``RenderError`` if an error tells of this machine and not of a source: no room, descriptors, memory."""
    number = getattr(error, "errno", None)
    if number in DISK_ERRNOS:
        raise RenderError(f"There is no room for working files: {os.strerror(number)}.") from error
    if number in MACHINE_ERRNOS:
        raise RenderError(f"This machine has too little left: {os.strerror(number)}; lower --concurrency.") from error
