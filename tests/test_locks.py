"""Locks, and what tells a dead render's leftovers from those of one at work."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from real import poll
from test_cli import child, write_timeline

from clipcut import files, locks
from clipcut.cli import run
from clipcut.files import lock_output, part_file, sweep_folders, sweep_parts, work_folder, write_atomic
from clipcut.locks import lock_file, remove_lock

HOLD = """
import sys, trio
from pathlib import Path
from clipcut.files import lock_output, part_file, work_folder

async def hold():
    target = Path(sys.argv[1])
    lock = lock_output(target)
    async with work_folder(target.parent) as folder, part_file(target) as part:
        (folder / "clip.mov").write_bytes(b"x")
        part.write_bytes(b"half")
        print("ready", flush=True)
        await trio.sleep_forever()

trio.run(hold)
"""


@contextmanager
def holder(target: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that holds an output's lock, a work folder and a part file."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(target)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"ready\n" == process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def names(folder: Path) -> set[str]:
    """Name what is in a folder."""
    return {path.name for path in folder.iterdir()}


def test_nothing_of_a_living_render_is_swept_and_everything_of_a_dead_one(tmp_path: Path) -> None:
    """After ``kill -9`` the lock is free at once, and folder and part file go."""
    target = tmp_path / "mix.mp4"
    (tmp_path / "mine.part").touch()
    (tmp_path / ".clipcut.toml").touch()
    with holder(target) as process:
        sweep_folders(tmp_path)
        sweep_parts(target)
        assert 5 == len(list(tmp_path.iterdir()))
        assert 1 == len(list(tmp_path.glob(".clipcut-*/clip.mov")))
        assert lock_output(target) is None
        process.send_signal(signal.SIGKILL)
        process.wait()

    lock = lock_output(target)
    assert lock is not None
    sweep_folders(tmp_path)
    sweep_parts(target)
    lock.give_back()
    assert {"mine.part", ".clipcut.toml"} == names(tmp_path)


def test_parts_of_other_outputs_are_left_alone(tmp_path: Path) -> None:
    """Also where one name begins like the other."""
    for name in (
        ".mix.mp4.0123abcd.part",
        ".mix.mp4.x.0123abcd.part",
        ".mix.mp40123abcd.part",
        ".mix.mp4.0123abcd.lock",
    ):
        (tmp_path / name).touch()
    sweep_parts(tmp_path / "mix.mp4")

    assert 3 == len(list(tmp_path.iterdir()))
    assert not (tmp_path / ".mix.mp4.0123abcd.part").exists()


def test_a_folder_without_a_lock_goes_only_if_it_is_empty(tmp_path: Path) -> None:
    """What died before it had its lock is empty; anything else is not ours to remove."""
    (tmp_path / ".clipcut-empty").mkdir()
    (tmp_path / ".clipcut-other").mkdir()
    (tmp_path / ".clipcut-other" / "file").touch()
    (tmp_path / ".clipcut-link").symlink_to(tmp_path / ".clipcut-other")

    sweep_folders(tmp_path)

    assert {".clipcut-other", ".clipcut-link"} == names(tmp_path)


async def test_whoever_is_swept_away_before_it_has_its_lock_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folder and part file: another process sweeps in the gap between making and locking."""
    sweeps = iter([True, False, True, False])
    real_lock, real_take = lock_file, locks.take

    def lock(path: Path) -> int | None:
        if next(sweeps):
            sweep_folders(tmp_path)
        return real_lock(path)

    def take(descriptor: int) -> bool:
        if next(sweeps):
            sweep_parts(tmp_path / "mix.mp4")
        return real_take(descriptor)

    monkeypatch.setattr(files, "lock_file", lambda path, *flags: real_lock(path, *flags) if flags else lock(path))
    async with work_folder(tmp_path) as folder:
        assert folder.is_dir()
    monkeypatch.setattr(files, "take", take)
    write_atomic(tmp_path / "mix.mp4", b"new")

    assert b"new" == (tmp_path / "mix.mp4").read_bytes()
    assert {"mix.mp4"} == names(tmp_path)
    assert [] == list(sweeps)


def test_a_lock_whose_file_was_removed_is_no_lock(tmp_path: Path) -> None:
    """Two that wait for one that removes its file never both have it."""
    path = tmp_path / "lock"
    first = lock_file(path)
    assert first is not None
    waiting = os.open(path, os.O_RDONLY)
    remove_lock(path, first)
    second = lock_file(path)
    assert second is not None
    assert os.fstat(waiting).st_nlink == 0
    assert lock_file(path) is None
    os.close(waiting)
    remove_lock(path, second)
    assert [] == list(tmp_path.iterdir())


