"""Lines that never hold up or fail a render: a thread writes them, and what can't be written is dropped and counted."""

import threading
from collections import deque
from typing import TextIO

from clipcut.streams import writer_of

ROOM = 10_000
"""How many lines may wait; a reader that is slower than that misses some."""

FLUSH_S = 1.0
"""How long the end waits for lines that are still to be written, in seconds."""


class Lines:
    """A stream of whole lines in front of another one. Its methods never wait, ``close`` for a bounded time."""

    def __init__(self, stream: TextIO, room: int = ROOM) -> None:
        """Begin; ``stream`` is written to by a thread of our own from now on."""
        self.encoding = stream.encoding or "utf-8"
        self.dropped = 0
        """How many lines found no room."""
        self._is_terminal = stream.isatty()
        self._write = writer_of(stream)
        self._room = room
        self._waiting: deque[str] = deque()
        self._is_busy = False
        self._is_closed = False
        self._change = threading.Condition()
        # a daemon: one that waits for a reader must not keep the program from ending
        self._thread = threading.Thread(target=self._run, name="clipcut-lines", daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        """Leave lines to the thread; drop them if too many wait."""
        with self._change:
            if len(self._waiting) < self._room:
                self._waiting.append(text)
                self._change.notify_all()
            else:
                self.dropped += 1
        return len(text)

    def flush(self) -> None:
        """Leave it to the thread."""

    def isatty(self) -> bool:
        """Tell whether a terminal is behind it."""
        return self._is_terminal

    def is_behind(self) -> bool:
        """Tell whether something is still to be written."""
        with self._change:
            return self._is_busy or bool(self._waiting)

    def close(self, timeout: float = FLUSH_S) -> None:
        """Wait until all is written, for ``timeout`` seconds at most, and end."""
        with self._change:
            self._is_closed = True
            self._change.notify_all()
        self._thread.join(timeout)

    def _run(self) -> None:
        while batch := self._take():
            try:
                self._write("".join(batch))
            except (OSError, ValueError):  # full, broken, closed: no reason to end a render
                self._write = lambda _: None

    def _take(self) -> list[str]:
        """Return the lines to write next; none at the end."""
        with self._change:
            self._is_busy = False
            self._change.wait_for(lambda: self._waiting or self._is_closed)
            batch = [self._waiting.popleft() for _ in range(min(100, len(self._waiting)))]
            self._is_busy = bool(batch)
            return batch
