"""The textfile as cron and node_exporter meet it: always whole, gone on from, true after every end."""

import json
import os
import re
import signal
import subprocess
import threading
import types
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
import trio
from real import NODE_EXPORTER, needs, poll, scrape
from reports import read_report
from test_cli import CLIPS, child, write_timeline

from clipcut import textfile
from clipcut.cli import run
from clipcut.results import ClipResult, Fetched
from clipcut.textfile import Textfile, open_textfile

LOST = [*CLIPS, {"id": "lost", "video_id": "gone", "start": 0, "duration": 0.5}]


def values(text: str) -> dict[str, float]:
    """Return each sample's value by its name and labels."""
    return {name: float(value) for name, value in re.findall(r"^([a-z_]+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)}


def of(folder: Path, name: str = "mix.prom") -> dict[str, float]:
    """Return the samples of a textfile."""
    return values((folder / name).read_text())


def job(folder: Path, name: str, clips: list[dict[str, Any]]) -> list[str]:
    """Write one job's timeline into a folder of its own, and return its command line."""
    (folder / name).mkdir()
    mix = write_timeline(folder / name, clips)
    return ["render", str(mix), "-q", "--job", name, "--prom-textfile", str(folder / "prom" / f"{name}.prom")]


def sums(name: str, reports: list[dict[str, Any]]) -> dict[str, float]:
    """Return what every counter must be after these runs of a job, worked out from the reports alone."""
    counts: Counter[str] = Counter()
    for report in reports:
        stats = report["clip_stats"]
        counts[f'render_runs_total{{status="{report["status"]}",timeline="{name}"}}'] += 1
        counts[f'render_clip_placeholder_total{{timeline="{name}"}}'] += stats["placeholder_tasks"]
        counts[f'render_clip_retries_total{{timeline="{name}"}}'] += stats["retries"]
        counts[f'render_clip_fetched_bytes_total{{timeline="{name}"}}'] += stats["bytes_fetched"]
        for clip in report["clips"]:
            counts[f'render_clip_total{{status="{clip["status"]}",timeline="{name}"}}'] += 1
            counts[f'render_clip_duration_ms_sum{{timeline="{name}"}}'] += clip["duration_ms"]
            counts[f'render_clip_duration_ms_count{{timeline="{name}"}}'] += clip["parallel_slot"] is not None
            for attempt in clip["attempts"]:
                if attempt["outcome"] == "failed":
                    counts[f'render_clip_failures_total{{reason="{attempt["reason"]}",timeline="{name}"}}'] += 1
    return dict(counts)


@pytest.mark.media
@needs(NODE_EXPORTER)
@needs("promtool")
def test_after_two_runs_of_two_jobs_a_real_scrape_has_the_sums_of_their_reports(tmp_path: Path) -> None:
    """Both files in one folder, no error, and promtool finds nothing but the one name that the contract wants so."""
    (tmp_path / "prom").mkdir()
    wanted: dict[str, float] = {}
    for name, clips in (("daily", CLIPS), ("nightly", LOST)):
        argv, reports = job(tmp_path, name, clips), []
        for _ in range(2):
            assert run(argv) in (0, 3)
            reports.append(read_report(tmp_path / name / "mix.report.json"))
        wanted |= sums(name, reports)

    text = scrape(tmp_path / "prom")

    found = values(text)
    assert 0 == found["node_textfile_scrape_error"]
    assert wanted == {key: found[key] for key in wanted}
    counters = {key for key in found if re.match(r"render_\w+(_total|_count|_sum)\{", key) and found[key]}
    assert {key for key in wanted if wanted[key]} == counters
    files = {re.sub(r".*/", "", key) for key in found if key.startswith("node_textfile_mtime_seconds")}
    assert {'daily.prom"}', 'nightly.prom"}'} == files
    for file in (tmp_path / "prom").iterdir():
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=file.read_bytes(), capture_output=True, check=False
        )
        assert ["render_clip_duration_ms metric names should not contain abbreviated units"] == (
            (done.stdout + done.stderr).decode().splitlines()
        )


@pytest.mark.media
def test_a_textfile_is_readable_for_everybody_whatever_the_umask(tmp_path: Path) -> None:
    """node_exporter runs as somebody else than cron; nothing else is left beside it."""
    (tmp_path / "prom").mkdir()
    before = os.umask(0o077)
    try:
        assert 0 == run(job(tmp_path, "mix", CLIPS))
    finally:
        os.umask(before)

    assert ["mix.prom"] == [path.name for path in (tmp_path / "prom").iterdir()]
    assert 0o644 == (tmp_path / "prom" / "mix.prom").stat().st_mode & 0o777


@pytest.mark.media
def test_a_finished_run_says_how_it_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is in flight any more; exit code, lengths and limits are those of the report."""
    monkeypatch.chdir(tmp_path)
    write_timeline(tmp_path, LOST)
    assert 3 == run(["render", "mix.json", "-q", "--prom-textfile", "mix.prom", "--concurrency", "3"])

    found, report = of(tmp_path), read_report(tmp_path / "mix.report.json")
    last = {name: found[f'render_{name}{{timeline="mix"}}'] for name in ("last_exit_code", "clip_inflight")}
    assert {"last_exit_code": 3, "clip_inflight": 0} == last
    assert report["output"]["duration_s"] == found['render_last_output_seconds{timeline="mix"}']
    assert report["elapsed_ms"] / 1000 == found['render_last_duration_seconds{timeline="mix"}']
    assert 3 == found['render_clip_max_parallelism{timeline="mix"}']
    assert report["clip_stats"]["peak_parallelism"] == found['render_clip_peak_parallelism{timeline="mix"}']
    ended, success = (found[f'render_last_{name}_timestamp_seconds{{timeline="mix"}}'] for name in ("run", "success"))
    assert ended == success >= found['render_run_started_timestamp_seconds{timeline="mix"}']


@pytest.mark.media
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["mix.json", "--concurrency", "300"], id="setting"),
        pytest.param(["broken.json", "--job", "mix"], id="timeline"),
        pytest.param(["gone.json", "--job", "mix"], id="no-timeline"),
        pytest.param(["--concurency", "3", "mix.json"], id="unknown-flag"),
        pytest.param(["mix.json", "-o", "nowhere/mix.mp4"], id="no-folder"),
        pytest.param(["mix.json", "--config", "gone.toml"], id="no-config"),
        pytest.param(["--job", "mix"], id="no-argument"),
    ],
)
def test_a_render_that_can_not_begin_shows_and_the_last_success_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """Exit code 2, one failed run more, and all counts go on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RENDER_PROM_TEXTFILE", "mix.prom")
    write_timeline(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    assert 0 == run(["render", "mix.json", "-q"])
    before = of(tmp_path)

    assert 2 == run(["render", *arguments])

    found, changed = of(tmp_path), {"render_last_run_timestamp_seconds", "render_run_started_timestamp_seconds"}
    assert 2 == found['render_last_exit_code{timeline="mix"}']
    assert before.keys() == found.keys()
    assert {
        *(f'{name}{{timeline="mix"}}' for name in changed),
        'render_runs_total{status="failed",timeline="mix"}',
        *(f'render_{name}{{timeline="mix"}}' for name in ("last_exit_code", "last_duration_seconds")),
        *(f'render_{name}{{timeline="mix"}}' for name in ("last_output_seconds", "clip_peak_parallelism")),
    } == {key for key in found if found[key] != before[key]}


@pytest.mark.media
def test_a_first_run_that_can_not_begin_makes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No success is claimed."""
    monkeypatch.chdir(tmp_path)
    assert 2 == run(["render", "mix.json", "--prom-textfile", "mix.prom"])

    found = of(tmp_path)
    assert 1 == found['render_runs_total{status="failed",timeline="mix"}']
    assert 'render_last_success_timestamp_seconds{timeline="mix"}' not in found


@pytest.mark.parametrize("arguments", [["check", "mix.json"], ["render", "--help"], ["--version"]], ids=str)
def test_other_commands_leave_the_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """Only a render that was wanted counts as one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RENDER_PROM_TEXTFILE", "mix.prom")
    run(arguments)

    assert [] == list(tmp_path.iterdir())


@pytest.mark.media
def test_a_failed_run_keeps_the_last_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gauge that a failure sets back would hide for how long nothing was delivered."""
    monkeypatch.chdir(tmp_path)
    write_timeline(tmp_path)
    assert 0 == run(["render", "mix.json", "-q", "--prom-textfile", "mix.prom"])
    before = of(tmp_path)
    write_timeline(tmp_path, LOST)
    assert 1 == run(["render", "mix.json", "-q", "--prom-textfile", "mix.prom", "--on-missing", "fail"])

    found = of(tmp_path)
    key = 'render_last_success_timestamp_seconds{timeline="mix"}'
    assert before[key] == found[key] < found['render_last_run_timestamp_seconds{timeline="mix"}']
    assert (1, 0) == (
        found['render_last_exit_code{timeline="mix"}'],
        found['render_last_output_seconds{timeline="mix"}'],
    )


@pytest.mark.media
@pytest.mark.parametrize(
    ("old", "event"),
    [
        pytest.param(b"what?\n", "metrics.started_anew", id="no-metrics"),
        pytest.param(b"\xff\xfe", "metrics.started_anew", id="no-text"),
        pytest.param(b"#" * (1 << 20) + b"\n", "metrics.started_anew", id="too-large"),
        pytest.param(b'render_clip_total{status="success",timeline="a"} 9\n', "metrics.others_replaced", id="anothers"),
    ],
)
def test_a_file_that_can_not_be_gone_on_from_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], old: bytes, event: str
) -> None:
    """The counters start at 0, the render is complete."""
    monkeypatch.chdir(tmp_path)
    write_timeline(tmp_path)
    (tmp_path / "mix.prom").write_bytes(old)

    assert 0 == run(["render", "mix.json", "--prom-textfile", "mix.prom", "--log-format", "json"])

    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    assert [event] == [line["event"] for line in lines if line["level"] == "warning"]
    assert 2 == of(tmp_path)['render_clip_total{status="success",timeline="mix"}']


@pytest.mark.parametrize(
    ("path", "words"),
    [
        pytest.param("mix.txt", "write a path that ends in .prom", id="suffix"),
        pytest.param("nowhere/mix.prom", "can't be written", id="no-folder"),
        pytest.param("folder.prom", "can't be written", id="folder"),
        pytest.param("pipe.prom", "can't be written", id="pipe"),
        pytest.param("log.prom", "is read or written by this render", id="log"),
    ],
)
def test_a_textfile_that_can_not_be_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], path: str, words: str
) -> None:
    """Before any work; and what must not be written is not written then either."""
    monkeypatch.chdir(tmp_path)
    write_timeline(tmp_path)
    (tmp_path / "folder.prom").mkdir()
    os.mkfifo(tmp_path / "pipe.prom")

    assert 2 == run(["render", "mix.json", "--prom-textfile", path, "--log-file", "log.prom"])
    assert words in capfd.readouterr().err
    assert not (tmp_path / "log.prom").exists()
    assert not (tmp_path / "mix.txt").exists()


@pytest.mark.media
def test_a_render_ended_by_a_signal_shows(tmp_path: Path) -> None:
    """Nothing in flight, what was done is counted, the run is interrupted."""
    write_timeline(tmp_path, CLIPS * 40, width=1280, height=720)
    with child("render", "mix.json", "--no-cache", "--prom-textfile", "mix.prom", cwd=tmp_path) as process:
        poll(lambda: bool(list(tmp_path.glob(".clipcut-*/*.mov"))))
        running = of(tmp_path)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    found, report = of(tmp_path), read_report(tmp_path / "mix.report.json")
    assert 0 == running['render_runs_total{status="interrupted",timeline="mix"}']
    assert 'render_last_exit_code{timeline="mix"}' not in running
    assert 1 == found['render_runs_total{status="interrupted",timeline="mix"}']
    assert (143, 0) == tuple(found[f'render_{name}{{timeline="mix"}}'] for name in ("last_exit_code", "clip_inflight"))
    cancelled = found['render_clip_total{status="cancelled",timeline="mix"}']
    assert report["clip_stats"]["cancelled_tasks"] == cancelled > 0


class StoppedError(Exception):
    """Enough was written."""


def stub(at_work: Iterator[int]) -> Any:
    """Make what a textfile looks at of a render; so many are at work at each look."""

    class Limits:
        max_parallelism = peak_parallelism = 9

        @property
        def at_work(self) -> int:
            return next(at_work)

    extraction = types.SimpleNamespace(finished=lambda: ())
    return types.SimpleNamespace(limits=Limits(), extraction=extraction, fetched=Fetched())


async def test_what_is_in_flight_is_seen_to_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is written again every few seconds, each time with what is so then."""
    monkeypatch.setattr(textfile, "EVERY_S", 0)
    written: list[float] = []

    def write(path: Path, data: bytes, mode: int) -> None:
        assert (tmp_path / "mix.prom", 0o644) == (path, mode)
        written.append(values(data.decode())['render_clip_inflight{timeline="mix"}'])
        if len(written) == 3:
            raise StoppedError

    monkeypatch.setattr(textfile, "write_atomic", write)
    with pytest.raises(StoppedError):
        await open_textfile(tmp_path / "mix.prom", "mix", lambda _, __: None).refresh(stub(iter([1, 4, 2, 3])))

    assert [1, 4, 2] == written


async def test_clips_are_counted_beside_the_render_and_not_in_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be very many; Trio's own thread has children and connections to serve."""
    threads: list[int] = []

    def count(clips: Sequence[ClipResult], fetched: Fetched) -> NoReturn:
        threads.append(threading.get_ident())
        raise StoppedError

    monkeypatch.setattr(textfile, "counts_of", count)
    with pytest.raises(StoppedError):
        await open_textfile(tmp_path / "mix.prom", "mix", lambda _, __: None).refresh(stub(iter([1])))

    assert 1 == len(threads)
    assert threading.get_ident() not in threads


async def test_a_file_that_can_not_be_written_is_told_once_and_hurts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder went away; the render goes on."""
    monkeypatch.setattr(textfile, "EVERY_S", 0)
    told: list[str] = []
    file = Textfile(tmp_path / "gone" / "mix.prom", "mix", {}, lambda event, _: told.append(event))
    looks: list[int] = []

    def at_work() -> Iterator[int]:
        for number in range(4):
            looks.append(number)
            yield number
        scope.cancel()
        yield 0

    with trio.CancelScope() as scope:
        await file.refresh(stub(at_work()))

    assert [0, 1, 2, 3] == looks
    assert ["metrics.not_written"] == told


def test_a_name_that_is_no_text_is_a_label_all_the_same(tmp_path: Path) -> None:
    """A file's name may have any bytes."""
    for count in (1, 2):
        open_textfile(tmp_path / "mix.prom", "nu\udcff", lambda _, __: pytest.fail("told")).refuse(2)

        assert count == of(tmp_path)['render_runs_total{status="failed",timeline="nu\\\\udcff"}']


@pytest.mark.parametrize("name", ["link", "file"])
def test_a_refusal_never_replaces_what_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The path was not checked by then: a link to media, a file of another program's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "media.mp4").write_bytes(b"media")
    (tmp_path / "link.prom").symlink_to("media.mp4")
    (tmp_path / "file.prom").write_text("node_load1 0.5\n")
    before = (tmp_path / f"{name}.prom").read_bytes()

    assert 2 == run(["render", "gone.json", "--prom-textfile", f"{name}.prom"])

    assert before == (tmp_path / f"{name}.prom").read_bytes()
