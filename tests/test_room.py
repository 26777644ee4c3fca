"""A disk that is full, or too small: exit 1, a message, the old output, a report; never a source's fault."""

import contextlib
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from fakes import make_plan
from reports import read_report
from test_cli import CLIPS, write_timeline

from clipcut.errors import RenderError
from clipcut.room import look_for_room, needs_of
from clipcut.timeline import Soundtrack


def test_what_a_render_needs_grows_with_frames_and_pixels(tmp_path: Path) -> None:
    """Black and silence at the least; both folders on one disk need both."""
    (one,) = needs_of(make_plan("a"), tmp_path, tmp_path)
    (ten,) = needs_of(make_plan(*"abcdefghij"), tmp_path, tmp_path)

    assert 2 * int(1280 * 720 * 30 * 0.0003 / 8) == one.least
    assert 2 * int(1280 * 720 * 30 * 0.1 / 8 + 24_000) == one.likely
    assert 10 * one.likely == ten.likely
    assert abs(10 * one.least - ten.least) < 30


def test_a_soundtrack_is_decoded_as_a_whole(tmp_path: Path) -> None:
    """Its samples need room of their own, 4 bytes each."""
    plan = make_plan("a")
    (bare,) = needs_of(plan, tmp_path, tmp_path)
    (full,) = needs_of(attrs.evolve(plan, soundtrack=Soundtrack(path="song.m4a")), tmp_path, tmp_path)

    assert 48_000 * 2 * 4 == full.least - bare.least


@pytest.mark.parametrize(("free", "says"), [(10**12, "nothing"), (10**5, "warns"), (1000, "fails")])
def test_too_little_room_fails_and_little_room_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, says: str
) -> None:
    """Before any work; it names the folder, what there is, and what is needed."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: types.SimpleNamespace(free=free))
    needs = needs_of(make_plan("a"), tmp_path, tmp_path)

    if says == "fails":
        with pytest.raises(RenderError, match=r"has 0\.0 MB free, and working files and the output need at least"):
            list(look_for_room(needs))
        return
    assert (says == "warns") == bool(list(look_for_room(needs)))


def render_old_and_new(folder: Path, *before: str) -> tuple[int, str, bytes]:
    """Render into a folder that has an old output, by way of a command line in front; return what came of it."""
    old = b"\0" * 100
    (folder / "mix.mp4").write_bytes(old)
    command = [*before, sys.executable, "-m", "clipcut", "render", "mix.json", "--force", "-q", "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr, old


@pytest.mark.media
@pytest.mark.parametrize("blocks", [1, 4, 16, 40, 100, 160], ids=str)
def test_a_limit_of_file_size_is_a_full_disk(tmp_path: Path, blocks: int) -> None:
    """However far it lets the render come: no clip is called bad, no black is delivered, the old output stays."""
    write_timeline(tmp_path, CLIPS * 6, width=640, height=360, video={"preset": "ultrafast", "crf": 10})
    code, said, old = render_old_and_new(tmp_path, "sh", "-c", f'ulimit -f {blocks}; exec "$@"', "sh")

    assert 1 == code
    assert "room" in said or "can't be written" in said
    assert old == (tmp_path / "mix.mp4").read_bytes()
    assert {"mix.json", "mix.mp4", "mix.report.json"} >= {path.name for path in tmp_path.iterdir()}
    if (tmp_path / "mix.report.json").exists():  # one of 512 bytes can't be written
        report = read_report(tmp_path / "mix.report.json")
        assert ("failed", 0) == (report["status"], report["clip_stats"]["placeholder_tasks"])


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """Have a folder on a disk of its own that is small; only root can."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may make a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # a guard may sleep there for a moment


@pytest.mark.media
@pytest.mark.parametrize("kilobytes", [60, 300, 700, 1200], ids=str)
def test_a_full_disk_fails_the_render_and_leaves_the_old_output(tmp_path: Path, kilobytes: int) -> None:
    """Output and working files on it; the report still finds room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with small_disk(disk, kilobytes):
        write_timeline(disk, CLIPS * 6, width=640, height=360, video={"preset": "ultrafast", "crf": 10})
        code, said, old = render_old_and_new(disk)
        found = {path.name for path in disk.iterdir()}
        report = read_report(disk / "mix.report.json")
        kept = (disk / "mix.mp4").read_bytes()

    assert (1, "failed", None) == (code, report["status"], report["output"])
    assert "room" in said or "free" in said
    assert old == kept
    assert {"mix.json", "mix.mp4", "mix.report.json"} == found
    assert 0 == report["clip_stats"]["placeholder_tasks"]
