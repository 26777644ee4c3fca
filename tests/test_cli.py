"""The command line as a user meets it: exit codes, what is said where, what is touched and what is not."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from golden import timeline
from reports import parse_report, read_report

from clipcut import __version__
from clipcut.cli import run
from clipcut.errors import RenderError
from clipcut.ffmpeg.mux import is_ours

MEDIA = Path(__file__).parents[1] / "fixtures" / "media"
CLIPS = [{"video_id": "v", "start": 1, "duration": 0.4}, {"video_id": "v", "start": 3, "duration": 0.4}]


LONG = "x" * 300
"""A name that no system takes."""


def write_timeline(folder: Path, clips: list[dict[str, Any]] | None = None, **output: Any) -> Path:
    """Write a timeline of two short clips of a packaged video."""
    path = folder / "mix.json"
    document = timeline(clips or CLIPS, {"v": str(MEDIA / "harbor.mp4"), "gone": "gone.mp4"}, path="mix.mp4", **output)
    path.write_text(json.dumps(document))
    return path


def child(*arguments: str, cwd: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start clipcut as a child of its own."""
    command = [sys.executable, "-m", "clipcut", *arguments]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def files(folder: Path) -> set[str]:
    """Name what is in a folder."""
    return {path.name for path in folder.iterdir()}


