"""The log of a whole render: from it alone follow the peak, each clip's end and the retries, as the report has them."""

import json
from pathlib import Path

import pytest
from golden import render, timeline
from media import make_source
from origin import Reply
from packaged import package, read_segments, serving

pytestmark = pytest.mark.media

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
FIELDS = {"timestamp", "level", "event", "trace_id", "job"}
OF_CLIPS = {"clip_task_id", "video_id", "parallel_slot"}


@pytest.mark.parametrize("retries", ["0", "3"])
def test_the_log_of_sixty_clips_with_faults_says_all_that_the_report_says(
    tmp_path: Path, packaged: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], retries: str
) -> None:
    """Servers that fail in passing, break off, are gone, a segment that is damaged, a local copy, a missing file."""
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-00f067aa0ba902b7-01")
    source = make_source(tmp_path / "source.mp4", ffmpeg=packaged, source_id=1, seconds=12, pattern=False)
    segments = read_segments(package(source, tmp_path / "www", ffmpeg=packaged, seconds=1))
    videos = ["ok", "flaky", "gone", "copied", "lost", "ok"]
    clips = [{"video_id": videos[n % 6], "start": n // 6 + 0.2, "duration": 0.4} for n in range(60)]
    with serving(tmp_path / "www") as origin, serving(tmp_path / "www") as flaky:
        for n, (_, name) in enumerate(segments):
            fault = [Reply(status=503), Reply(cut_at=500), Reply(reset=True), Reply(body=b"\0" * 9000)][n % 4]
            flaky.script(f"/{name}", fault, Reply())
        origin.script("/gone.m3u8", Reply(status=404))
        sources = {
            "ok": f"{origin.url}/index.m3u8",
            "flaky": {"url": f"{flaky.url}/index.m3u8", "local": str(source)},
            "gone": f"{origin.url}/gone.m3u8",
            "copied": {"url": f"{origin.url}/gone.m3u8", "local": ["missing.mp4", str(source)]},
            "lost": "lost.mp4",
        }
        rendered = render(
            tmp_path, timeline(clips, sources), "--concurrency", "6", "--max-retry", retries, "-v", ffmpeg=packaged
        )

    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    report = rendered.report
    assert 3 == rendered.exit_code
    assert [] == [line for line in lines if not line.keys() >= FIELDS or line["trace_id"] != TRACE]
    assert [] == [line for line in lines if line["event"].startswith("clip.") and not line.keys() >= OF_CLIPS]
    assert TRACE == report["trace_id"]

    now, peak = 0, 0
    for line in lines:
        if line.get("parallel_slot") is not None:  # one that is known to be finished before doesn't come to work
            now += {"clip.started": 1, "clip.finished": -1}.get(line["event"], 0)
        peak = max(peak, now)
    assert (0, report["clip_stats"]["peak_parallelism"]) == (now, peak)
    assert sorted(
        (clip["clip_task_id"], clip["status"], clip["fallback_reason"], clip["duration_ms"], clip["parallel_slot"])
        for clip in report["clips"]
    ) == sorted(
        (
            *(line[key] for key in ("clip_task_id", "clip_status", "fallback_reason", "duration_ms")),
            None if line["cached"] else line["parallel_slot"],
        )
        for line in lines
        if line["event"] == "clip.finished"
    )
    assert report["clip_stats"]["retries"] == sum(line["event"] == "clip.retry" for line in lines)
    assert (report["clip_stats"]["retries"] > 0) == (retries != "0")
    assert {"success", "fallback-local", "fallback-placeholder"} == {clip["status"] for clip in report["clips"]}
    assert report["clip_stats"] == next(line for line in lines if line["event"] == "render.completed")["clip_stats"]
    assert "Traceback" not in "".join(capfd.readouterr())
