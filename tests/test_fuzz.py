"""What comes from outside, made up: ids, paths, headers, settings files, textfiles; a refusal at worst, never a crash.

Playlists, timelines and files have such tests beside their others: ``pytest -m fuzz`` finds all of them.
"""

import contextlib
import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import tomlkit
import trio
from answers import DATA, LARGE, OUTSIDE, make_ask, make_fetcher, untold
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import json_values
from trio.testing import MockClock

from clipcut.cache.identity import local_identity
from clipcut.errors import SettingsError, SourceError, TimelineError
from clipcut.ffmpeg.probe import probe
from clipcut.inputs import output_path
from clipcut.jsonio import load_timeline
from clipcut.metrics import added, counts_of, metrics_text, read_metrics
from clipcut.options import OPTIONS
from clipcut.pipeline import _rate
from clipcut.plan import Method, build_plan
from clipcut.preflight import prepare
from clipcut.reload import message_change
from clipcut.results import Fetched
from clipcut.settings import read_config, resolve_settings
from clipcut.textfile import open_textfile

ODD_TEXTS = st.text(st.characters(exclude_categories=()), max_size=12)
"""Also with halves of characters, which JSON can hold and a path can't."""
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,64}[\nß²]?") | ODD_TEXTS

PIECES = st.sampled_from(["/", "//", "..", ".", "~", "file:", "file:///", "%2f", "%00", "\0", "a", "v.mp4", "x" * 300])
PATHS = st.lists(PIECES | ODD_TEXTS, min_size=1, max_size=6).map("".join)


def document(**changes: Any) -> dict[str, Any]:
    """Make a good timeline of one clip, but for what is given."""
    clips = [{"video_id": "v", "start": 0, "end": 1}]
    return {"version": 1, "output": {"path": "mix.mp4"}, "sources": {"v": {"url": "v.mp4"}}, "clips": clips} | changes


@given(IDS, IDS)
def test_no_id_is_too_odd(name: str, video_id: str) -> None:
    """It is taken if, and only if, it has the form that is promised."""
    clips = [{"id": name, "video_id": video_id, "start": 0, "end": 1}]
    data = json.dumps(document(sources={video_id: {"url": "v.mp4"}}, clips=clips)).encode()
    is_good = ID.fullmatch(name) is not None and ID.fullmatch(video_id) is not None
    if is_good:
        assert name == load_timeline(data).clips[0].id
    else:
        with pytest.raises(TimelineError):
            load_timeline(data)


@given(output=PATHS, local=PATHS, report=PATHS, work_dir=PATHS, soundtrack=st.none() | PATHS)
@example(output="\ud800.mp4", local="\ud800", report="\ud800", work_dir="\ud800", soundtrack="\ud800")
@example(output="\0.mp4", local="\0", report="\0", work_dir="\0", soundtrack="\0")
def test_no_path_is_too_odd(
    tmp_path_factory: pytest.TempPathFactory,
    output: str,
    local: str,
    report: str,
    work_dir: str,
    soundtrack: str | None,
) -> None:
    """It can be used, or is a mistake, or leads to a source that isn't there."""
    cwd = tmp_path_factory.getbasetemp()
    more = {} if soundtrack is None else {"soundtrack": {"path": soundtrack}}
    with contextlib.suppress(TimelineError, SettingsError):
        timeline = load_timeline(
            json.dumps(document(output={"path": output}, sources={"v": {"local": [local, "v.mp4"]}}, **more)).encode()
        )
        plan = build_plan(timeline, cwd)
        for rung in plan.edits[0].ladder:
            if rung.method is Method.LOCAL:
                for look in (probe, local_identity):
                    with contextlib.suppress(SourceError):
                        look(Path(rung.location))
        settings = resolve_settings({"report": report, "work_dir": work_dir}, {}, None, cwd)
        prepare(timeline, plan, settings, output=output_path(None, timeline, cwd), name="mix.json", path=None)