def test_version_loads_nothing_heavy() -> None:
    """``--version`` answers without typer, av, httpx or prometheus_client."""
    code = (
        "import sys; sys.argv = ['clipcut', '--version']\n"
        "from clipcut.__main__ import main; main()\n"
        "print(sorted({'typer', 'av', 'httpx', 'prometheus_client', 'trio', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert [f"clipcut {__version__}", "[]"] == done.stdout.splitlines()


def test_a_command_that_renders_nothing_does_not_load_the_heavy_libraries(tmp_path: Path) -> None:
    """``check`` loads neither av nor httpx nor prometheus_client, and no writer of TOML."""
    code = (
        "import sys; from clipcut.cli import run; code = run(['check', 'mix.json'])\n"
        "print(code, sorted({'av', 'httpx', 'prometheus_client', 'imageio_ffmpeg', 'tomlkit'} & set(sys.modules)))"
    )
    write_timeline(tmp_path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)

    assert "0 []" == done.stdout.splitlines()[-1]


@pytest.mark.media
def test_a_render_says_nothing_on_stdout_and_all_in_lines_on_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where there is no terminal each line is JSON."""
    code = run(["render", str(write_timeline(tmp_path))])

    out, err = capfd.readouterr()
    events = [json.loads(line)["event"] for line in err.splitlines()]
    assert (0, "") == (code, out)
    assert ["render.started", "render.completed"] == [events[0], events[-1]]
    assert 2 == events.count("clip.started") == events.count("clip.finished")
    assert {"mix.json", "mix.mp4", "mix.report.json"} == files(tmp_path)


@pytest.mark.media
def test_a_log_file_takes_the_lines_and_leaves_the_summary(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Lines of JSON in the file, words on stderr."""
    code = run(["render", str(write_timeline(tmp_path)), "--log-file", str(tmp_path / "log")])

    out, err = capfd.readouterr()
    events = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert (0, "") == (code, out)
    assert ["render.started", "render.completed"] == [events[0], events[-1]]
    assert ["complete:", "2", "report:"] == [line.split()[0] for line in err.splitlines()]
    assert "2 of 2 clips as asked for." in err


@pytest.mark.media
def test_quiet_says_nothing_on_success_and_the_summary_otherwise(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """``-q`` suits cron: no mail unless something is odd."""
    assert 0 == run(["render", str(write_timeline(tmp_path)), "-q"])
    assert ("", "") == capfd.readouterr()

    clips = [*CLIPS, {"id": "lost", "video_id": "gone", "start": 0, "duration": 0.5}]
    assert 3 == run(["render", str(write_timeline(tmp_path, clips)), "-q"])
    out, err = capfd.readouterr()
    assert "" == out
    assert "lost  placeholder  (local missing_file" in err


@pytest.mark.media
@pytest.mark.parametrize("named_by", ["flag", "timeline"])
def test_every_path_is_where_the_system_says_after_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named_by: str
) -> None:
    """``link/../mix.mp4`` lies beside the folder that the link leads to, and not beside the link."""
    here, far = tmp_path / "here", tmp_path / "far"
    for folder in (here, far / "deep", far / "work"):
        folder.mkdir(parents=True)
    (here / "link").symlink_to(far / "deep")
    (far / "my.toml").write_text("max_parallelism = 1\n")
    (far / "card.mp4").write_bytes((MEDIA / "harbor.mp4").read_bytes())
    document = json.loads(write_timeline(here).read_text())
    document["output"]["path"] = "link/../mix.mp4"
    (here / "mix.json").write_text(json.dumps(document))
    names = {"--report": "mix.report.json", "--log-file": "mix.log", "--prom-textfile": "mix.prom"}
    names |= {"--cache-dir": "cache", "--work-dir": "work", "--config": "my.toml", "--placeholder": "card.mp4"}
    flags = [text for flag, name in names.items() for text in (flag, f"link/../{name}")]
    monkeypatch.chdir(here)

    output = ["-o", "link/../mix.mp4"] if named_by == "flag" else []
    assert 0 == run(["render", "mix.json", *output, *flags])

    assert {"link", "mix.json"} == files(here)
    assert {"mix.mp4", "deep", *names.values()} == files(far)
    assert 1 == read_report(far / "mix.report.json")["config"]["max_parallelism"]["value"]
    assert 0 == run(["verify", "link/../mix.mp4"])


@pytest.mark.media
def test_the_report_can_go_to_stdout(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """``--report -`` puts the report, and nothing else, on stdout."""
    assert 0 == run(["render", str(write_timeline(tmp_path)), "--report", "-"])

    report = parse_report(capfd.readouterr().out)
    assert ("complete", 24) == (report["status"], report["output"]["frames"])
    assert not (tmp_path / "mix.report.json").exists()


@pytest.mark.media
def test_the_report_has_every_fact_that_it_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Totals add up, each value has its origin, the trace is the caller's."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    monkeypatch.setenv("TRACEPARENT", f"00-{trace}-00f067aa0ba902b7-01")
    monkeypatch.setenv("RENDER_CLIP_PER_VIDEO_LIMIT", "1")
    path = write_timeline(tmp_path)

    assert 0 == run(["render", str(path), "--concurrency", "2", "--job", "nightly"])

    report = read_report(tmp_path / "mix.report.json")
    stats, clip = report["clip_stats"], report["clips"][1]
    assert (1, trace, "nightly", None) == (report["version"], report["trace_id"], report["job"], report["error"])
    assert {"value": 2, "origin": "flag"} == report["config"]["max_parallelism"]
    assert {"value": 1, "origin": "environment"} == report["config"]["per_video_limit"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", report["started_at"])
    assert 2 == stats["total_tasks"] == stats["success_tasks"]
    assert 1 == stats["peak_parallelism"] == stats["peak_per_video"]
    assert ("clip-0002", 1, 3, 3.4, 12, 12) == tuple(
        clip[key] for key in ("id", "index", "start", "end", "frames", "start_frame")
    )
    assert [("local", "ok", None)] == [(a["method"], a["outcome"], a["reason"]) for a in clip["attempts"]]
    assert trace in capfd.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["render"], id="no-timeline"),
        pytest.param(["render", "mix.json", "--bogus"], id="unknown-flag"),
        pytest.param(["nonsense"], id="unknown-command"),
        pytest.param(["render", "nowhere.json"], id="missing-timeline"),
        pytest.param(["render", "mix.json", "--concurrency", "0"], id="setting-out-of-range"),
        pytest.param(["render", "mix.json", "--concurrency", "lots"], id="setting-of-wrong-type"),
        pytest.param(["render", "mix.json", "--on-missing", "shrug"], id="unknown-choice"),
        pytest.param(["render", "mix.json", "--placeholder", "nowhere.mp4"], id="unreadable-placeholder"),
        pytest.param(["render", "mix.json", "--work-dir", "nowhere"], id="no-work-folder"),
        pytest.param(["render", "mix.json", "--report", "nowhere/report.json"], id="no-report-folder"),
        pytest.param(["render", "mix.json", "--log-file", "nowhere/log"], id="no-log-folder"),
        pytest.param(["render", "mix.json", "-o", "mix.avi"], id="unknown-container"),
        pytest.param(["render", "mix.json", "-o", "nowhere/mix.mp4"], id="no-output-folder"),
        pytest.param(["render", "mix.json", "--config", "nowhere.toml"], id="missing-settings-file"),
        pytest.param(["check", "nowhere.json"], id="check-missing"),
        pytest.param(["schema", "nonsense"], id="unknown-schema"),
    ],
)
def test_bad_usage_exits_2_and_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """Before any work: a message, no traceback, no file."""
    write_timeline(tmp_path)
    monkeypatch.chdir(tmp_path)

    assert 2 == run(arguments)

    out, err = capfd.readouterr()
    assert "" == out
    assert err
    assert "Traceback" not in err
    assert {"mix.json"} == files(tmp_path)


