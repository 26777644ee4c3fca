"""The live display: what it knows, what it forecasts, how it fits, and how it comes and goes on a real terminal."""

import datetime as dt
import fcntl
import io
import json
import logging
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import pytest
from fakes import make_plan
from golden import timeline
from reports import parse_report, read_report
from rich.cells import cell_len
from rich.console import Console

from clipcut.board import Board, clock_text, draw
from clipcut.errors import Reason
from clipcut.events import Retry, Stage
from clipcut.log import make_logger
from clipcut.plan import Edit, Method
from clipcut.progress import Display, make_display
from clipcut.results import Attempt, ClipResult, Outcome, Status

MEDIA = Path(__file__).parents[1] / "fixtures" / "media"
NOON = dt.datetime(2026, 1, 5, 12, 0, tzinfo=dt.UTC)
ESCAPE, SHOWN = "\x1b[", "\x1b[?25h"
SHADES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@attrs.define
class Clock:
    """Seconds that pass only when told to."""

    now: float = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """Lie."""
        return True


def make_board(clips: int = 10, job: str = "mix") -> tuple[Board, Clock, Sequence[Edit]]:
    """Make a board of one-second clips of 30 frames."""
    plan, clock = make_plan(*["video-1"] * clips), Clock()
    return Board(plan, job, clock), clock, plan.edits


def ended(edit: Edit, status: Status = Status.SUCCESS, *, slot: int | None = 0) -> ClipResult:
    """Make a clip's end."""
    attempt = Attempt(method=Method.LOCAL, outcome=Outcome.OK)
    return ClipResult(edit=edit, status=status, attempts=(attempt,), parallel_slot=slot)


def lines(board: Board, width: int = 80, height: int = 24, now: dt.datetime = NOON) -> list[str]:
    """Draw a board as plain text."""
    return [line.plain for line in draw(board, width, height, now)]


def test_a_row_follows_its_clip_from_start_to_end() -> None:
    """It opens with the slot, changes with each stage, counts the seconds, and goes."""
    board, clock, edits = make_board()
    board.clip_started(edits[3], 1)
    assert ["1", "c3", "video-1", "starting", "0:00"] == lines(board)[1].split()

    clock.now += 65
    board.clip_stage(edits[3], Method.REMOTE, Stage.COPY)
    assert ["1", "c3", "video-1", "copying", "remote", "1:05"] == lines(board)[1].split()

    board.clip_finished(ended(edits[3]))
    board.clip_stage(edits[3], Method.REMOTE, Stage.CHECK)
    assert ["1 fine"] == lines(board)[1:]


def test_rows_stand_in_the_order_of_their_slots() -> None:
    """Whatever the order in which the clips came."""
    board, _, edits = make_board()
    for index, slot in ((4, 2), (1, 0), (9, 1)):
        board.clip_started(edits[index], slot)

    assert [0, 1, 2] == [row.slot for row, _ in board.rows()]
    assert ["c1", "c9", "c4"] == [line.split()[1] for line in lines(board)[1:]]


def test_counts_are_shown_only_where_there_is_something_to_count() -> None:
    """One of a kind is singular."""
    board, _, edits = make_board()
    assert 1 == len(lines(board))

    for edit, status in zip(edits, [Status.SUCCESS, Status.SUCCESS, Status.FALLBACK_LOCAL], strict=False):
        board.clip_retry(edit, Retry(1, 0.5, Reason.TIMEOUT))
        board.clip_finished(ended(edit, status))
    board.clip_throttled(edits[0], 2, 1.5)
    board.warning("odd", "is not counted")
    assert "2 fine  1 local copy  3 retries  1 throttled" == lines(board)[-1]

    for edit, status in zip(
        edits[3:], [Status.FALLBACK_LOCAL, Status.FALLBACK_PLACEHOLDER, Status.FAILED], strict=False
    ):
        board.clip_finished(ended(edit, status))
    assert "2 fine  2 local copies  1 placeholder  1 failed  3 retries  1 throttled" == lines(board)[-1]


def test_nothing_is_forecast_before_as_many_ended_as_were_at_work() -> None:
    """The first ends of clips that began together say little."""
    board, clock, edits = make_board()
    for slot in range(3):
        board.clip_started(edits[slot], slot)
    clock.now += 10
    for edit in edits[:2]:
        board.clip_finished(ended(edit))
    assert board.left_s is None
    assert "left" not in lines(board)[0]

    board.clip_finished(ended(edits[2]))
    assert pytest.approx(10 / 3 * 7) == board.left_s


