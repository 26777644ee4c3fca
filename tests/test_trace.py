"""One trace id through log, report and the requests to the timeline's own origins; nobody else is told."""

import json
import re
from pathlib import Path

import pytest
from fakes import make_plan
from golden import render, timeline
from media import make_source
from origin import Reply, redirect
from packaged import package, read_segments, serving, write_playlist

from clipcut.network.ask import Trace
from clipcut.plan import Method, Rung
from clipcut.sources.remote import trace_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADER = re.compile(rf"00-{TRACE}-([0-9a-f]{{16}})-01")


@pytest.mark.media
@pytest.mark.parametrize("has_own", [False, True], ids=["ours", "the-sources-own"])
def test_the_trace_goes_to_the_timelines_origins_and_to_no_other(
    tmp_path: Path, packaged: str, monkeypatch: pytest.MonkeyPatch, has_own: bool
) -> None:
    """Each request has a span of its own; a segment elsewhere and a redirect away carry none."""
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-00f067aa0ba902b7-00")
    source = make_source(tmp_path / "source.mp4", ffmpeg=packaged, source_id=1, seconds=8, pattern=False)
    segments = read_segments(package(source, tmp_path / "www", ffmpeg=packaged, seconds=2))
    with serving(tmp_path / "www") as own, serving(tmp_path / "www", host="localhost") as other:
        addresses = [f"{other.url if n == 1 else own.url}/{name}" for n, (_, name) in enumerate(segments)]
        lines = [f"#EXTINF:{segments[n][0]},\n{address}" for n, address in enumerate(addresses)]
        own.script("/index.m3u8", Reply(body=write_playlist(tmp_path / "list", lines).read_bytes()))
        own.script("/s002.ts", redirect(f"{other.url}/s002.ts"))
        headers = {"headers": {"Traceparent": "mine"}} if has_own else {}
        clips = [{"video_id": "v", "start": start, "duration": 1} for start in (0, 2.5, 4.5)]
        document = timeline(clips, {"v": {"url": f"{own.url}/index.m3u8", **headers}})
        rendered = render(tmp_path, document, "--log-format", "json", ffmpeg=packaged)

    log = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert (0, {TRACE}, TRACE) == (rendered.exit_code, {line["trace_id"] for line in log}, rendered.report["trace_id"])
    found = [seen.headers.get("traceparent", "") for seen in own.requests]
    if has_own:
        assert ["mine"] * len(own.requests) == found
    else:
        spans = [match[1] for match in map(HEADER.fullmatch, found) if match is not None]
        assert len(own.requests) == len(spans) == len(set(spans))
    assert {"/s001.ts", "/s002.ts"} == {seen.path for seen in other.requests}
    assert [] == [seen.path for seen in other.requests if "traceparent" in seen.headers]


def test_only_addresses_of_the_timeline_are_its_origins() -> None:
    """Scheme, host and port count; what TwelveLabs names is not the timeline's."""
    ladder = (
        Rung(Method.REMOTE, "https://a.example/v.m3u8"),
        Rung(Method.REMOTE, "twelvelabs:index/video"),
        Rung(Method.LOCAL, "v.mp4"),
    )
    trace = trace_of(make_plan("v", ladder=ladder), TRACE)

    assert trace.headers_for("https://A.example:443/other?x=1").keys() == {"traceparent"}
    for url in (
        "http://a.example/v",
        "https://b.example/v",
        "https://a.example:8443/v",
        "https://api.twelvelabs.io/v1.3",
    ):
        assert {} == trace.headers_for(url)
    assert {} == Trace().headers_for("https://a.example/")