def test_an_unset_variable_in_a_header_exits_2(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The variable is named, with its place."""
    document = timeline(CLIPS, {"v": {"url": "https://cdn.example/v", "headers": {"X-Key": "${NOT_SET_ANYWHERE}"}}})
    (tmp_path / "mix.json").write_text(json.dumps(document))

    assert 2 == run(["render", str(tmp_path / "mix.json"), "-o", str(tmp_path / "mix.mp4")])
    assert "$.sources.v.headers.X-Key: the variable NOT_SET_ANYWHERE is not set" in capfd.readouterr().err


def test_a_variable_that_no_header_can_carry_exits_2_and_isnt_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token with a line break, as ``$(cat token)`` doesn't make but a file does."""
    monkeypatch.setenv("BROKEN_TOKEN", "canary\r\nX-Other: 1")
    source = {"url": "https://cdn.example/v.m3u8", "headers": {"X-Key": "Bearer ${BROKEN_TOKEN}"}}
    (tmp_path / "mix.json").write_text(json.dumps(timeline(CLIPS, {"v": source})))

    assert 2 == run(["render", str(tmp_path / "mix.json"), "-o", str(tmp_path / "mix.mp4")])
    said = capfd.readouterr().err
    assert "the variable BROKEN_TOKEN holds what no header can carry" in said
    assert "canary" not in said


@pytest.mark.media
def test_only_our_own_files_are_replaced(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file without the mark stays, byte for byte, unless ``--force`` is given; with it, it is marked."""
    output = tmp_path / "mix.mp4"
    output.write_bytes((MEDIA / "meadow.mp4").read_bytes())
    path = write_timeline(tmp_path)

    assert 2 == run(["render", str(path)])
    assert (MEDIA / "meadow.mp4").read_bytes() == output.read_bytes()
    assert "--force" in capfd.readouterr().err
    assert {"mix.json", "mix.mp4"} == files(tmp_path)

    assert 0 == run(["render", str(path), "--force"])
    assert is_ours(output)
    assert 0 == run(["render", str(path)])


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.media
def test_the_mark_is_read_back_from_every_container(tmp_path: Path, suffix: str) -> None:
    """What clipcut wrote it may replace."""
    path, output = write_timeline(tmp_path), tmp_path / f"mix{suffix}"

    assert [0, 0] == [run(["render", str(path), "-o", str(output), "-q"]) for _ in range(2)]


def test_a_source_is_never_the_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Not even ``--force`` writes over what the timeline reads."""
    video = tmp_path / "v.mp4"
    video.write_bytes((MEDIA / "meadow.mp4").read_bytes())
    (tmp_path / "mix.json").write_text(json.dumps(timeline(CLIPS, {"v": "v.mp4"}, path="./v.mp4")))

    assert 2 == run(["render", str(tmp_path / "mix.json"), "--force"])
    assert (MEDIA / "meadow.mp4").read_bytes() == video.read_bytes()
    assert "own sources" in capfd.readouterr().err


@pytest.mark.media
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        pytest.param(["--on-missing", "fail"], "lost can't be had", id="on-missing-fail"),
        pytest.param(["--max-placeholders", "0"], "more than --max-placeholders 0", id="too-many-placeholders"),
        pytest.param(["--ffmpeg", "nowhere/ffmpeg"], "doesn't run", id="no-ffmpeg"),
        pytest.param(["--ffmpeg", "/bin/true"], "is not FFmpeg", id="no-ffmpeg-at-all"),
    ],
)
def test_a_failed_render_exits_1_keeps_the_old_output_and_reports(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], flags: list[str], words: str
) -> None:
    """No new output, the old one untouched, a report that says why."""
    path = write_timeline(tmp_path)
    assert 0 == run(["render", str(path), "-q"])
    before = (tmp_path / "mix.mp4").read_bytes()
    clips = [*CLIPS, {"id": "lost", "video_id": "gone", "start": 0, "duration": 0.5}]

    assert 1 == run(["render", str(write_timeline(tmp_path, clips)), "-q", *flags])

    report = read_report(tmp_path / "mix.report.json")
    stats = report["clip_stats"]
    assert before == (tmp_path / "mix.mp4").read_bytes()
    assert ("failed", 1, None) == (report["status"], report["exit_code"], report["output"])
    assert words in report["error"]
    assert words in capfd.readouterr().err
    ends = ("success_tasks", "fallback_local_tasks", "placeholder_tasks", "failed_tasks", "cancelled_tasks")
    assert stats["total_tasks"] == sum(stats[end] for end in ends) == len(report["clips"])
    assert {"mix.json", "mix.mp4", "mix.report.json"} == files(tmp_path)