def test_the_forecast_goes_by_frames_over_time_and_counts_down_between_ends() -> None:
    """Three tenths in a minute, so seven tenths take 140 seconds."""
    board, clock, edits = make_board()
    clock.now += 1000  # before the first clip, for example while FFmpeg is looked at
    board.clip_started(edits[0], 0)
    clock.now += 60
    for edit in edits[:3]:
        board.clip_finished(ended(edit))
    assert 140 == board.left_s
    assert "2:20 left  done about 12:02" in lines(board)[0]

    clock.now += 40
    assert 100 == board.left_s

    clock.now += 200
    assert 0 == board.left_s
    assert "any moment" in lines(board)[0]
    assert "done about" not in lines(board)[0]


def test_clips_that_took_no_time_do_not_spoil_the_forecast() -> None:
    """A clip without a slot is done, and says nothing about the speed of the others."""
    board, clock, edits = make_board()
    board.clip_started(edits[0], 0)
    for edit in edits[5:]:
        board.clip_finished(ended(edit, slot=None))
    assert board.left_s is None

    clock.now += 6
    board.clip_finished(ended(edits[0]))
    assert 24 == board.left_s


def test_a_finish_on_another_day_names_the_day() -> None:
    """5 January 2026 is a Monday."""
    board, clock, edits = make_board()
    board.clip_started(edits[0], 0)
    clock.now += 7200
    board.clip_finished(ended(edits[0]))

    assert "18:00:00 left  done about Tue 06:00" in lines(board)[0]


def test_the_last_part_has_its_own_words() -> None:
    """All clips there: they are joined. One cancelled: the render stops."""
    board, _, edits = make_board(2)
    for edit in edits:
        board.clip_started(edit, 0)
        board.clip_finished(ended(edit))
    assert lines(board)[0].endswith("joining")

    board, _, edits = make_board(2)
    board.clip_started(edits[0], 0)
    board.clip_finished(ended(edits[0], Status.CANCELLED))
    assert lines(board)[0].endswith("stopping")
    assert "0/2" in lines(board)[0]


def busy_board(rows: int = 4, job: str = "mix") -> Board:
    """Make a board on which everything is to be seen."""
    board, clock, edits = make_board(300, job)
    for status in (*[Status.SUCCESS] * 290, Status.FALLBACK_LOCAL, Status.FALLBACK_PLACEHOLDER, Status.FAILED):
        edit = edits[board.ended]
        board.clip_started(edit, 0)
        clock.now += 37
        board.clip_retry(edit, Retry(1, 0.5, Reason.TIMEOUT))
        board.clip_finished(ended(edit, status))
    board.clip_throttled(edits[0], 2, 1.0)
    for slot in range(rows):
        board.clip_started(edits[slot], slot)
        board.clip_stage(edits[slot], Method.PLACEHOLDER, Stage.ENCODE)
    clock.now += 83
    return board


@pytest.mark.parametrize(
    ("width", "head", "row"),
    [
        pytest.param(
            200,
            "mix  293/300  " + "━" * 39 + "─  3:02:04  2:56 left  done about 12:02",
            "  0  c0    video-1  encoding  placeholder   1:23",
            id="200",
        ),
        pytest.param(
            80,
            "mix  293/300  " + "━" * 26 + "─  3:02:04  2:56 left  done about 12:02",
            "  0  c0    video-1  encoding  placeholder   1:23",
            id="80",
        ),
        pytest.param(
            40, "mix  293/300  " + "━" * 13 + "─  2:56 left", "  0  c0    encoding  placeholder   1:23", id="40"
        ),
        pytest.param(30, "293/300  " + "━" * 8 + "─  2:56 left", "  0  c0    encoding   1:23", id="30"),
        pytest.param(20, "293/300  2:56 left", "c0    encoding", id="20"),
    ],
)
def test_what_matters_less_gives_way_where_it_is_narrow(width: int, head: str, row: str) -> None:
    """Line by line, nothing wraps."""
    drawn = lines(busy_board(), width)

    assert (head, row) == (drawn[0], drawn[1])


