"""The program of a reader: a child that opens hostile media, so that a file which crashes a demuxer ends it alone.

A line of JSON on standard input names one of a few functions and its arguments; one on standard output is the answer.
An empty line before it says that the work goes on. The end of the input ends the reader at once, whatever it is at: it
comes when clipcut has gone, also after ``kill -9``. ``readers`` is the other side.

Started without ``site`` and with the module path of its parent as arguments; it imports little, as clips wait for it.
"""

import contextlib
import errno
import importlib
import inspect
import json
import os
import queue
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, get_type_hints

import attrs

from clipcut.errors import Reason, RenderError, SourceError
from clipcut.ffmpeg.need import UncoveredError
from clipcut.ffmpeg.probe import MediaInfo
from clipcut.ffmpeg.wire import Failure, Form, failure_to_plain, to_plain

FUNCTIONS = (
    "clipcut.ffmpeg.probe:probe",
    "clipcut.ffmpeg.probe:probe_sound",
    "clipcut.ffmpeg.shown:probe_shown",
    "clipcut.ffmpeg.probe:has_sound",
    "clipcut.ffmpeg.excerpt:make_excerpt",
    "clipcut.ffmpeg.copying:copy_clip",
    "clipcut.sources.file.index:read_index",
)
"""All that a reader does."""

READY = b"ready\n"
"""What it says first."""

BEAT_S = 1.0
"""How often it says at most that its work goes on, in seconds."""

MEMORY = 4 * 1024**3
"""How many bytes of address space it may take."""

CPU_S = 240
"""How many seconds a processor may be at work for it without a word: were it deaf to its input, it ends by itself."""

ROOM = 64 * 1024**2
"""It may write this many bytes more than twice what its source has, and no more."""


def function_name(function: Callable[..., object]) -> str:
    """Return what a function is called in a request."""
    return f"{function.__module__}:{function.__qualname__}"


def find_function(name: str, names: Sequence[str]) -> Callable[..., Any]:
    """Return a function of the list."""
    if name not in names:
        raise LookupError(f"a reader doesn't do {name}")
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]


def _lower(kind: int, most: int) -> None:
    """Lower a limit of this process, if it isn't lower; a system that knows no such limit has its own."""
    soft, hard = resource.getrlimit(kind)
    for bound in (soft, hard):
        most = most if bound == resource.RLIM_INFINITY else min(most, bound)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (most, hard))


class _Bounds:
    """What the system holds a reader to; set anew for each request."""

    def __init__(self) -> None:
        _lower(resource.RLIMIT_CORE, 0)
        _lower(resource.RLIMIT_AS, MEMORY)
        self._may_write, self._most = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.is_own = False
        """Whether it is our own bound that a file grows against, and not the user's."""

    def allow_time(self) -> None:
        """Let it be at work for as long again."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        soft = int(used.ru_utime + used.ru_stime) + CPU_S
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))

    def allow_bytes(self, arguments: Iterable[object]) -> None:
        """Let no file grow larger than what is cut out of a source can be: an index may name the same bytes often."""
        most = ROOM + 2 * sum(_bytes_of(argument) for argument in arguments)
        self.is_own = self._may_write in (resource.RLIM_INFINITY, -1) or most < self._may_write
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_FSIZE, (most if self.is_own else self._may_write, self._most))


def _bytes_of(argument: object) -> int:
    """Return how many bytes of media an argument stands for."""
    if not isinstance(argument, MediaInfo):
        return 0
    paths = [argument.path] if argument.has_bytes is None else []
    if argument.audio is not None and argument.audio.path is not None:
        paths.append(argument.audio.path)
    there = sum(end - first for first, end in argument.has_bytes.spans) if argument.has_bytes is not None else 0
    return there + sum(_size(path) for path in paths)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


@attrs.define
class _Reader:
    """Answers requests, one after the other."""

    names: Sequence[str]
    out: BinaryIO
    bounds: _Bounds = attrs.field(factory=_Bounds)
    _beaten: float = 0.0

    def beat(self) -> None:
        """Say that the work goes on, once a second at the most."""
        if time.monotonic() - self._beaten >= BEAT_S:
            self._beaten = time.monotonic()
            self.bounds.allow_time()
            self.say(b"\n")

    def say(self, line: bytes) -> None:
        """Have a line read."""
        self.out.write(line)
        self.out.flush()

    def answer(self, line: bytes) -> None:
        """Do what a line asks for, and say what came of it."""
        self._beaten = time.monotonic()
        try:
            said = {"value": to_plain(self._do(json.loads(line)))}
        except (SourceError, RenderError, UncoveredError) as exc:
            said = failure_to_plain(self._judged(exc))
        except MemoryError:
            said = failure_to_plain(SourceError(Reason.UNDECODABLE, "it takes more memory than a reader may have"))
        except Exception as exc:
            words = f"{type(exc).__name__}: {exc}"
            said = {"failed": "bug", "message": words[:1000], "traceback": traceback.format_exc()[-4000:]}
        self.say(json.dumps(said).encode("ascii") + b"\n")

    def _do(self, request: Any) -> object:
        function = find_function(request["do"], self.names)
        hints = get_type_hints(function)
        asked = [name for name in inspect.signature(function).parameters if name != "check"]
        arguments = [Form().read(hints[name], plain) for name, plain in zip(asked, request["with"], strict=True)]
        self.bounds.allow_time()
        self.bounds.allow_bytes(arguments)
        return function(*arguments, self.beat) if "check" in hints else function(*arguments)

    def _judged(self, failure: Failure) -> Failure:
        if getattr(failure.__cause__, "errno", None) == errno.EFBIG and self.bounds.is_own:
            return SourceError(Reason.TOO_LARGE, "what is cut out of it is larger than itself")
        return failure


def _listen(requests: "queue.SimpleQueue[bytes]") -> None:
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(0)


def main(names: Sequence[str] = FUNCTIONS) -> None:
    """Read until the input ends.

    Args:
        names: What may be asked for.
    """
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed is no answer
    reader = _Reader(names, out)
    for name in names:
        find_function(name, names)
    import av  # noqa: F401, PLC0415  before the first request, which may come later

    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    reader.say(READY)
    while True:
        reader.answer(requests.get())
