"""What the live display shows: the whole with its time left, a line for each clip at work, counts of what went how.

``Board`` keeps what is known, ``draw`` makes lines of it that fit; both are pure, ``progress`` has the terminal.
"""

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import attrs
from rich.cells import cell_len
from rich.text import Text

from clipcut.events import Retry, Stage
from clipcut.plan import Edit, Method, Plan
from clipcut.results import ClipResult, Status
from clipcut.settings import Settings

_GAP = 2
_STAGES = {
    Stage.FETCH: "fetching",
    Stage.PROBE: "looking",
    Stage.COPY: "copying",
    Stage.WAIT: "waiting",
    Stage.ENCODE: "encoding",
    Stage.CHECK: "checking",
}
_COUNTS = (  # as shown, from left to right; the rank says what goes first where it is narrow
    (Status.SUCCESS, "fine", "fine", "green", 4),
    (Status.FALLBACK_LOCAL, "local copy", "local copies", "yellow", 2),
    (Status.FALLBACK_PLACEHOLDER, "placeholder", "placeholders", "magenta", 1),
    (Status.FAILED, "failed", "failed", "bold red", 0),
    ("retry", "retry", "retries", "cyan", 3),
    ("throttled", "throttled", "throttled", "cyan", 5),
)


@attrs.frozen
class Row:
    """A clip at work: its slot, the moment it came to work, and what is being done for it (None: not told yet)."""

    slot: int
    edit: Edit
    since: float
    method: Method | None = None
    stage: Stage | None = None


