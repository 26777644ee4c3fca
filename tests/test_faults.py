"""What a system does to a render, where no other file of tests has it; ``docs/security.md`` has the table."""

import contextlib
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio
from golden import render, timeline
from origin import Reply
from packaged import serving
from reports import read_report
from test_process import python

from clipcut.ffmpeg.process import run

MEDIA = Path(__file__).parents[1] / "fixtures" / "media"
MEMORY = Path("/dev/shm")  # noqa: S108  on another file system than the tests' folder


def demo(**output: str) -> dict[str, object]:
    """Return a timeline of two short clips of a packaged video."""
    clips = [{"video_id": "v", "start": start, "duration": 0.1} for start in (1, 2)]
    return timeline(clips, {"v": str(MEDIA / "harbor.mp4")}, **output)


@pytest.mark.media
def test_a_signal_ends_the_wait_for_a_dripping_server(tmp_path: Path) -> None:
    """FFmpeg would go on for many seconds; here nobody waits for the server."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "v.mp4").write_bytes((MEDIA / "harbor.mp4").read_bytes())
    with serving(tmp_path / "www") as origin:
        origin.script("/v.mp4", Reply(drip=(1, 0.1)))
        clips = [{"video_id": "v", "start": 1, "duration": 0.1}]
        (tmp_path / "mix.json").write_text(json.dumps(timeline(clips, {"v": f"{origin.url}/v.mp4"}, path="mix.mp4")))
        command = [sys.executable, "-m", "clipcut", "render", "mix.json", "--log-format", "json"]
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            while b"clip.started" not in process.stderr.readline():
                pass
            while not origin.requests:
                time.sleep(0.01)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.stderr.read()
            process.wait()

    assert (143, "interrupted") == (process.returncode, read_report(tmp_path / "mix.report.json")["status"])
    assert time.monotonic() - began < 10


def states_and_parents() -> list[list[str]]:
    """Return the state and the parent of every process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found.append(path.read_text().rpartition(")")[2].split()[:2])
    return found


async def test_no_child_is_left_as_a_zombie() -> None:
    """Each is waited for: one that ends, one that dies, one that is cancelled."""
    await run(python("pass"))
    await run(python("import os; os.kill(os.getpid(), 9)"))
    with trio.move_on_after(0.2):
        await run(python("import time; time.sleep(60)"))

    assert ["Z", str(os.getpid())] not in states_and_parents()


@pytest.mark.media
@pytest.mark.skipif(not MEMORY.is_dir(), reason="there is no /dev/shm")
def test_the_work_folder_may_be_on_another_file_system(tmp_path: Path, packaged: str) -> None:
    """Nothing is moved from one to the other: what takes the output's place lay beside it."""
    assert MEMORY.stat().st_dev != tmp_path.stat().st_dev
    before = set(MEMORY.iterdir())

    rendered = render(tmp_path, demo(), "--work-dir", str(MEMORY), ffmpeg=packaged)

    assert (0, before) == (rendered.exit_code, set(MEMORY.iterdir()))


@pytest.mark.media
def test_durations_heed_no_clock_and_times_no_zone(
    tmp_path: Path, packaged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that is put back all the time, in a zone with summer time."""
    monkeypatch.setenv("TZ", "America/St_Johns")
    time.tzset()
    now, real = dt.datetime.now(dt.UTC), time.time
    began = time.monotonic()
    monkeypatch.setattr(time, "time", lambda: real() - 3600 * (time.monotonic() - began))

    rendered = render(tmp_path, demo(), "-v", "--log-format", "json", ffmpeg=packaged)

    monkeypatch.undo()
    time.tzset()
    took = (time.monotonic() - began) * 1000
    durations = [rendered.report["elapsed_ms"], *(clip["duration_ms"] for clip in rendered.report["clips"])]
    assert all(0 < duration <= took for duration in durations)
    stamps = [rendered.report["started_at"]]
    stamps += [json.loads(line)["timestamp"] for line in (tmp_path / "log").read_text().splitlines()]
    assert all(stamp.endswith("Z") for stamp in stamps)
    assert all(abs(dt.datetime.fromisoformat(stamp) - now) < dt.timedelta(minutes=10) for stamp in stamps)


@pytest.mark.media
def test_too_few_open_files_mean_fewer_clips_at_once(tmp_path: Path) -> None:
    """Twenty clips at once where 40 files may be open: all are right, and a warning says why it takes longer."""
    document = demo(path="mix.mp4")
    clips = [{"video_id": "v", "start": start / 2, "duration": 0.1} for start in range(20)]
    (tmp_path / "mix.json").write_text(json.dumps(document | {"clips": clips}))
    flags = ["--concurrency", "20", "--per-video", "20", "--log-format", "json", "-v"]
    command = [sys.executable, "-m", "clipcut", "render", "mix.json", *flags]
    shell = ["sh", "-c", 'ulimit -n 40; exec "$@"', "sh", *command]
    done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, check=False)

    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    said = [line["message"] for line in lines if line["event"] == "render.few_open_files"]
    assert ["40 open files are allowed, so 1 clip at once instead of 20; allow more (ulimit -n)"] == said
    stats = read_report(tmp_path / "mix.report.json")["clip_stats"]
    assert (0, 20, 1) == (done.returncode, stats["success_tasks"], stats["peak_parallelism"])