def test_children_do_not_inherit_a_lock(tmp_path: Path) -> None:
    """A child that outlives its parent for a moment keeps nothing locked."""
    target = tmp_path / "mix.mp4"
    lock = lock_output(target)
    assert lock is not None
    with subprocess.Popen(["sleep", "60"]) as child:
        lock.give_back()
        again = lock_output(target)
        assert again is not None
        again.give_back()
        child.kill()


def test_a_link_and_what_it_leads_to_are_one_output(tmp_path: Path) -> None:
    """The lock lies beside the real file."""
    (tmp_path / "real").mkdir()
    (tmp_path / "mix.mp4").symlink_to("real/mix.mp4")
    lock = lock_output(tmp_path / "mix.mp4")
    assert lock is not None

    assert lock_output(tmp_path / "real" / "mix.mp4") is None
    lock.give_back()


@pytest.mark.parametrize("letters", [10, 100, 101, 240])
def test_names_of_any_length_have_locks_of_their_own(tmp_path: Path, letters: int) -> None:
    """Also where they differ in the last letter only."""
    locks = [lock_output(tmp_path / f"{'x' * letters}{letter}.mp4") for letter in "ab"]

    for lock in locks:
        assert lock is not None
        lock.give_back()


async def test_a_part_file_is_locked_as_long_as_it_is_written(tmp_path: Path) -> None:
    """A sweep in between does it no harm."""
    async with part_file(tmp_path / "mix.mp4") as part:
        await trio.to_thread.run_sync(sweep_parts, tmp_path / "mix.mp4")
        assert part.exists()
    assert not part.exists()


@pytest.mark.media
def test_of_two_renders_of_one_output_the_second_leaves_and_touches_nothing(tmp_path: Path) -> None:
    """Exit code 4, a message that names the output, no report, no metrics; with ``--wait-lock`` it waits its turn."""
    write_timeline(tmp_path)
    prom = ["--prom-textfile", "mix.prom"]
    with holder(tmp_path / "mix.mp4"):
        before = names(tmp_path)
        with child("render", "mix.json", *prom, cwd=tmp_path) as process:
            _, err = process.communicate(timeout=60)
        assert 4 == process.returncode
        assert f"Another render of {tmp_path / 'mix.mp4'} is at work" in err.decode()
        assert before == names(tmp_path)
        with child("render", "mix.json", "--wait-lock", "0.2", cwd=tmp_path) as process:
            assert 4 == process.wait(60)
        waiting = child("render", "mix.json", "--wait-lock", "600", *prom, cwd=tmp_path)
    with waiting:
        waiting.communicate(timeout=60)

    assert 0 == waiting.returncode
    assert {"mix.json", "mix.mp4", "mix.report.json", "mix.prom"} == names(tmp_path)


@pytest.mark.media
def test_a_signal_ends_a_wait_for_a_lock_and_touches_nothing(tmp_path: Path) -> None:
    """The report beside the output is the other render's."""
    write_timeline(tmp_path)
    with holder(tmp_path / "mix.mp4"):
        before = names(tmp_path)
        with child("render", "mix.json", "--wait-lock", "600", cwd=tmp_path) as process:
            poll(lambda: locked_by_others(process))
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
        assert (143, b"", b"") == (process.returncode, out, err)
        assert before == names(tmp_path)


def locked_by_others(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether a process has come to where threads try the lock."""
    return len(list(Path(f"/proc/{process.pid}/task").iterdir())) > 1


@pytest.mark.media
def test_where_there_are_no_locks_a_render_goes_on_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Some network file systems have none."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert 0 == run(["render", str(write_timeline(tmp_path))])

    assert "render.not_locked" in capfd.readouterr().err
    assert {"mix.json", "mix.mp4", "mix.report.json", ".mix.mp4.lock"} >= names(tmp_path)


@pytest.mark.media
def test_a_hangup_while_it_waits_for_its_turn_means_a_reload(tmp_path: Path) -> None:
    """Where there is a settings file; what changed meanwhile counts."""
    write_timeline(tmp_path)
    (tmp_path / "clipcut.toml").write_text("max_parallelism = 2\n")
    with holder(tmp_path / "mix.mp4"):
        waiting = child("render", "mix.json", "--wait-lock", "600", "--no-cache", cwd=tmp_path)
        poll(lambda: locked_by_others(waiting))
        (tmp_path / "clipcut.toml").write_text("max_parallelism = 3\n")
        waiting.send_signal(signal.SIGHUP)
        poll(lambda: locked_by_others(waiting))
    with waiting:
        waiting.communicate(timeout=60)

    assert 0 == waiting.returncode
