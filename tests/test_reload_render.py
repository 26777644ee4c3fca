"""A render whose limits change while it is at work, by file, by SIGHUP and by a real Redis; read from its log."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from golden import timeline
from media import make_source, read_frames
from origin import Reply
from packaged import package, read_segments, serving
from real import REDIS, free_port, needs, poll, redis_server
from reports import read_report
from test_cli import CLIPS, write_timeline

pytestmark = pytest.mark.media

DELAY_S = 0.7


def start(folder: Path, *flags: str, **environ: str) -> subprocess.Popen[bytes]:
    """Start a render of ``mix.json`` in a folder, with its log in ``log``."""
    argv = [
        sys.executable,
        "-m",
        "clipcut",
        "render",
        "mix.json",
        "--log-file",
        "log",
        "--log-format",
        "json",
        "--no-cache",
    ]
    argv += flags
    return subprocess.Popen(argv, cwd=folder, env={**os.environ, **environ}, stderr=subprocess.DEVNULL)


def log(folder: Path) -> list[dict[str, Any]]:
    """Return the whole lines that were logged by now."""
    path = folder / "log"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def at_work(lines: list[dict[str, Any]]) -> list[int]:
    """Return how many clips were at work after each line."""
    counts, now = [], 0
    for line in lines:
        now += {"clip.started": 1, "clip.finished": -1}.get(line["event"], 0)
        counts.append(now)
    return counts


def phases(lines: list[dict[str, Any]]) -> list[int]:
    """Return the most that were at work before, between and after the changes of the limit."""
    edges = [n for n, line in enumerate(lines) if line["event"] == "render.config_hot_reload"]
    counts = at_work(lines)
    return [max(counts[a:b], default=0) for a, b in zip([0, *edges], [*edges, len(lines)], strict=True)]


@needs(REDIS)
def test_limits_of_a_render_at_work_follow_the_file_and_a_real_redis(tmp_path: Path, packaged: str) -> None:
    """With 700 ms a request: 1 place, then 3 by the file, then 6 by Redis, never more; ``"lots"`` is a warning."""
    redis = pytest.importorskip("redis")
    source = make_source(tmp_path / "source.mp4", ffmpeg=packaged, source_id=1, seconds=12, pattern=False)
    segments = read_segments(package(source, tmp_path / "www", ffmpeg=packaged, seconds=1))
    clips = [{"video_id": f"v{n % 6}", "start": n // 6 * 3 + 0.2, "duration": 0.5} for n in range(24)]
    port, changes = free_port(), tmp_path / "clipcut.toml"
    with serving(tmp_path / "www") as origin, redis_server(tmp_path, port):
        origin.script("/index.m3u8", *[Reply(delay=DELAY_S)] * 6)
        for _, name in segments:
            origin.script(f"/{name}", *[Reply(delay=DELAY_S)] * 24)
        sources = {f"v{n}": f"{origin.url}/index.m3u8" for n in range(6)}
        (tmp_path / "mix.json").write_text(json.dumps(timeline(clips, sources, path="mix.mp4")))
        with start(tmp_path, "--concurrency", "1", RENDER_REDIS_URL=f"redis://127.0.0.1:{port}") as process:
            poll(lambda: "clip.finished" in [line["event"] for line in log(tmp_path)])
            changes.write_text("max_parallelism = 3\n")
            poll(lambda: at_work(log(tmp_path))[-1] == 3)
            changes.write_text('max_parallelism = "lots"\n')
            poll(lambda: "render.config_hot_reload_refused" in [line["event"] for line in log(tmp_path)])
            with redis.Redis(port=port) as client:
                assert 1 == client.publish("render:config", '{"max_parallelism": 6}')
            assert 0 == process.wait(120)

    lines, report = log(tmp_path), read_report(tmp_path / "mix.report.json")
    assert [1, 3, 6] == phases(lines)
    assert [(1, 3), (3, 6)] == [
        (line["old"]["max_parallelism"], line["new"]["max_parallelism"])
        for line in lines
        if line["event"] == "render.config_hot_reload"
    ]
    assert ["render.config_hot_reload_refused"] == [line["event"] for line in lines if line["level"] == "warning"]
    assert {"value": 6, "origin": "reload:redis"} == report["config"]["max_parallelism"]
    assert (6, 6, 24) == tuple(
        report["clip_stats"][key] for key in ("max_parallelism", "peak_parallelism", "success_tasks")
    )


def test_a_hangup_reloads_where_there_is_a_settings_file(tmp_path: Path) -> None:
    """The render goes on, also when it comes again and again."""
    write_timeline(tmp_path, CLIPS * 20)
    (tmp_path / "clipcut.toml").write_text("max_parallelism = 1\n")
    with start(tmp_path) as process:
        poll(lambda: "clip.finished" in [line["event"] for line in log(tmp_path)])
        (tmp_path / "clipcut.toml").write_text("max_parallelism = 2\n")
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
        assert 0 == process.wait(120)

    assert [1, 2] == phases(log(tmp_path))


def test_a_hangup_without_a_settings_file_ends_the_render(tmp_path: Path) -> None:
    """As it ends other programs."""
    write_timeline(tmp_path, CLIPS * 20)
    with start(tmp_path) as process:
        poll(lambda: "clip.started" in [line["event"] for line in log(tmp_path)])
        process.send_signal(signal.SIGHUP)
        assert 129 == process.wait(60)

    assert "interrupted" == read_report(tmp_path / "mix.report.json")["status"]


def test_another_placeholder_fills_the_clips_that_come_after(tmp_path: Path, packaged: str) -> None:
    """Known by its picture: the first clip has the packaged one, the last the new one."""
    make_source(tmp_path / "mine.mp4", ffmpeg=packaged, source_id=7, seconds=2, width=320, height=180)
    lost = {"video_id": "gone", "start": 0, "duration": 0.4}
    write_timeline(tmp_path, [lost, *CLIPS * 20, lost])
    with start(tmp_path, "--concurrency", "1", "--per-video", "64") as process:
        poll(lambda: "clip.finished" in [line["event"] for line in log(tmp_path)])
        (tmp_path / "clipcut.toml").write_text('placeholder_asset_path = "mine.mp4"\n')
        assert 3 == process.wait(120)

    codes = [
        code.source_id if code is not None else None for code in read_frames(tmp_path / "mix.mp4", ffmpeg=packaged)
    ]
    report = read_report(tmp_path / "mix.report.json")
    assert ([None] * 12, [7] * 12) == (codes[:12], codes[-12:])
    assert {"value": str(tmp_path / "mine.mp4"), "origin": "reload:file"} == report["config"]["placeholder_asset_path"]