HEADERS: dict[str, list[str]] = {
    "location": ["/b", "//inner.test/", "http://[", "http://a.test:99999/", "ftp://x/", "", "http://\x80/"],
    "retry-after": ["0", "1", "9" * 40, "-1", "Fri, 02 Jan 2026 03:05:05 GMT", "soon"],
    "content-range": ["bytes 2-5/9", "bytes 2-5/*", "bytes 5-2/9", "bytes 2-5", "bytes ²-5/9", f"bytes 2-{'9' * 30}/*"],
    "content-length": ["4", "0", "-4", "4, 4", "²", "9" * 5000, "1e3"],
    "content-encoding": ["gzip", "identity", "br", "gzip, gzip", " "],
    "etag": ['"a"', "W/", "a\x80"],
    "last-modified": ["Fri, 02 Jan 2026 03:05:05 GMT", "never"],
}
VALUES = st.binary(max_size=20) | st.text(max_size=10).map(lambda text: text.encode("utf-8", "replace"))


@st.composite
def answers(draw: st.DrawFn) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """A status, headers, and a body."""
    status = draw(st.sampled_from([200, 206, 206, 301, 302, 307, 304, 204, 404, 416, 429, 503, 299, 599]))
    headers = []
    for name in draw(st.lists(st.sampled_from(sorted(HEADERS)), max_size=4)):
        value = draw(st.sampled_from([text.encode("utf-8") for text in HEADERS[name]]) | VALUES)
        headers.append((name.encode(), value))
    return status, headers, draw(st.sampled_from([b"", b"fine", DATA]) | st.binary(max_size=20))


class Unread(httpx.AsyncByteStream):
    """A body as it comes from a connection."""

    def __init__(self, data: bytes) -> None:
        """Keep it."""
        self._data = data

    async def __aiter__(self) -> Any:
        """Give it in two pieces."""
        yield self._data[:3]
        yield self._data[3:]


@given(
    st.lists(answers(), min_size=1, max_size=4),
    st.sampled_from([None, (2, 6), (0, 1)]),
    st.booleans(),
    st.sampled_from([None, '"a"', "never"]),
    st.sampled_from([None, 9]),
)
def test_no_answer_is_too_odd(
    given_answers: list[tuple[int, list[tuple[bytes, bytes]], bytes]],
    byte_range: tuple[int, int] | None,
    may_be_shorter: bool,
    if_range: str | None,
    of_size: int | None,
) -> None:
    """Bytes come, no more than were asked for, or a reason, in bounded time."""
    replies = itertools.cycle(given_answers)

    def site(_: httpx.Request) -> httpx.Response:
        status, headers, body = next(replies)
        return httpx.Response(status, headers=headers, stream=Unread(body))

    async def main() -> None:
        ask = make_ask(
            f"http://{OUTSIDE}/a",
            byte_range=byte_range,
            may_be_shorter=may_be_shorter,
            if_range=if_range,
            of_size=of_size,
            gzip=True,
            max_bytes=1000,
        )
        with trio.fail_after(4000), contextlib.suppress(SourceError):
            data, answer = await make_fetcher(site=site).fetch_bytes(ask, untold)
            assert len(data) <= (byte_range[1] - byte_range[0] if byte_range is not None else min(1000, LARGE))
            assert answer.url.startswith("http")

    trio.run(main, clock=MockClock(autojump_threshold=0))