@pytest.mark.parametrize("rows", [0, 3, 256])
@pytest.mark.parametrize("height", [1, 2, 3, 4, 10, 24])
@pytest.mark.parametrize("width", [1, 5, 20, 40, 80, 200])
def test_the_display_never_outgrows_the_terminal(width: int, height: int, rows: int) -> None:
    """Every line is shorter than the terminal is wide, and one line stays free."""
    drawn = lines(busy_board(rows, "日本語の歌" * 20), width, height)

    assert len(drawn) <= max(1, height - 1)
    assert max(map(cell_len, drawn)) <= max(1, width - 1)


def test_slots_that_do_not_fit_are_counted() -> None:
    """256 of them, on a terminal of ten lines."""
    drawn = lines(busy_board(256), 80, 10)

    assert 9 == len(drawn)
    assert [str(slot) for slot in range(6)] == [line.split()[0] for line in drawn[1:7]]
    assert "… and 250 more" == drawn[7]
    assert "290 fine" in drawn[8]


def test_a_long_name_is_cut_with_an_ellipsis() -> None:
    """The beginning says most."""
    plan = make_plan("v" * 64)
    edit = attrs.evolve(plan.edits[0], clip=attrs.evolve(plan.edits[0].clip, id="line-" + "x" * 59))
    board = Board(attrs.evolve(plan, edits=(edit,)), "job" * 40, Clock())
    board.clip_started(edit, 0)

    head, row = lines(board, 60)
    assert head.startswith("jobjob")
    assert "…" in head
    assert re.fullmatch(r"0  line-x+…  v+…  starting +0:00", row)


def test_control_characters_in_a_name_do_nothing() -> None:
    """A job's name comes from a file's name, which can be anything."""
    board, _, _ = make_board(job="a\x1b[2J\nb\udce9")

    assert lines(board)[0].startswith("a?[2J?b?  0/10")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.9, "0:07"), (754, "12:34"), (3599.9, "59:59"), (3723, "1:02:03")]
)
def test_time_is_written_as_a_clock_shows_it(seconds: float, text: str) -> None:
    """Whole seconds, rounded down."""
    assert text == clock_text(seconds)


@pytest.mark.parametrize(
    ("stream", "environ", "is_shown"),
    [
        pytest.param(Terminal(), {"TERM": "xterm"}, True, id="terminal"),
        pytest.param(Terminal(), {"TERM": "dumb"}, False, id="dumb"),
        pytest.param(io.StringIO(), {"TERM": "xterm", "FORCE_COLOR": "1"}, False, id="forced-colour-is-no-terminal"),
    ],
)
def test_there_is_a_display_only_on_a_terminal(stream: io.StringIO, environ: Mapping[str, str], is_shown: bool) -> None:
    """One that can move its cursor."""
    assert is_shown == (make_display(make_plan("v"), "mix", stream, environ) is not None)


def show(environ: Mapping[str, str], stream: Terminal | None = None) -> tuple[Display, Terminal]:
    """Make a display of a busy board."""
    stream = stream or Terminal()
    return Display(busy_board(), stream, environ), stream


def test_the_display_goes_without_a_trace_and_the_cursor_stays() -> None:
    """Each write ends with a cursor that is to be seen, so that even a killed render leaves one."""
    display, stream = show({"TERM": "xterm"})
    with display:
        assert "293/300" in stream.getvalue()
        assert stream.getvalue().endswith(SHOWN)

    assert stream.getvalue().endswith("\x1b[1A\x1b[2K" + SHOWN)
    assert stream.getvalue().count("\x1b[1A\x1b[2K") >= 6


def test_the_display_goes_when_the_render_breaks() -> None:
    """The exception passes through."""
    display, stream = show({"TERM": "xterm"})
    with pytest.raises(ZeroDivisionError), display:
        raise ZeroDivisionError

    assert stream.getvalue().endswith("\x1b[1A\x1b[2K" + SHOWN)


@pytest.mark.parametrize(
    ("environ", "is_coloured"),
    [
        pytest.param({"TERM": "xterm-256color"}, True, id="terminal"),
        pytest.param({"TERM": "xterm-256color", "NO_COLOR": "1"}, False, id="no-color"),
        pytest.param({"TERM": "xterm-256color", "NO_COLOR": "1", "FORCE_COLOR": "1"}, False, id="no-beats-force"),
        pytest.param({"TERM": "xterm-256color", "FORCE_COLOR": "1"}, True, id="forced"),
    ],
)
def test_colours_obey_the_environment(environ: Mapping[str, str], is_coloured: bool) -> None:
    """``NO_COLOR`` leaves bold and dim."""
    display, stream = show(environ)
    with display:
        pass

    assert is_coloured == bool(re.search(r"\x1b\[(\d+;)*3[0-9]", stream.getvalue()))


