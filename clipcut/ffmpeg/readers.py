"""A few children that open media, so that a hostile file ends none but the child that reads it.

A reader is started when it is first needed, and used again. One that dies, says nothing for too long or gives an answer
that none gives is replaced, and what it was reading counts as a source that FFmpeg can't read. One whose work is
cancelled is ended, too: nobody can make it stop.
"""

import contextlib
import functools
import math
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import attrs
import trio

from clipcut.errors import Reason, RenderError, SourceError
from clipcut.ffmpeg.asking import Child, EndedError, make_request, names_of, open_reader, reader_argv, take_answer
from clipcut.ffmpeg.need import UncoveredError
from clipcut.ffmpeg.reader import FUNCTIONS, function_name
from clipcut.ffmpeg.wire import RubbishError
from clipcut.working import is_working_file

P = ParamSpec("P")
T = TypeVar("T")
Warn = Callable[[str, str], object]

_LONG = 256 * 1024
"""Longer answers are made values of in a thread, in bytes."""


@attrs.define(eq=False)
class Readers:
    """The readers of one render; ``open_readers`` makes them.

    Attributes:
        most: How many there are at most.
        warn: Is told of one that had to be replaced: an event, and words.
        argv: The command of one.
        names: What they do.
    """

    most: int
    warn: Warn
    argv: Sequence[str]
    names: Sequence[str]
    _nursery: trio.Nursery
    _children: set[Child] = attrs.field(factory=set)
    _starting: int = 0
    _free: "tuple[trio.MemorySendChannel[Child], trio.MemoryReceiveChannel[Child]]" = attrs.field(
        factory=lambda: trio.open_memory_channel[Child](math.inf)
    )

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Have a reader run one of a few functions.

        Args:
            function: One of ``names``.
            args: Its arguments; one called ``check`` is the reader's business.
            kwargs: None.

        Raises:
            SourceError: What the function raises; ``ffmpeg`` if its reader did not live to answer.
            UncoveredError, RenderError: What the function raises.
        """
        if kwargs or function_name(function) not in self.names:
            raise TypeError(f"no reader does {function_name(function)}")
        request, child = make_request(function, args), await self._take()
        is_sound = False
        try:
            answer = functools.partial(take_answer, function, args, await child.ask(request))
            value = await trio.to_thread.run_sync(answer) if len(answer.args[2]) > _LONG else answer()
            is_sound = True
        except (SourceError, RenderError, UncoveredError):
            is_sound = True
            raise
        except (EndedError, RubbishError) as exc:
            raise self._failure(args, str(exc)) from exc
        else:
            return value
        finally:
            await self._give_back(child, is_sound=is_sound)

    def _failure(self, arguments: Sequence[object], why: str) -> SourceError:
        name = next(names_of(arguments), "a file")
        shown = "a piece of a source" if is_working_file(Path(name)) else name
        self.warn("source.reader_ended", f"{shown} can't be read: {why}; a new reader takes over")
        return SourceError(Reason.FFMPEG, f"{name} can't be read: {why}")

    def start_one(self) -> None:
        """Have a reader started, if there may be another; until it is ready, others may be used."""
        if len(self._children) + self._starting < self.most:
            self._starting += 1
            self._nursery.start_soon(self._start)

    async def _start(self) -> None:
        try:
            child = await open_reader(self.argv)
        except RenderError:
            if not self._children:
                raise
        else:
            self._children.add(child)
            self._free[0].send_nowait(child)
        finally:
            self._starting -= 1

    async def _take(self) -> Child:
        while True:
            try:
                child = self._free[1].receive_nowait()
            except trio.WouldBlock:
                self.start_one()
                child = await self._free[1].receive()
            if child.is_alive:
                return child
            await self._discard(child)  # it ended while it had nothing to do, so no source is to blame

    async def _give_back(self, child: Child, *, is_sound: bool) -> None:
        if is_sound:
            self._free[0].send_nowait(child)
        else:
            await self._discard(child)

    async def _discard(self, child: Child) -> None:
        """End a reader, and have another started if somebody waits for one."""
        self._children.discard(child)
        await child.end()
        if self._free[1].statistics().tasks_waiting_receive:
            self.start_one()

    async def end(self) -> None:
        """End them all."""
        for child in self._children:
            await child.end()


@contextlib.asynccontextmanager
async def open_readers(
    most: int, warn: Warn, *, argv: Sequence[str] | None = None, names: Sequence[str] = FUNCTIONS
) -> AsyncIterator[Readers]:
    """Give readers; none is left when the block is.

    Args:
        most: How many there are at most.
        warn: Is told of one that had to be replaced: an event, and words.
        argv: The command of one.
        names: What they do.
    """
    readers: Readers | None = None
    try:
        async with trio.open_nursery() as nursery:
            readers = Readers(most, warn, argv or reader_argv(), names, nursery)
            yield readers
            nursery.cancel_scope.cancel()
    finally:
        if readers is not None:
            await readers.end()