@pytest.mark.media
def test_yesterdays_video_is_not_replaced_by_black(tmp_path: Path) -> None:
    """A render in which no clip could be had fails."""
    path = write_timeline(tmp_path)
    assert 0 == run(["render", str(path), "-q"])
    before = (tmp_path / "mix.mp4").read_bytes()

    path = write_timeline(tmp_path, [{"video_id": "gone", "start": 0, "duration": 0.5}])

    assert 1 == run(["render", str(path), "-q"])
    assert before == (tmp_path / "mix.mp4").read_bytes()


def long_timeline(folder: Path) -> Path:
    """Write a timeline that takes several seconds."""
    clips = [{"video_id": "v", "start": n % 10, "duration": 6} for n in range(30)]
    path = folder / "mix.json"
    path.write_text(
        json.dumps(timeline(clips, {"v": str(MEDIA / "harbor.mp4")}, path="mix.mp4", width=1280, height=720))
    )
    return path


def children_of(session: int, folder: Path) -> list[int]:
    """Find running processes whose command line names private folders of ours inside a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in (os.getpid(), session):
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b".clipcut-" in words and os.fsencode(folder) in words:
                found.append(int(entry.name))
    return found


@pytest.mark.media
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["int", "term", "hup"]
)
def test_a_signal_ends_a_render_cleanly(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Children are ended, the work folder goes, the report says interrupted, and there is no traceback."""
    long_timeline(tmp_path)
    with child("render", "mix.json", cwd=tmp_path) as process:
        assert process.stderr is not None
        while b"clip.started" not in process.stderr.readline():
            pass
        process.send_signal(number)
        err = process.stderr.read()
        process.wait()

    report = read_report(tmp_path / "mix.report.json")
    assert (code, b"Traceback" in err) == (process.returncode, False)
    assert ("interrupted", code, None) == (report["status"], report["exit_code"], report["output"])
    assert b"render.interrupted" in err
    assert {"mix.json", "mix.report.json"} == files(tmp_path)
    assert [] == children_of(process.pid, tmp_path)


