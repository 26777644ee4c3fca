"""What FFmpeg said and returned, held against what a good cut says and returns."""

import re
import signal

import attrs

from clipcut.errors import Reason, RenderError, SourceError
from clipcut.ffmpeg.process import STALL_S, Completed

_ERROR = re.compile(r"\[(?:error|fatal|panic)\] ")
_TOLD = re.compile(r"(?:\[[^\]]* @ 0x[0-9a-f]+\] )*\[(?:info|verbose)\] ")
_MOST_ERRORS = 50
_HARMLESS = re.compile(r"mmco: unref short failure")
"""What a decoder says of references that lie before an open group of pictures; a lost picture says more than that."""
_TOO_LARGE = (128 + signal.SIGXFSZ, -signal.SIGXFSZ)
_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded|File too large")
_REFUSED = re.compile(r"not on whitelist|[Pp]icture size .* (is invalid|exceeds)|Video uses a .* is not supported")


@attrs.define
class Said:
    """What FFmpeg said of errors, heard line by line (there may be more than is kept), and how it ended."""

    done: Completed = attrs.field(factory=lambda: Completed(None, ()))
    errors: list[str] = attrs.field(factory=list)

    def hear(self, line: str) -> None:
        """Keep a line that tells of an error, if it is among the first few; any other may quote anything."""
        if _TOLD.match(line):
            return
        if len(self.errors) < _MOST_ERRORS and _ERROR.search(line) and not _HARMLESS.search(line):
            self.errors.append(line)


def judge(said: Said, source: str) -> None:
    """Hold what FFmpeg said and returned against what a good cut says and returns: no error, and 0.

    Raises:
        SourceError: ``undecodable``, ``refused`` or ``ffmpeg``.
        RenderError: There is no room to work in.
    """
    errors, done = said.errors, said.done
    if any(_NO_ROOM.search(line) for line in errors):
        raise RenderError(
            f"There is no room for working files: {_plain(errors[0])}. Free some, or name another --work-dir."
        )
    if done.returncode is None:
        raise SourceError(Reason.FFMPEG, f"FFmpeg said nothing for {STALL_S:.0f} s and was ended")
    if done.returncode in _TOO_LARGE:
        raise RenderError("There is no room for working files: a file grew larger than allowed (ulimit -f).")
    if done.returncode in (126, 127, 139, -11):
        raise SourceError(Reason.FFMPEG, f"FFmpeg crashed or can't be run (exit {done.returncode})")
    if any(_REFUSED.search(line) for line in errors):
        raise SourceError(Reason.REFUSED, f"{source}: {_plain(errors[0])}")
    if errors:
        raise SourceError(Reason.UNDECODABLE, f"{source}: {_plain(errors[0])}")
    if done.returncode:
        raise SourceError(Reason.FFMPEG, f"FFmpeg ended with {done.returncode}, and did not say why")


def _plain(line: str) -> str:
    """Leave away FFmpeg's module names and addresses."""
    words = re.sub(r"^(\[[^\]]*@ 0x[0-9a-f]+\] ?)*\[\w+\] ", "", line)
    return re.sub(r" not on whitelist .*", " is none that clipcut opens", words)[:300]
