"""Log lines: JSON with the right fields, short on a terminal, without secrets."""

import io
import json
import logging
import re

import pytest
from fakes import make_plan

from clipcut.errors import Reason
from clipcut.log import LogListener, make_logger, trace_id_from, wants_colours
from clipcut.plan import Method
from clipcut.redact import redact, redact_url
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