TOML_VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.datetimes()
    | st.sampled_from(["6", "50%", "placeholder", "json", "2.5", "1GB", "-", "x.prom", "a/b", "\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
KEYS = st.sampled_from([option.name for option in OPTIONS]) | st.text(max_size=6)
GOOD_FILE = b'max_parallelism = 6\nrate_limit = 2.5\nmax_placeholders = "50%"\njob = "a"\n'


@st.composite
def settings_files(draw: st.DrawFn) -> bytes:
    """A settings file: anything, keys with any values, or a good one of which some bytes were replaced."""
    keys = draw(st.none() | st.dictionaries(KEYS, TOML_VALUES, max_size=4))
    if keys is not None:
        return tomlkit.dumps(keys).encode("utf-8", "surrogatepass")
    start, count = draw(st.integers(0, len(GOOD_FILE))), draw(st.integers(0, 8))
    return GOOD_FILE[:start] + draw(st.binary(max_size=8)) + GOOD_FILE[start + count :]


@given(settings_files() | st.binary(max_size=100))
def test_no_settings_file_is_too_odd(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """It has settings that are in their bounds, or mistakes."""
    path = tmp_path_factory.getbasetemp() / "odd.toml"
    path.write_bytes(data)
    try:
        settings = resolve_settings({}, {}, path, path.parent)
    except SettingsError:
        return
    assert set(settings.in_file) == set(read_config(path))
    assert 1 <= settings.max_parallelism <= 256
    assert 1 <= settings.per_video_limit <= 256
    assert 0 <= settings.max_retry <= 100
    assert (_rate(settings) or 1) > 0
    assert json.dumps(settings.described())


@given(st.dictionaries(KEYS, json_values(), max_size=3).map(lambda keys: json.dumps(keys).encode()) | st.binary())
def test_no_message_is_too_odd(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """It changes settings, or is refused."""
    start = resolve_settings({}, {}, None, Path("/"))
    with contextlib.suppress(SettingsError):
        change = message_change(data, start, tmp_path_factory.getbasetemp())
        assert set(change.values) <= {option.name for option in OPTIONS if option.is_hot}


GOOD_METRICS = metrics_text(added({}, counts_of([], Fetched(3, 2, 1)), {"render_last_exit_code": 3}), "mix")
LINES = st.sampled_from(
    [
        'render_clip_total{status="success",timeline="mix"} 1e308\n',
        'render_clip_total{timeline="mix"} 4\n',
        'render_runs_total{status="complete",timeline="mix"} 2 1700000000\n',
        'render_clip_retries_total{timeline="mix"} -0.0\n',
        "# TYPE render_clip_total gauge\n",
        "# HELP render_clip_total \\\n",
        'render_last_success_timestamp_seconds{timeline="mix"} 1e400\n',
        'render_clip_total{status="success",timeline="mix",more="x"} 5\n',
        'render_clip_total{status="success",timeline="ot\\"h\\ner"} 5 # {} 1\n',
    ]
)


@st.composite
def textfiles(draw: st.DrawFn) -> bytes:
    """A textfile: lines that might be ours, or a good one of which some bytes were replaced."""
    start, count = draw(st.integers(0, len(GOOD_METRICS))), draw(st.sampled_from([0, 1, 8, 100, 10_000]))
    piece = draw(st.lists(LINES, max_size=4).map(lambda lines: "".join(lines).encode()) | st.binary(max_size=8))
    return GOOD_METRICS[:start] + piece + GOOD_METRICS[start + count :]


@given(textfiles() | st.binary(max_size=60) | st.lists(LINES).map(lambda lines: "".join(lines).encode()))
def test_no_textfile_is_too_odd(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """It is gone on from, or left with a warning; either way the next one is whole, and no counter falls."""
    path = tmp_path_factory.getbasetemp() / "odd.prom"
    path.write_bytes(data)
    warnings: list[str] = []

    textfile = open_textfile(path, "mix", lambda event, _: warnings.append(event))
    counts: Mapping[tuple[str, str], float] = counts_of([], Fetched(1, 1, 1))
    values = added(textfile.base, counts, textfile.gauges)
    again = read_metrics(metrics_text(values, "mix").decode(), "mix")

    assert len(warnings) == len(set(warnings)) <= 2
    assert textfile.base or warnings or not data.strip() or b'timeline="mix"' not in data or values
    assert {key: value for key, value in values.items() if value >= 0} == again.values