def test_log_lines_stand_above_whole_however_long() -> None:
    """They wait for the display's next turn, and are neither cut nor wrapped; before and after they go straight out."""
    display, stream = show({"TERM": "xterm"})
    logger = make_logger(display.log_stream, log_format=None, level=logging.WARNING)
    logger.warning("before")
    with display:
        before = stream.getvalue()
        logger.info("is not wanted")
        logger.warning("during", message="x" * 300)
    logger.warning("after")

    plain = SHADES.sub("", stream.getvalue())
    assert SHADES.sub("", before).count("before") == 1
    assert re.search(r"^.*during +message=x{300}\n", plain, re.MULTILINE)
    assert plain.rstrip().endswith("after")
    assert "not wanted" not in plain


def test_a_terminal_that_is_held_gets_no_frames_and_every_line() -> None:
    """Nothing piles up while it is behind; lines come at the end."""
    stream = Terminal()
    display = Display(busy_board(), stream, {"TERM": "xterm"}, lambda: True)
    logger = make_logger(display.log_stream, log_format=None, level=logging.WARNING)
    with display:
        logger.warning("during")
        display._live.refresh()
        assert "293/300" not in stream.getvalue()

    assert "during" in stream.getvalue()


def test_an_old_terminal_gets_plain_letters() -> None:
    """Where the encoding has no lines and dots, nothing is written that would need escapes."""

    class Old(Terminal):
        encoding = "latin-1"

    display, stream = show({"TERM": "xterm"}, Old())
    with display:
        pass

    assert stream.getvalue().isascii()
    assert "###" in stream.getvalue()


def test_a_terminal_that_has_gone_does_not_end_the_render() -> None:
    """Whoever closes the window gets the report all the same."""

    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise OSError(5, "gone")

    display, _ = show({"TERM": "xterm"}, Gone())
    with display:
        pass


def test_a_narrower_terminal_is_cleaned_of_the_lines_that_it_wrapped() -> None:
    """A line of 78 columns has become two on a terminal of 40, so there is one more to go up."""
    display, stream = show({"TERM": "xterm"})
    console: Console = display._live.console
    console.size = (80, 24)
    with display:
        first = [line.cell_len for line in draw(display.board, 80, 24, NOON)]
        with display._live._lock:  # between two turns of the drawing thread
            begin = len(stream.getvalue())
            console.size = (40, 24)
            display._live.refresh()
        ups = stream.getvalue()[begin:].split("mix")[0].count("\x1b[1A")

    assert sum(-(-width // 40) for width in first) - 1 == ups


# From here on with real renders.


def write_timeline(folder: Path, clips: int) -> None:
    """Write a timeline with one clip that can't be had."""
    wanted = [{"video_id": "v", "start": n % 8, "duration": 0.5} for n in range(clips)]
    wanted.append({"id": "lost", "video_id": "gone", "start": 0, "duration": 0.5})
    document = timeline(wanted, {"v": str(MEDIA / "harbor.mp4"), "gone": "gone.mp4"}, path="mix.mp4")
    (folder / "mix.json").write_text(json.dumps(document))


class Session:
    """A render on a terminal of its own, 80 by 24, with stdout elsewhere; ``COLUMNS`` tells a lie."""

    def __init__(self, folder: Path, *flags: str, term: str = "xterm-256color") -> None:
        """Start it."""
        self.primary, secondary = pty.openpty()
        fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "clipcut", "render", "mix.json", *flags],
            cwd=folder,
            env={**os.environ, "TERM": term, "COLUMNS": "500"},
            stdin=secondary,
            stdout=subprocess.PIPE,
            stderr=secondary,
        )
        os.close(secondary)
        self.text = ""

    def chunks(self) -> Iterator[str]:
        """Yield what the terminal has been sent so far, each time there is more; end with the process."""
        while select.select([self.primary], [], [], 60)[0]:
            try:
                data = os.read(self.primary, 1 << 16)
            except OSError:  # Linux's way to say that the other end is closed
                return
            self.text += data.decode()
            yield self.text

    def finish(self, until: Callable[[str], bool] = lambda _: False, number: signal.Signals | None = None) -> str:
        """Read to the end, with a signal when ``until`` is first true; return what came to stdout."""
        assert self.process.stdout is not None
        for text in self.chunks():
            if number is not None and until(text):
                self.process.send_signal(number)
                number = None
        with self.process.stdout as stdout:
            out = stdout.read().decode()
        self.process.wait()
        os.close(self.primary)
        return out


