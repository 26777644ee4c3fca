"""The live display on a terminal: shows a ``Board`` while a render runs, with log lines above it."""

import contextlib
import datetime as dt
from collections import deque
from collections.abc import Callable, Mapping
from typing import Self, TextIO, cast

import attrs
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderResult
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from clipcut.board import Board, draw
from clipcut.lines import ROOM, Lines
from clipcut.plan import Plan

_ASCII = str.maketrans("━─…", "#-.")


@attrs.define
class _View:
    """What Live draws: always the present state, in the terminal's present size."""

    board: Board
    widths: list[int] = attrs.field(factory=list)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        now = dt.datetime.now().astimezone()
        lines = draw(self.board, options.max_width, options.max_height, now)
        for line in lines:
            if options.ascii_only:
                line.plain = line.plain.translate(_ASCII).encode("ascii", "replace").decode()
        self.widths = [line.cell_len for line in lines]
        yield Text("\n").join(lines)


class _Live(Live):
    """Rich's live display, with lines for above it, that survives a terminal which gets narrower.

    Its own thread draws, eight times a second, unless the terminal is slow or held (Ctrl-S). Lest two threads move the
    cursor at once, lines for above wait for its next turn.
    """

    def __init__(self, view: _View, console: Console, is_behind: Callable[[], bool]) -> None:
        super().__init__(
            view,
            console=console,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,  # the report may go there
            redirect_stderr=False,
        )
        self.waiting: deque[str] = deque(maxlen=ROOM)
        self._view = view
        self._is_behind = is_behind

    def refresh(self) -> None:
        if self.is_started and self._is_behind():
            return  # a terminal that is held gets one frame when it goes on, not all that it has missed
        lines: list[ConsoleRenderable] = []
        while self.waiting:
            lines.append(Text.from_ansi(self.waiting.popleft()))
        self.console.print(*lines or [Control()], sep="\n", soft_wrap=True)

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Go up and clean as many more lines as a narrower terminal has made of what was drawn last."""
        more = sum((width - 1) // self.console.width for width in self._view.widths if width)
        up = [(ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)] * more
        return [Control(*up), *super().process_renderables(renderables)]


class _Terminal:
    """A stream on which the cursor is hidden only inside a frame: however we end, it is there.

    A terminal that has gone away is no reason to end a render.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(f"\x1b[?25l{text}\x1b[?25h")
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


class Display:
    """The display of one render: a listener to tell, a stream for log lines, a block that it is shown inside."""

    def __init__(
        self,
        board: Board,
        stream: TextIO,
        environ: Mapping[str, str],
        is_behind: Callable[[], bool] = lambda: False,
    ) -> None:
        """Get ready; nothing is written before the block is entered, nor drawn while the stream is behind."""
        self.board = board
        self._stream = stream
        # COLUMNS and LINES would stand for a size that is no more, as soon as the terminal is resized
        environ = {key: value for key, value in environ.items() if key not in ("COLUMNS", "LINES")}
        terminal = cast("TextIO", _Terminal(stream))
        console = Console(file=terminal, force_terminal=True, _environ=environ)
        self._live = _Live(_View(self.board), console, is_behind)

    @property
    def log_stream(self) -> TextIO:
        """Where log lines go, to stand above the display while there is one."""
        return cast("TextIO", self)

    def write(self, text: str) -> int:
        """Write whole lines."""
        if self._live.is_started:
            self._live.waiting.append(text.removesuffix("\n"))
            return len(text)
        return self._stream.write(text)

    def flush(self) -> None:
        """Leave it to the display while it is shown."""
        if not self._live.is_started:
            self._stream.flush()

    def isatty(self) -> bool:
        """Say yes: otherwise there would be no display."""
        return True

    def __enter__(self) -> Self:
        """Show it."""
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        self._live.stop()


def make_display(plan: Plan, job: str, stream: TextIO | Lines, environ: Mapping[str, str]) -> Display | None:
    """Return a display; None unless ``stream`` is a terminal that can move its cursor."""
    if not stream.isatty() or environ.get("TERM") in ("dumb", "unknown"):
        return None
    is_behind = stream.is_behind if isinstance(stream, Lines) else lambda: False
    return Display(Board(plan, job), cast("TextIO", stream), environ, is_behind)
