"""Signals: the first ends the work cleanly, the second at once, whatever the program is doing; and who hears them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
import trio.lowlevel
from golden import timeline
from reports import read_report

from clipcut import signals
from clipcut.files import work_folder
from clipcut.signals import until_signalled

MEDIA = Path(__file__).parents[1] / "fixtures" / "media"


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in signals.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def write_timeline(folder: Path, clips: int, seconds: float = 0.1, **output: int) -> None:
    """Write a timeline of some clips of a packaged video."""
    wanted = [{"video_id": "v", "start": n % 10, "duration": seconds} for n in range(clips)]
    document = timeline(wanted, {"v": str(MEDIA / "harbor.mp4")}, path="mix.mp4", **output)
    (folder / "mix.json").write_text(json.dumps(document))


@contextlib.contextmanager
def child(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run clipcut as a child of its own, with pipes that hold little."""
    command = [sys.executable, "-m", "clipcut", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=cwd, stdout=pipe, stderr=pipe, pipesize=4096) as process:
        try:
            yield process
        finally:
            process.kill()


def names(folder: Path) -> list[str]:
    """Name what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def poll(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, for a bounded time."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def is_heard(process: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    """Tell whether a process has a handler of its own for a signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1]
    return bool(int(caught, 16) >> (number - 1) & 1)


def has_children(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether a process has started another one, by any of its threads."""
    return any(file.read_text() for file in Path(f"/proc/{process.pid}/task").glob("*/children"))


async def test_the_first_signal_cancels_the_work_and_is_told() -> None:
    """What concludes knows the number, and may take its time."""

    async def work() -> None:
        signal.raise_signal(signal.SIGTERM)
        await trio.sleep_forever()

    async def conclude(number: int | None) -> int | None:
        await trio.lowlevel.checkpoint()
        return number

    assert signal.SIGTERM == await until_signalled(work, conclude)


async def test_without_a_signal_the_work_is_done_and_handlers_are_as_before() -> None:
    """Nothing is left behind in the process."""
    before = signal.getsignal(signal.SIGHUP)

    async def conclude(number: int | None) -> int | None:
        await trio.lowlevel.checkpoint()
        return number

    assert await until_signalled(trio.lowlevel.checkpoint, conclude) is None
    assert before == signal.getsignal(signal.SIGHUP)


async def test_a_second_signal_ends_at_once_and_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the clean-up is under way; the temporary files go first."""
    ends: list[tuple[int, list[str]]] = []
    left = trio.Event()

    def leave(code: int) -> None:
        ends.append((code, names(tmp_path)))
        left.set()
        raise ZeroDivisionError

    monkeypatch.setattr(os, "_exit", leave)

    async def work() -> None:
        async with work_folder(tmp_path) as folder:
            (folder / "clip.mov").touch()
            signal.raise_signal(signal.SIGINT)
            try:
                await trio.sleep_forever()
            finally:
                signal.raise_signal(signal.SIGTERM)
                with trio.CancelScope(shield=True):
                    await left.wait()

    async def conclude(_: int | None) -> None:
        await trio.lowlevel.checkpoint()

    with pytest.raises(ExceptionGroup):
        await until_signalled(work, conclude)

    assert [(143, [])] == ends


async def test_a_signal_that_is_ignored_is_not_watched() -> None:
    """``nohup`` stays in force; where all are ignored, nothing is watched."""
    for number in signals.SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    done: list[bool] = []

    async def work() -> None:
        signal.raise_signal(signal.SIGHUP)
        await trio.lowlevel.checkpoint()
        done.append(True)

    async def conclude(number: int | None) -> int | None:
        await trio.lowlevel.checkpoint()
        return number

    assert await until_signalled(work, conclude) is None
    assert [True] == done


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_a_signal_while_the_program_starts_is_silent(tmp_path: Path, number: signal.Signals) -> None:
    """From the first line of ours on, in the middle of an import, it is an end with the right code."""
    with child("check", "mix.json", cwd=tmp_path) as process:
        poll(lambda: is_heard(process, signal.SIGTERM))
        process.send_signal(number)
        out, err = process.communicate(timeout=60)

    assert (128 + number, b"", b"") == (process.returncode, out, err)


@pytest.mark.media
def test_a_signal_ends_doctor(tmp_path: Path) -> None:
    """In the middle of its look at FFmpeg."""
    with child("doctor", cwd=tmp_path) as process:
        poll(lambda: has_children(process))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert (130, b"", b"") == (process.returncode, out, err)


@pytest.mark.media
def test_two_signals_end_a_render_without_a_trace(tmp_path: Path) -> None:
    """No traceback, no work folder, no part file; the code is one of the two signals'."""
    write_timeline(tmp_path, 30, 6, width=1280, height=720)
    with child("render", "mix.json", "--no-cache", cwd=tmp_path) as process:
        poll(lambda: has_children(process) and bool(list(tmp_path.glob(".clipcut-*/*"))))
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)

    assert process.returncode in (130, 143)
    assert b"Traceback" not in err
    assert b"Error" not in err
    assert {"mix.json"} == {path.name for path in tmp_path.iterdir()} - {"mix.report.json"}


@pytest.mark.media
def test_signals_are_heard_while_a_report_waits_for_its_reader(tmp_path: Path) -> None:
    """The first comes too late for the finished video, the second ends the wait."""
    write_timeline(tmp_path, 12)
    with child("render", "mix.json", "--report", "-", "--no-cache", cwd=tmp_path) as process:
        poll(lambda: (tmp_path / "mix.mp4").exists() and names(tmp_path) == [".mix.mp4.lock", "mix.json", "mix.mp4"])
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.wait(60)

    assert process.returncode in (130, 143)
    assert ["mix.json", "mix.mp4"] == names(tmp_path)


@pytest.mark.media
def test_a_render_ends_by_signal_though_nobody_reads_its_log(tmp_path: Path) -> None:
    """Its log is longer than the pipe holds."""
    write_timeline(tmp_path, 300)
    with child("render", "mix.json", "-v", "--no-cache", cwd=tmp_path) as process:
        poll(lambda: bool(list(tmp_path.glob(".clipcut-*/*.mov"))))
        process.send_signal(signal.SIGINT)
        process.wait(60)

    assert 130 == process.returncode
    assert "interrupted" == read_report(tmp_path / "mix.report.json")["status"]
