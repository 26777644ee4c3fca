"""Log lines: JSON with the right fields, short on a terminal, without secrets."""

import fcntl
import io
import json
import logging
import os
import re
from typing import TextIO

import pytest
from fakes import make_plan

from clipcut.errors import Reason
from clipcut.lines import Lines
from clipcut.log import LogListener, make_logger, trace_id_from, wants_colours
from clipcut.plan import Method
from clipcut.redact import redact, redact_url
from clipcut.report import telling_attempt
from clipcut.results import Attempt, ClipResult, Outcome, Status

EDIT = make_plan("v1").edits[0]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Lie."""
        return True


def finished(message: str | None = None) -> ClipResult:
    """Make a clip that fell back."""
    failed = Attempt(method=Method.LOCAL, outcome=Outcome.FAILED, reason=Reason.MISSING_FILE, message=message)
    return ClipResult(
        edit=EDIT, status=Status.FALLBACK_PLACEHOLDER, attempts=(failed,), parallel_slot=2, duration_ms=1200
    )


def test_away_from_a_terminal_each_line_is_json_with_its_fields() -> None:
    """UTC, level, event, trace and job in each; the clip's facts in lines about one."""
    stream = io.StringIO()
    listener = LogListener(make_logger(stream, log_format=None, trace_id=TRACE, job="mix"), TRACE)

    listener.clip_started(EDIT, 2)
    listener.clip_finished(finished())

    started, ended = (json.loads(line) for line in stream.getvalue().splitlines())
    assert ("clip.started", "info", TRACE, "mix") == tuple(
        started[key] for key in ("event", "level", "trace_id", "job")
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", started["timestamp"])
    assert ("v1", 2, f"{TRACE[:16]}-0001") == tuple(
        started[key] for key in ("video_id", "parallel_slot", "clip_task_id")
    )
    assert ("clip.finished", "warning", "fallback-placeholder", 1200, "missing_file") == tuple(
        ended[key] for key in ("event", "level", "clip_status", "duration_ms", "fallback_reason")
    )


def test_on_a_terminal_lines_are_short_unless_verbose() -> None:
    """People see what ended, without the trace; ``-v`` shows the rest."""
    short, long = Terminal(), Terminal()
    for stream, level in ((short, logging.INFO), (long, logging.DEBUG)):
        listener = LogListener(make_logger(stream, log_format=None, level=level, trace_id=TRACE, job="mix"), TRACE)
        listener.clip_started(EDIT, 0)
        listener.clip_finished(finished())

    assert ["clip.finished"] == re.findall(r"clip\.\w+", short.getvalue())
    assert TRACE not in short.getvalue()
    assert TRACE in long.getvalue()
    assert "clip.started" in long.getvalue()


def test_no_query_and_no_user_reaches_a_line() -> None:
    """Addresses lose what may be secret, wherever they stand."""
    stream = io.StringIO()
    listener = LogListener(make_logger(stream, log_format="json"), TRACE)

    listener.clip_finished(finished("https://me:geheim@cdn.example/v.m3u8?token=geheim#x gave nothing"))

    assert "https://cdn.example/v.m3u8 gave nothing" in stream.getvalue()
    assert "geheim" not in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_an_exception_is_shown_without_local_variables(log_format: str) -> None:
    """A secret may be in one."""
    stream = io.StringIO()

    def fail() -> None:
        token = "geheim"  # noqa: S105
        raise ValueError(len(token))

    try:
        fail()
    except ValueError:
        make_logger(stream, log_format=log_format).exception("bug")

    assert "ValueError" in stream.getvalue()
    assert "fail" in stream.getvalue()
    assert [] == [
        line for line in stream.getvalue().splitlines() if "geheim" in line and 'token = "geheim"' not in line
    ]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param("https://a.example/v?x=1", "https://a.example/v", id="query"),
        pytest.param("https://u:p@a.example:8443/v", "https://a.example:8443/v", id="user"),
        pytest.param("http://[::1", "…", id="broken"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    """Scheme, host and path stay."""
    assert shown == redact_url(url)
    assert f"see {shown}" == redact(f"see {url}")


@pytest.mark.parametrize(
    ("value", "is_taken"),
    [
        pytest.param(f"00-{TRACE}-00f067aa0ba902b7-01", True, id="valid"),
        pytest.param(f"cc-{TRACE}-00f067aa0ba902b7-01-more", True, id="later-version"),
        pytest.param(f"ff-{TRACE}-00f067aa0ba902b7-01", False, id="forbidden-version"),
        pytest.param(f"00-{'0' * 32}-00f067aa0ba902b7-01", False, id="zero-trace"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", False, id="zero-span"),
        pytest.param("nonsense", False, id="nonsense"),
        pytest.param("", False, id="empty"),
    ],
)
def test_the_trace_is_the_callers_where_it_is_valid(value: str, is_taken: bool) -> None:
    """Otherwise a new one is made."""
    trace = trace_id_from({"TRACEPARENT": value})

    assert is_taken == (trace == TRACE)
    assert re.fullmatch(r"[0-9a-f]{32}", trace)


@pytest.mark.parametrize(
    ("environ", "is_coloured"),
    [
        pytest.param({}, True, id="terminal"),
        pytest.param({"NO_COLOR": "1"}, False, id="no-color"),
        pytest.param({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, id="no-beats-force"),
        pytest.param({"TERM": "dumb"}, False, id="dumb"),
    ],
)
def test_colours_obey_the_environment(environ: dict[str, str], is_coloured: bool) -> None:
    """``NO_COLOR`` and ``FORCE_COLOR`` are obeyed."""
    assert is_coloured == wants_colours(Terminal(), environ)
    assert wants_colours(io.StringIO(), {"FORCE_COLOR": "1"})
    assert not wants_colours(io.StringIO(), {})


def slow_pipe() -> tuple[int, TextIO]:
    """Return a pipe that holds 4096 bytes: the number to read from, the stream to write to."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    return reader, os.fdopen(writer, "w", encoding="utf-8")


def test_lines_come_through_whole_and_in_order() -> None:
    """All that was written before the end."""
    stream = io.StringIO()
    lines = Lines(stream)
    for number in range(1000):
        lines.write(f"{number}\n")
    lines.close(60)

    assert [str(number) for number in range(1000)] == stream.getvalue().split()
    assert 0 == lines.dropped


def test_lines_that_nobody_reads_are_dropped_and_counted() -> None:
    """Neither a write nor the end waits for long; what found room still comes."""
    reader, stream = slow_pipe()
    lines = Lines(stream, room=100)
    for _ in range(1000):
        lines.write("x" * 99 + "\n")
    lines.close(0.01)

    assert lines.is_behind()
    assert lines.dropped >= 700
    assert b"x" * 99 + b"\n" == os.read(reader, 100)
    os.close(reader)  # so that the thread ends
    lines.close(60)
    stream.close()
    assert not lines.is_behind()


def test_lines_to_a_reader_that_has_gone_are_no_error() -> None:
    """The rest is thrown away."""
    reader, stream = slow_pipe()
    os.close(reader)
    lines = Lines(stream)
    lines.write("gone\n")
    lines.write("gone\n")
    lines.close(60)
    stream.close()

    assert not lines.is_behind()


def test_a_failed_clips_line_tells_the_last_attempt() -> None:
    """What ended it says more than what came first; a clip that fell back tells what it fell back from."""
    attempts = tuple(
        Attempt(method=Method.LOCAL, outcome=Outcome.FAILED, reason=reason, message=reason)
        for reason in (Reason.MISSING_FILE, Reason.DISK)
    )
    clips = [ClipResult(edit=EDIT, status=status, attempts=attempts) for status in Status]
    told = {clip.status: attempt.reason for clip in clips if (attempt := telling_attempt(clip))}

    assert (Reason.DISK, Reason.MISSING_FILE) == (told[Status.FAILED], told[Status.FALLBACK_PLACEHOLDER])