@pytest.mark.media
def test_a_signal_that_was_ignored_at_start_stays_ignored(tmp_path: Path) -> None:
    """``nohup clipcut render`` survives the hangup."""
    write_timeline(tmp_path)
    ignore: Callable[[], object] = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    with child("render", "mix.json", cwd=tmp_path, preexec_fn=ignore) as process:
        assert process.stderr is not None
        while b"clip.started" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGHUP)
        process.stderr.read()
        process.wait()

    assert 0 == process.returncode


@pytest.mark.media
def test_a_timeline_comes_from_stdin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """``-`` reads stdin; its paths start from the current folder."""
    (tmp_path / "v.mp4").write_bytes((MEDIA / "meadow.mp4").read_bytes())
    document = json.dumps(timeline(CLIPS, {"v": "v.mp4"}, path="mix.mp4"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(document.encode())))

    assert 0 == run(["render", "-"])
    assert "stdin" == read_report(tmp_path / "mix.report.json")["job"]


def test_check_tells_every_mistake_and_warns_of_missing_media(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Mistakes are exit 2; missing media is a warning and exit 0."""
    clips = [*CLIPS, {"id": "lost", "video_id": "gone", "start": 0, "duration": 0.5}]
    assert 0 == run(["check", str(write_timeline(tmp_path, clips))])
    out, err = capfd.readouterr()
    assert "3 clips of 2 videos, 39 frames, 1.300 s" in out
    assert f"warning: there is no file {tmp_path / 'gone.mp4'}, wanted by lost" in err

    clips[0] = {"video_id": "w", "start": "x", "end": 1}
    assert 2 == run(["check", str(write_timeline(tmp_path, clips))])
    err = capfd.readouterr().err
    assert "$.clips[0].video_id" in err
    assert "$.clips[0].start" in err


def test_plan_shows_slots_and_ladders(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As a table for people, as JSON for programs."""
    path = write_timeline(tmp_path)

    assert 0 == run(["plan", str(path)])
    assert "2 clips, 24 frames, 0.800 s, 320x180 at 30/s" in capfd.readouterr().out

    assert 0 == run(["plan", str(path), "--json"])
    document = json.loads(capfd.readouterr().out)
    assert [(0, 12), (12, 12)] == [(clip["start_frame"], clip["frames"]) for clip in document["clips"]]
    assert ["local", "placeholder"] == [rung["method"] for rung in document["clips"][0]["ladder"]]


def test_schema_prints_the_timelines(capfd: pytest.CaptureFixture[str]) -> None:
    """The schema is JSON on stdout."""
    assert 0 == run(["schema", "timeline"])
    assert "https://json-schema.org/draft/2020-12/schema" == json.loads(capfd.readouterr().out)["$schema"]


@pytest.mark.media
def test_doctor_renders_a_little(capfd: pytest.CaptureFixture[str]) -> None:
    """It names FFmpeg, encoders, folders, limits, and its self-test passes."""
    assert 0 == run(["doctor"])
    out = capfd.readouterr().out
    assert re.search(r"ok +self-test +30 frames", out)
    assert "the packaged one" in out


def test_doctor_says_what_is_bad(capfd: pytest.CaptureFixture[str]) -> None:
    """Without an FFmpeg that works it exits 1."""
    assert 1 == run(["doctor", "--ffmpeg", "/nowhere/ffmpeg"])
    assert "BAD  FFmpeg" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(["verify", LONG], 2, f"{LONG}: is no file", id="verify"),
        pytest.param(["cache", "info", "--cache-dir", LONG], 0, "0 finished clips", id="cache-info"),
        pytest.param(["cache", "clear", "--cache-dir", LONG], 1, "can't be removed from", id="cache-clear"),
        pytest.param(["config", "set", "report", "r.json", "--config", LONG], 1, "can't be written", id="config-set"),
    ],
)
def test_what_can_not_even_be_looked_at_is_no_bug(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    """A name that is too long stands here for a folder that can't be entered: the system refuses both."""
    monkeypatch.chdir(tmp_path)

    assert code == run(arguments)
    out, err = capfd.readouterr()
    assert words in out + err
    assert "The system refused" not in err


def test_doctor_lives_with_what_can_not_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It says which folder and which file that is."""
    monkeypatch.chdir(tmp_path)
    Path("clipcut.toml").write_text(f'work_dir = "{LONG}/work"\nplaceholder_asset_path = "{LONG}.mp4"\n')

    assert 1 == run(["doctor", "--ffmpeg", "/nowhere/ffmpeg"])
    out = capfd.readouterr().out
    assert f"BAD  work folder     {tmp_path}/{LONG}/work can not be written to" in out
    assert f"BAD  placeholder     {tmp_path}/{LONG}.mp4" in out


def test_words_of_a_timeline_are_told_in_its_own_letters(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Values and keys; what can't be printed is escaped."""
    document = json.loads(write_timeline(tmp_path).read_text()) | {"标题": 1}
    document["clips"][0]["start"] = "十秒"
    document["output"]["fit"] = "\u202e盖\x1b"
    (tmp_path / "mix.json").write_text(json.dumps(document))

    assert 2 == run(["check", str(tmp_path / "mix.json")])
    err = capfd.readouterr().err
    assert '$["标题"]: unknown key' in err
    assert '$.clips[0].start: "十秒" is not a time' in err
    assert '"\\u202e盖\\u001b" is not one of' in err


@pytest.mark.media
@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(OSError(24, "Too many open files"), "The system refused: Too many open files", id="system"),
        pytest.param(
            ExceptionGroup("", [OSError(24, "x"), ExceptionGroup("", [RenderError("No room.")])]), "No room.", id="ours"
        ),
        pytest.param(
            ZeroDivisionError("oh"),
            "this is a bug in clipcut (ZeroDivisionError: oh); please report it with its traceback, which -v shows",
            id="bug",
        ),
    ],
)
def test_whatever_ends_a_render_is_told_in_words_and_reported(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: Exception,
    words: str,
) -> None:
    """The leaf of an exception group, ours before the system's; a bug too has its report."""

    async def break_down(_: object) -> None:
        raise error

    monkeypatch.setattr("clipcut.assemble.Assembly.join", break_down)

    assert 1 == run(["render", str(write_timeline(tmp_path)), "-q"])

    err = capfd.readouterr().err
    report = read_report(tmp_path / "mix.report.json")
    assert ("failed", 1, words, None) == tuple(report[key] for key in ("status", "exit_code", "error", "output"))
    assert f"failed: {words}\n" in err
    assert "Traceback" not in err
    assert {"mix.json", "mix.report.json"} == files(tmp_path)