class Board:
    """A Listener that keeps what the display shows.

    Trio's thread writes and the drawing thread reads: rows are replaced and never changed, and copied in one step.
    """

    def __init__(self, plan: Plan, job: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin; ``clock`` gives seconds that only go forward."""
        self.job = "".join(char if char.isprintable() else "?" for char in job)
        self.plan = plan
        self.counts: Counter[str] = Counter()
        self.ended = 0
        self.frames = 0
        self._clock = clock
        self._began = clock()
        self.name_width = max(len(edit.name) for edit in plan.edits)
        self.video_width = max(len(edit.clip.video_id) for edit in plan.edits)
        self._rows: dict[int, Row] = {}
        self._first: float | None = None
        self._most_rows = self._clips_worked = self._frames_worked = 0
        self._finish_at: float | None = None

    def clip_started(self, edit: Edit, parallel_slot: int) -> None:
        """Open a row."""
        now = self._clock()
        self._first = now if self._first is None else self._first
        self._rows[edit.index] = Row(parallel_slot, edit, now)
        self._most_rows = max(self._most_rows, len(self._rows))

    def clip_stage(self, edit: Edit, method: Method, stage: Stage) -> None:
        """Note what is done now."""
        if (row := self._rows.get(edit.index)) is not None:
            self._rows[edit.index] = attrs.evolve(row, method=method, stage=stage)

    def clip_finished(self, result: ClipResult) -> None:
        """Close the row and count the clip."""
        self._rows.pop(result.edit.index, None)
        self.counts[result.status] += 1
        if result.status is Status.CANCELLED:
            return
        self.ended += 1
        self.frames += result.edit.slot.frames
        if result.parallel_slot is not None:  # one that took no time says nothing about the others
            self._clips_worked += 1
            self._frames_worked += result.edit.slot.frames
        self._forecast()

    def clip_throttled(self, edit: Edit, per_video_limit: int, waited_s: float) -> None:  # noqa: ARG002
        """Count a wait."""
        self.counts["throttled"] += 1

    def clip_retry(self, edit: Edit, retry: Retry) -> None:  # noqa: ARG002
        """Count a request that is sent again."""
        self.counts["retry"] += 1

    def source_resolved(self, video_id: str, source: str, facts: Mapping[str, object]) -> None:
        """Leave it to the log."""

    def settings_changed(self, before: Settings, after: Settings, names: Sequence[str]) -> None:
        """Leave it to the log."""

    def warning(self, event: str, message: str) -> None:
        """Leave it to the log, which stands above the display."""

    def _forecast(self) -> None:
        """Reckon from output frames over time, at the end of a clip only: between two ends it just counts down.

        Before as many clips have ended as were at work at once, too little is known: all of them began together.
        """
        if self._first is not None and self._clips_worked >= self._most_rows:
            now = self._clock()
            left = self.plan.frames - self.frames
            self._finish_at = now + (now - self._first) * left / self._frames_worked

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began

    @property
    def left_s(self) -> float | None:
        """Seconds to the forecast finish, at least 0; None while too little is known."""
        return None if self._finish_at is None else max(0.0, self._finish_at - self._clock())

    def rows(self) -> list[tuple[Row, float]]:
        """Return the clips at work with the seconds spent on each, in the order of their slots."""
        now = self._clock()
        rows = list(self._rows.values())  # one step, so no other thread comes between
        return [(row, now - row.since) for row in sorted(rows, key=lambda row: row.slot)]


def _width(cell: "_Cell") -> int:
    return cell_len(cell.text)


@attrs.frozen
class _Cell:
    """A piece of a line: the highest rank is dropped first, the lowest grows first, from ``least`` to ``width``."""

    rank: int
    text: str
    style: str = ""
    width: int = attrs.field(default=attrs.Factory(_width, takes_self=True), kw_only=True)
    least: int = attrs.field(default=attrs.Factory(lambda cell: cell.width, takes_self=True), kw_only=True)
    is_number: bool = attrs.field(default=False, kw_only=True)

    def draw(self, width: int) -> Text:
        text = Text(self.text.rjust(width) if self.is_number else self.text, self.style)
        text.truncate(width, overflow="ellipsis", pad=True)
        return text


class _Bar(_Cell):
    """A bar; its text is the part of it that is done, in thousandths."""

    def draw(self, width: int) -> Text:
        full = int(self.text) * width // 1000
        return Text.assemble(("━" * full, self.style), ("─" * (width - full), "dim"))


def _line(cells: Sequence[_Cell], room: int) -> Text:
    """Put the cells that fit into one line of at most ``room`` columns; the most important ones grow first."""
    kept = list(cells)
    while len(kept) > 1 and sum(cell.least + _GAP for cell in kept) - _GAP > room:
        kept.remove(max(kept, key=lambda cell: cell.rank))
    spare = room - sum(cell.least + _GAP for cell in kept) + _GAP
    widths = {}
    for cell in sorted(kept, key=lambda cell: cell.rank):
        grown = min(cell.width, cell.least + spare)
        spare -= max(0, grown - cell.least)
        widths[cell.rank] = max(1, grown)
    line = Text(" " * _GAP).join(cell.draw(widths[cell.rank]) for cell in kept)
    line.rstrip()
    return line


def clock_text(seconds: float) -> str:
    """Write seconds as ``0:07``, ``12:34`` or ``1:02:03``."""
    minutes, second = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}" if minutes >= 60 else f"{minutes}:{second:02}"


def _outlook(board: Board, now: dt.datetime) -> tuple[str, str]:
    """Say how long it will take and when it will be done; nothing where it isn't known."""
    left = board.left_s
    if board.counts[Status.CANCELLED]:
        return "stopping", ""
    if board.ended == len(board.plan.edits):
        return "joining", ""
    if left is None:
        return "", ""
    if left < 1:
        return "any moment", ""
    finish = now + dt.timedelta(seconds=left)
    return f"{clock_text(left)} left", f"done about {finish:{'%H:%M' if finish.date() == now.date() else '%a %H:%M'}}"


def _head(board: Board, room: int, now: dt.datetime) -> Text:
    left, finish = _outlook(board, now)
    total = len(board.plan.edits)
    width = cell_len(board.job)
    cells = [
        _Cell(3, board.job, "bold", least=min(8, width)),
        _Cell(0, f"{board.ended}/{total}"),
        _Bar(2, str(board.frames * 1000 // board.plan.frames), "green", width=40, least=6),
        _Cell(5, clock_text(board.elapsed_s), "dim"),
        _Cell(1, left, "cyan"),
        _Cell(4, finish, "cyan"),
    ]
    return _line([cell for cell in cells if cell.text], room)


def _work(board: Board, row: Row, seconds: float, room: int) -> Text:
    """Draw a clip at work; widths come from the whole plan, so that columns stand still."""
    name, video = board.name_width, board.video_width
    stage = _STAGES.get(row.stage, str(row.stage)) if row.stage is not None else "starting"
    style = "dim" if row.stage in (None, Stage.WAIT) else ""
    cells = [
        _Cell(3, str(row.slot), "dim", width=min(3, len(str(len(board.plan.edits)))), is_number=True),
        _Cell(0, row.edit.name, "bold", width=name, least=min(9, name)),
        _Cell(5, row.edit.clip.video_id, width=video, least=min(8, video)),
        _Cell(1, stage, style, width=8),
        _Cell(4, str(row.method or ""), "magenta" if row.method is Method.PLACEHOLDER else "dim", width=11),
        _Cell(2, clock_text(seconds), width=5, is_number=True),
    ]
    return _line(cells, room)


def _tally(board: Board, room: int) -> Text:
    cells = [
        _Cell(rank, f"{count} {one if count == 1 else more}", style)
        for key, one, more, style, rank in _COUNTS
        if (count := board.counts[key])
    ]
    return _line(cells, room) if cells else Text()


def draw(board: Board, width: int, height: int, now: dt.datetime) -> list[Text]:
    """Draw the board in fewer than ``width`` columns and ``height`` lines, at least one of each.

    Args:
        board: What is known.
        width: The terminal's columns; the last stays free.
        height: The terminal's lines; the last stays free.
        now: The local time, for the forecast.
    """
    room = max(1, width - 1)
    head, tally, rows = _head(board, room, now), _tally(board, room), board.rows()
    place = max(0, height - 2 - bool(tally))
    shown = rows if len(rows) <= place else rows[: max(0, place - 1)]
    lines = [head, *(_work(board, row, seconds, room) for row, seconds in shown)]
    if len(shown) < len(rows) and place:
        lines.append(_line([_Cell(0, f"… and {len(rows) - len(shown)} more", "dim")], room))
    return ([*lines, tally] if tally else lines)[: max(1, height - 1)]
