"""One reader and what is asked of it: its command, requests and answers, its end. ``reader`` is the other side."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar, get_type_hints

import attrs
import trio

from clipcut.errors import Reason, RenderError, SourceError, raise_if_machine
from clipcut.ffmpeg.probe import MediaInfo
from clipcut.ffmpeg.process import STALL_S, child_environment, open_child
from clipcut.ffmpeg.reader import READY, function_name
from clipcut.ffmpeg.wire import Form, RubbishError, failure_from_plain, printable, to_plain

P = ParamSpec("P")
T = TypeVar("T")

ANSWER_LIMIT = 128 * 1024**2
"""A longer answer is none, in bytes: the index of a film of many hours has a third of it."""

START_S = 60.0
"""How long a reader may take to be ready, in seconds."""

_BLOCK = 1024**2
_BOOT = "import importlib, sys; sys.path[:] = sys.argv[2:]; importlib.import_module(sys.argv[1]).main()"


class EndedError(Exception):
    """A reader has ended, or must be; the words say why."""


class ReaderBugError(Exception):
    """What went wrong in a reader is a bug; its own traceback goes along as a note, so that it is shown with ours."""


def reader_argv(module: str = "clipcut.ffmpeg.reader") -> list[str]:
    """Return the command of a reader, which finds modules where this process does, and heeds no environment."""
    home = str(Path(__file__).parents[2])
    paths = [str(Path(path).absolute()) for path in (*sys.path, home)]  # one may be empty: the current folder
    return [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT, module, *paths]


def paths_of(arguments: Sequence[object]) -> Iterator[Path]:
    """Yield the paths that a reader is given, which are all that it may name."""
    for argument in arguments:
        if isinstance(argument, Path):
            yield argument
        elif isinstance(argument, MediaInfo):
            yield argument.path


def names_of(arguments: Sequence[object]) -> Iterator[str]:
    """Yield what people call what a reader is given."""
    for argument in arguments:
        if isinstance(argument, MediaInfo):
            yield argument.called
        elif isinstance(argument, Path):
            yield str(argument)


def make_request(function: Callable[..., object], arguments: Sequence[object]) -> bytes:
    """Return the line that asks for a function."""
    asked = {"do": function_name(function), "with": [to_plain(argument) for argument in arguments]}
    return json.dumps(asked).encode("ascii") + b"\n"


def take_answer(function: Callable[..., T], arguments: Sequence[object], line: bytes) -> T:
    """Return what a function gave, or raise what it raised.

    Raises:
        RubbishError: It is no answer.
        ReaderBugError: It met a bug.
    """
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise RubbishError("no JSON") from exc
    match said:
        case {"value": value}:
            return Form(tuple(paths_of(arguments))).read(get_type_hints(function)["return"], value)  # type: ignore[no-any-return]
        case {"failed": "bug", "message": str(message), "traceback": str(lines)}:
            bug = ReaderBugError(printable(message))
            bug.add_note("\n".join(["In the reader:", *(printable(line) for line in lines.splitlines())]))
            raise bug
        case {"failed": str()}:
            raise failure_from_plain(said)
    raise RubbishError("neither a value nor a failure")


@attrs.define(eq=False)
class Child:
    """A reader at work or at rest."""

    process: trio.Process
    _said: bytearray = attrs.field(factory=bytearray)

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended, as far as can be told."""
        return self.process.poll() is None

    async def line(self, limit: int) -> bytes:
        """Return its next line, without the line end."""
        assert self.process.stdout is not None  # noqa: S101  a pipe
        searched = 0
        while (end := self._said.find(b"\n", searched)) < 0:
            searched = len(self._said)
            if searched > limit:
                raise EndedError("its reader's answer was longer than any")
            chunk = await self.process.stdout.receive_some(_BLOCK)
            if not chunk:
                raise EndedError(f"its reader {_how_ended(await self.process.wait())}")
            self._said += chunk
        if end > limit:
            raise EndedError("its reader's answer was longer than any")
        found = bytes(self._said[:end])
        del self._said[: end + 1]
        return found

    async def ask(self, request: bytes) -> bytes:
        """Send a request and return the answer; as long as it says that it is at work, it is waited for."""
        assert self.process.stdin is not None  # noqa: S101  a pipe
        with trio.move_on_after(STALL_S) as stall:
            with contextlib.suppress(trio.BrokenResourceError):  # then it has ended, which its output tells
                await self.process.stdin.send_all(request)
            while not (line := await self.line(ANSWER_LIMIT)):
                stall.deadline = trio.current_time() + STALL_S
            return line
        raise EndedError(f"its reader said nothing for {STALL_S:.0f} s and was ended")

    async def end(self) -> None:
        """Kill it; it holds nothing that could be lost."""
        with trio.CancelScope(shield=True):
            if self.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    self.process.kill()
                await self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    await pipe.aclose()


def _how_ended(code: int) -> str:
    if code >= 0:
        return f"ended with {code}"
    with contextlib.suppress(ValueError):
        return f"crashed ({signal.Signals(-code).name})"
    return f"crashed (signal {-code})"


async def open_reader(argv: Sequence[str]) -> Child:
    """Start a reader, and wait until it is ready.

    Raises:
        RenderError: It can't be started here: no source is to blame.
    """
    try:
        child = Child(await open_child(argv, subprocess.DEVNULL))
    except OSError as exc:
        raise_if_machine(exc)
        raise RenderError(f"The reader of media files can't be started: {exc.strerror}.") from exc
    is_ready = False
    why = f"it was not ready after {START_S:.0f} s"
    try:
        with trio.move_on_after(START_S):
            is_ready = await child.line(len(READY)) + b"\n" == READY
    except EndedError as exc:
        why = str(exc)
    finally:
        if not is_ready:
            await child.end()
    if not is_ready:
        raise RenderError(f"The reader of media files can't be started: {why}.")
    return child


def read_once(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Have one function run in a reader of its own, outside Trio. Blocks.

    Raises:
        SourceError: What the function raises; ``ffmpeg`` if its reader did not live to answer.
    """
    assert not kwargs  # noqa: S101
    path = next(paths_of(args), "a file")
    try:
        return take_answer(function, args, _ask_once(make_request(function, args)))
    except (EndedError, RubbishError, OSError) as exc:
        raise SourceError(Reason.FFMPEG, f"{path} can't be read: {exc}") from exc


def _ask_once(request: bytes) -> bytes:
    """Return a reader's first answer."""
    with subprocess.Popen(
        reader_argv(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(os.environ),
        start_new_session=True,
    ) as process:
        assert process.stdin is not None  # noqa: S101  a pipe
        assert process.stdout is not None  # noqa: S101
        watch = threading.Timer(STALL_S, process.kill)
        watch.start()
        try:
            process.stdin.write(request)
            process.stdin.flush()
            while (line := process.stdout.readline(ANSWER_LIMIT)) in (READY, b"\n"):
                pass
            if not line.endswith(b"\n"):
                raise EndedError(f"its reader {_how_ended(process.wait())}")
            return line
        finally:
            watch.cancel()
            process.kill()