@pytest.mark.media
def test_a_bug_shows_its_traceback_where_more_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """``-v`` is for whoever reports it."""

    async def break_down(_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("clipcut.assemble.Assembly.join", break_down)

    assert 1 == run(["render", str(write_timeline(tmp_path)), "-v"])
    assert "in break_down" in capfd.readouterr().err


CLIPCUT = f"{sys.executable} -m clipcut"


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        pytest.param("--version >&-", 1, "can't be written: Bad file descriptor", id="version-closed"),
        pytest.param("--version >/dev/full", 1, "can't be written: No space left", id="version-full"),
        pytest.param("check mix.json >&-", 1, "can't be written: Bad file descriptor", id="check-closed"),
        pytest.param("check mix.json >/dev/full", 1, "can't be written: No space left", id="check-full"),
        pytest.param("render --help >/dev/full", 1, "can't be written: No space left", id="help-full"),
        pytest.param("schema | true; exit ${PIPESTATUS[0]}", 1, "", id="schema-broken"),
        pytest.param("check - <&-", 2, "stdin can't be used", id="stdin-closed"),
        pytest.param("check nowhere.json 2>&-", 2, "", id="stderr-closed"),
        pytest.param("render 2>/dev/full", 2, "", id="usage-full"),
    ],
)
def test_standard_streams_may_be_closed_full_or_broken(tmp_path: Path, command: str, code: int, words: str) -> None:
    """What can't be printed is an error with a message; never a traceback, never a bug."""
    write_timeline(tmp_path)
    done = subprocess.run(
        ["bash", "-c", f"{CLIPCUT} {command}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert code == done.returncode
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.media
@pytest.mark.parametrize(
    ("command", "words"),
    [
        pytest.param("2>&-", "", id="stderr-closed"),
        pytest.param("<&- >&- 2>&-", "", id="all-closed"),
        pytest.param("-v 2>/dev/full", "", id="stderr-full"),
        pytest.param("-v 2>&1 | head -n 1; exit ${PIPESTATUS[0]}", "", id="stderr-broken"),
        pytest.param("-q --report - >&-", "the report can't be written to standard output", id="report-closed"),
        pytest.param("-q --report - >/dev/full", "No space left on device", id="report-full"),
        pytest.param("-q --report - | true; exit ${PIPESTATUS[0]}", "Broken pipe", id="report-broken"),
        pytest.param("-q --log-file /dev/full", "", id="log-full"),
    ],
)
def test_a_finished_render_keeps_its_exit_code_whoever_listens(tmp_path: Path, command: str, words: str) -> None:
    """The video is there, and what can't be told is told where that can be."""
    write_timeline(tmp_path)
    done = subprocess.run(
        ["bash", "-c", f"{CLIPCUT} render mix.json {command}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode
    assert is_ours(tmp_path / "mix.mp4")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr


@pytest.mark.media
def test_a_render_does_not_wait_for_whoever_should_read_its_log(tmp_path: Path) -> None:
    """Its log is longer than the pipe holds."""
    write_timeline(tmp_path, CLIPS * 10)
    with child("render", "mix.json", "-v", cwd=tmp_path, pipesize=4096) as process:
        code = process.wait(60)

    assert 0 == code
    assert 20 == read_report(tmp_path / "mix.report.json")["clip_stats"]["success_tasks"]


@pytest.mark.media
def test_the_users_link_stays_and_what_is_behind_it_is_replaced(tmp_path: Path) -> None:
    """The temporary file is made beside the real one."""
    (tmp_path / "real").mkdir()
    (tmp_path / "mix.mp4").symlink_to("real/out.mp4")

    assert [0, 0] == [run(["render", str(write_timeline(tmp_path)), "-q"]) for _ in range(2)]
    assert (tmp_path / "mix.mp4").is_symlink()
    assert is_ours(tmp_path / "real" / "out.mp4")
    assert {"mix.json", "mix.mp4", "mix.report.json", "real"} == files(tmp_path)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        pytest.param(["-o", "pipe.mp4"], "pipe.mp4: is not a regular file", id="output-pipe"),
        pytest.param(["-o", "pipe.mp4", "--force"], "pipe.mp4: is not a regular file", id="output-pipe-forced"),
        pytest.param(["-o", "circle.mp4"], "circle.mp4: can't be used: Too many levels", id="output-circle"),
        pytest.param(["-o", "x" * 300 + ".mp4"], "can't be used: File name too long", id="output-too-long"),
        pytest.param(["-o", "x" * 250 + ".mp4"], "--report", id="output-with-a-report-too-long"),
        pytest.param(["-o", "lost.mp4"], "the folder", id="output-link-to-no-folder"),
        pytest.param(["--placeholder", "pipe.mp4"], "pipe.mp4 is not a regular file", id="placeholder-pipe"),
        pytest.param(["--placeholder", "x" * 300], "can't be read: File name too long", id="placeholder-too-long"),
        pytest.param(["--report", "x" * 300], "can't be used: File name too long", id="report-too-long"),
        pytest.param(["--log-file", "x" * 300], "--log-file", id="log-too-long"),
        pytest.param(["--log-file", "pipe.mp4"], "--log-file", id="log-pipe-without-reader"),
        pytest.param(["--log-file", "mix.json"], "--log-file", id="log-is-timeline"),
        pytest.param(["--log-file", "mix.mp4"], "--log-file", id="log-is-output"),
        pytest.param(["--log-file", "mix.report.json"], "--log-file", id="log-is-report"),
        pytest.param(["--log-file", str(MEDIA / "harbor.mp4")], "--log-file", id="log-is-source"),
    ],
)
def test_odd_paths_are_refused_in_words_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], flags: list[str], words: str
) -> None:
    """Nothing waits for a pipe, nothing raises, nothing is touched."""
    write_timeline(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "circle.mp4").symlink_to("circle.mp4")
    (tmp_path / "lost.mp4").symlink_to("nowhere/lost.mp4")
    before = files(tmp_path)
    monkeypatch.chdir(tmp_path)

    assert 2 == run(["render", "mix.json", *flags])

    err = capfd.readouterr().err
    assert words in err
    assert "bug" not in err
    assert before == files(tmp_path)


