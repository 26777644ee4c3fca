"""The only place that starts a child: FFmpeg behind a guard, both pipes drained, asked and then killed on cancellation.

Why a guard: Ctrl-C and hangup reach the whole foreground process group, so children live in a session of their own;
and a child must not outlive clipcut, not even after ``kill -9``. The guard is one ``/bin/sh`` that starts FFmpeg and
waits for its own standard input to close, which it does when clipcut is gone, however that came. (Linux' parent-death
signal is no way: it fires when the *thread* that forked ends, and Trio's worker threads retire.)
"""

import collections
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence

import attrs
import trio

STDERR_LINES = 200
"""How many of the last lines of a child's stderr are kept."""

LINE_LIMIT = 4096
"""Longer lines are cut to this many bytes, so that no child can fill our memory."""

GRACE_S = 2.0
"""How long a child that was asked to end, and its guard, may take before they are killed from here, in seconds."""

STALL_S = 120.0
"""A child that says nothing for so long is taken for hung, in seconds."""

# $1... is the command. The watcher reads our pipe; end of file means clipcut is gone or wants the child to end. Then
# the child is asked, and soon after the whole session is killed: what it was writing is thrown away in any case.
# What a hostile file crashes leaves no core: that would fill the disk, with whatever was in memory.
# A file that grows too large (ulimit -f) is to be an error that FFmpeg tells, not a signal that looks like a crash.
# Nothing begins before a line comes: a guard that waits for a place costs little, and the command then begins at once.
_GUARD = """
trap '' HUP INT TERM XFSZ
ulimit -c 0 2>/dev/null
exec 3<&0 </dev/null
read -r _ <&3 || exit 1
( trap - HUP INT TERM; exec "$@" 3<&- ) &
child=$!
{ read -r _ <&3; kill -TERM $child; sleep 0.3; kill -KILL 0; } >/dev/null 2>&1 &
watcher=$!
exec 3<&-
wait $child
code=$?
kill -KILL $watcher 2>/dev/null
exit $code
"""

Place = contextlib.AbstractAsyncContextManager[int | None]
"""What is waited for before a command begins, and held until it ends."""