@pytest.mark.media
def test_a_render_on_a_terminal_shows_the_display_and_then_the_summary(tmp_path: Path) -> None:
    """Fallbacks stand above it, the report goes to stdout untouched, the cursor is there in the end."""
    write_timeline(tmp_path, 6)
    session = Session(tmp_path, "--report", "-")
    out = session.finish()

    plain = SHADES.sub("", session.text)
    assert 3 == session.process.returncode
    assert "degraded" == parse_report(out)["status"]
    assert ESCAPE not in out
    assert re.search(r"mix +\d/7 ", plain)
    assert max(len(line) for line in re.split(r"[\r\n]+", plain) if line.startswith("mix ")) < 80
    assert re.search(r"clip-000\d +v +(looking|copying|waiting|encoding|checking)", plain)
    assert re.search(r"\[warning *\] clip.finished +clip=lost", plain)
    assert "clip.started" not in plain
    assert "[info" not in plain
    after = session.text.rpartition(SHOWN)[2]
    assert after.startswith("degraded: ")
    assert "6 of 7 clips as asked for" in after
    assert ESCAPE not in after


@pytest.mark.media
def test_a_signal_takes_the_display_away(tmp_path: Path) -> None:
    """The summary is last, on clean lines."""
    write_timeline(tmp_path, 200)
    session = Session(tmp_path)
    session.finish(lambda text: "encoding" in text, signal.SIGINT)

    after = session.text.rpartition(SHOWN)[2]
    assert 130 == session.process.returncode
    assert "Traceback" not in session.text
    assert "interrupted: Ended by SIGINT" in after
    assert ESCAPE not in SHADES.sub("", after)
    assert {"mix.json", "mix.report.json"} == {path.name for path in tmp_path.iterdir()}
    assert "interrupted" == read_report(tmp_path / "mix.report.json")["status"]


@pytest.mark.media
@pytest.mark.parametrize(
    ("flags", "term"),
    [
        pytest.param(["-q"], "xterm", id="quiet"),
        pytest.param(["--log-format", "json"], "xterm", id="json"),
        pytest.param([], "dumb", id="dumb"),
    ],
)
def test_a_terminal_without_a_display_gets_no_cursor_movement(tmp_path: Path, flags: list[str], term: str) -> None:
    """Where it isn't wanted, nothing of it is written."""
    write_timeline(tmp_path, 1)
    session = Session(tmp_path, *flags, term=term)
    session.finish()

    assert 3 == session.process.returncode
    assert ESCAPE not in session.text


@pytest.mark.media
def test_verbose_keeps_every_line_above_the_display(tmp_path: Path) -> None:
    """``-v`` is asked for, so it floods; a log file gets them instead of the terminal."""
    write_timeline(tmp_path, 3)
    session = Session(tmp_path, "-v")
    session.finish()
    assert 4 == SHADES.sub("", session.text).count("clip.started")

    session = Session(tmp_path, "--log-file", "log.txt", "--log-format", "json", "--no-cache")
    session.finish()
    assert 4 == (tmp_path / "log.txt").read_text().count("clip.started")
    assert ESCAPE not in (tmp_path / "log.txt").read_text()
    assert "clip." not in session.text.rpartition(SHOWN)[0]
    assert re.search(r"mix +\d/4 ", SHADES.sub("", session.text))


@pytest.mark.media
def test_without_a_terminal_not_a_single_escape_is_written(tmp_path: Path) -> None:
    """Not even where colours are asked for: lines for machines have none."""
    write_timeline(tmp_path, 1)
    command = [sys.executable, "-m", "clipcut", "render", "mix.json"]
    environ = {**os.environ, "TERM": "xterm", "FORCE_COLOR": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)

    assert 3 == done.returncode
    assert "clip.finished" in done.stderr
    assert ESCAPE not in done.stdout + done.stderr