@pytest.mark.media
def test_a_timeline_may_have_a_name_that_is_no_text(tmp_path: Path) -> None:
    """The mark and the report write its bytes in plain letters."""
    path = tmp_path / os.fsdecode(b"nu\xff.json")
    write_timeline(tmp_path).rename(path)

    assert [0, 0] == [run(["render", str(path), "-q"]) for _ in range(2)]
    assert read_report(tmp_path / "mix.report.json")["timeline"]["path"].endswith("nu\udcff.json")


def test_check_says_what_is_wrong_with_media(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """There, and yet no file that could be read."""
    (tmp_path / "gone.mp4").mkdir()
    clips = [{"id": "lost", "video_id": "gone", "start": 0, "duration": 0.5}]

    assert 0 == run(["check", str(write_timeline(tmp_path, clips))])
    out, err = capfd.readouterr()
    assert f"warning: {tmp_path / 'gone.mp4'} is not a regular file, wanted by lost" in err
    assert "1 clip of 1 video, 15 frames" in out


def test_plan_has_null_for_what_is_not_known_yet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Segments and bytes are keys all the same; one clip is singular."""
    path = str(write_timeline(tmp_path, CLIPS[:1]))

    assert 0 == run(["plan", path, "--json"])
    clip = json.loads(capfd.readouterr().out)["clips"][0]
    assert (None, None) == (clip["segments"], clip["bytes"])
    assert 0 == run(["plan", path])
    assert "1 clip, 12 frames" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("environ", "is_styled"), [({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False), ({"FORCE_COLOR": "1"}, True)]
)
def test_help_is_plain_and_obeys_the_environment(tmp_path: Path, environ: dict[str, str], is_styled: bool) -> None:
    """No braces around a word to replace; not one escape under ``NO_COLOR``."""
    command = [sys.executable, "-m", "clipcut", "render", "--help"]
    environ = {**os.environ, "TERM": "xterm", **environ}
    out = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout

    assert is_styled == ("\x1b" in out)
    assert is_styled or "clipcut render [OPTIONS] TIMELINE " in out