_KEPT_VARIABLES = ("HOME", "PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "FONTCONFIG_PATH")


@attrs.frozen
class Completed:
    """A child that has ended.

    Attributes:
        returncode: Its exit status; negative or above 128 for a signal; None if it said nothing for ``STALL_S``.
        stderr: The last lines of what it said, without line ends.
    """

    returncode: int | None
    stderr: tuple[str, ...]


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the few variables that a child gets: no FFREPORT, no LD_PRELOAD, no secrets, messages in English."""
    return {name: environ[name] for name in _KEPT_VARIABLES if name in environ} | {"LC_ALL": "C"}


async def _lines(stream: trio.abc.ReceiveStream, heard: Callable[[], object]) -> AsyncGenerator[bytes]:
    buffer = b""
    async for chunk in stream:
        heard()
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            yield line[:LINE_LIMIT]
        buffer = buffer[:LINE_LIMIT]
    if buffer:
        yield buffer


async def _drain(
    stream: trio.abc.ReceiveStream, sink: Callable[[bytes], object], heard: Callable[[], object] = lambda: None
) -> None:
    """Give a sink each line of a stream; ``heard`` is called as often as something came."""
    async with contextlib.aclosing(_lines(stream, heard)) as lines:
        async for line in lines:
            sink(line)


async def _end(process: trio.Process) -> None:
    """Ask the child to end, then kill it and whatever it started. Never leaves one behind."""
    with trio.CancelScope(shield=True):
        if process.stdin is not None:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await process.stdin.aclose()
        if process.returncode is None:
            process.terminate()
            with trio.move_on_after(GRACE_S):
                await process.wait()
        if process.returncode is None:  # not reaped yet, so the group can't be anybody else's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def open_child(argv: Sequence[str], stderr: int = subprocess.PIPE) -> trio.Process:
    """Start a child in a session of its own, with pipes; whoever does so sees to its end, and reads what it says.

    Raises:
        OSError: It could not be started.
    """
    return await trio.lowlevel.open_process(
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=child_environment(os.environ),
        start_new_session=True,
    )


def _bind(pid: int, core: int | None) -> None:
    """Bind a process, and what it will start, to a core; where that is refused, it goes without."""
    if core is not None:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(pid, {core})


async def run(
    argv: Sequence[str],
    *,
    on_stdout: Callable[[bytes], object] = lambda _: None,
    on_stderr: Callable[[str], object] = lambda _: None,
    place: Place | None = None,
) -> Completed:
    """Run a child behind the guard, with nothing on its standard input, to its end.

    Args:
        argv: The command and its arguments.
        on_stdout: Called with each line that it writes to standard output, without the line end.
        on_stderr: The same for standard error; only the last lines are kept in the result.
        place: What is held while the command runs; its guard is started before. If it gives a number, that is the core
            which the command is bound to. None for nothing.

    Raises:
        OSError: It could not be started (no such program, too many open files).
    """
    tail: collections.deque[str] = collections.deque(maxlen=STDERR_LINES)
    process = await open_child(["/bin/sh", "-c", _GUARD, "clipcut-guard", *argv])
    assert process.stdin is not None  # noqa: S101  all three are pipes
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101

    def heard() -> None:
        stall.deadline = trio.current_time() + STALL_S

    def err(line: bytes) -> None:
        tail.append(line.decode("utf-8", "replace"))
        on_stderr(tail[-1])

    try:
        async with place if place is not None else contextlib.nullcontext() as core:
            _bind(process.pid, core)
            with contextlib.suppress(trio.BrokenResourceError):  # a guard that has ended says so by its exit code
                await process.stdin.send_all(b"\n")
            with trio.move_on_after(STALL_S) as stall:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_drain, process.stdout, on_stdout, heard)
                    nursery.start_soon(_drain, process.stderr, err, heard)
                    await process.wait()
                    # whoever else holds its pipes isn't waited for
                    nursery.cancel_scope.deadline = trio.current_time() + 1
    finally:
        await _end(process)
        await process.stdout.aclose()
        await process.stderr.aclose()
    return Completed(None if stall.cancelled_caught else process.returncode, tuple(tail))


class Feed:
    """A child that is fed through its standard input; the end of the input ends it, so it needs no guard."""

    def __init__(self, process: trio.Process) -> None:
        """Wrap a running child; ``open_feed`` makes one."""
        self._process = process
        self._tail: collections.deque[str] = collections.deque(maxlen=STDERR_LINES)

    async def send(self, data: bytes) -> bool:
        """Give it more; False if it has stopped reading (``finish`` then tells why)."""
        assert self._process.stdin is not None  # noqa: S101
        with contextlib.suppress(trio.BrokenResourceError), trio.move_on_after(STALL_S):
            await self._process.stdin.send_all(data)
            return True
        return False

    async def finish(self) -> Completed:
        """Close its input and wait for its end."""
        assert self._process.stdin is not None  # noqa: S101
        await self._process.stdin.aclose()
        with trio.move_on_after(STALL_S):
            await self._process.wait()
        return Completed(self._process.returncode, tuple(self._tail))


@contextlib.asynccontextmanager
async def open_feed(argv: Sequence[str]) -> AsyncIterator[Feed]:
    """Start a child that reads its standard input; it has ended when the block is left.

    Raises:
        OSError: It could not be started.
    """
    process = await open_child(argv)
    feed = Feed(process)
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_drain, process.stdout, lambda _: None)
            nursery.start_soon(_drain, process.stderr, lambda line: feed._tail.append(line.decode("utf-8", "replace")))  # noqa: SLF001
            yield feed
            await _end(process)
            nursery.cancel_scope.deadline = trio.current_time() + 1
    finally:
        await _end(process)
        await process.stdout.aclose()
        await process.stderr.aclose()
