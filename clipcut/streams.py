"""The three standard streams, which may be closed, full, broken or read by nobody. Light: ``--version`` needs it."""

import contextlib
import os
import select
import sys
from collections.abc import Callable
from typing import TextIO


def open_missing() -> None:
    """Open standard streams that the caller closed, so that no file of ours takes their numbers.

    Standard input is then empty; what is said on standard error is lost; writing to standard output fails, and is told.
    """
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest free number, and those below are open
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115  a number, open to the end
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False, encoding="utf-8")  # noqa: SIM115


def writer_of(stream: TextIO) -> Callable[[str], None]:
    """Return a function that writes text past the stream's buffer, at once.

    A thread that waits in a buffered write holds the buffer's lock, and Python then aborts when it shuts down.
    """
    try:
        number = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return lambda text: _write_flushed(stream, text)
    encoding = stream.encoding or "utf-8"
    return lambda text: write_all(number, text.encode(encoding, "backslashreplace"))


def _write_flushed(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()


def write_all(number: int, data: bytes) -> None:
    """Write all of ``data`` to an open file; waits where another program has made it non-blocking.

    Raises:
        OSError: It can't be written.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(number, rest) :]
        except BlockingIOError:
            select.select([], [number], [])


def say(text: str) -> None:
    """Print what was asked for; ``finish_stdout`` tells whether it came through."""
    sys.stdout.write(text + "\n")


def tell(text: str) -> None:
    """Print what was not asked for; nobody needs to be there to read it."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def finish_stdout(last: str = "") -> bool:
    """Write out ``last`` and what else is left for standard output; if that can't be, say so, and return False."""
    try:
        if last:  # an unbuffered stream would try to write nothing, and fail
            sys.stdout.write(last)
        sys.stdout.flush()
    except (OSError, ValueError) as exc:
        give_up_stdout(exc)
        return False
    return True


def give_up_stdout(exc: Exception) -> None:
    """Say that standard output can't be written, unless its reader just has enough, and forget what is left for it."""
    if not isinstance(exc, BrokenPipeError):
        why = exc.strerror if isinstance(exc, OSError) else str(exc)
        tell(f"clipcut: standard output can't be written: {why}")
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
