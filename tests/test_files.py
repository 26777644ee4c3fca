"""Files that are never torn, and folders that always go."""

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from clipcut.files import (
    is_folder,
    is_link,
    is_regular_file,
    is_special,
    is_there,
    replace,
    sync_folder,
    why_unreadable,
    work_folder,
    write_atomic,
)


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    """The new bytes, the old permissions, no temporary file left."""
    target = tmp_path / "report.json"
    target.write_text("old")
    target.chmod(0o640)

    write_atomic(target, b"new")

    assert ("new", 0o640) == (target.read_text(), target.stat().st_mode & 0o777)
    assert [target] == list(tmp_path.iterdir())


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    """Not that of a private temporary one."""
    old = os.umask(0o022)
    try:
        write_atomic(tmp_path / "report.json", b"new")
    finally:
        os.umask(old)

    assert 0o644 == (tmp_path / "report.json").stat().st_mode & 0o777


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old or new, never torn."""
    target = tmp_path / "report.json"
    target.write_text("old")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomic(target, b"new")

    assert "old" == target.read_text()
    assert [target] == list(tmp_path.iterdir())


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """Nobody can make us write somewhere else."""
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "mix.mp4").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "part").write_text("new")

    replace(tmp_path / "part", tmp_path / "mix.mp4")

    assert ("mine", "new") == ((tmp_path / "elsewhere").read_text(), (tmp_path / "mix.mp4").read_text())


def test_a_device_is_written_to_as_it_is() -> None:
    """``--report /dev/null`` does not replace the device."""
    write_atomic(Path("/dev/null"), b"{}")

    assert not Path("/dev/null").is_file()


async def test_a_work_folder_is_private_and_goes_whatever_happens(tmp_path: Path) -> None:
    """Even when the block ends with an error."""

    async def fill() -> None:
        async with work_folder(tmp_path) as folder:
            (folder / "sub").mkdir()
            (folder / "sub" / "file").write_text("x")
            assert 0o700 == folder.stat().st_mode & 0o777
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fill()

    assert [] == os.listdir(tmp_path)  # noqa: PTH208


def test_a_small_file_behind_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    """The temporary file is beside the real one, so the folder of the link needs no room."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "report.json").write_text("old")
    link = tmp_path / "report.json"
    link.symlink_to("real/report.json")

    write_atomic(link, b"new")

    assert (True, "new") == (link.is_symlink(), (tmp_path / "real" / "report.json").read_text())
    assert 2 == len(list(tmp_path.rglob("report.json"))) == len(list(tmp_path.rglob("*report*")))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/dev/stdout", True, id="stdout"),
        pytest.param("/dev/null", True, id="device"),
        pytest.param("/proc/self/fd/1", True, id="open-file"),
        pytest.param("/dev/new", True, id="not-there-yet"),
        pytest.param("/dev/shm/report.json", False, id="memory"),  # noqa: S108  nothing is written
        pytest.param("/home/dev/proc.json", False, id="ordinary"),
    ],
)
def test_what_is_the_systems_is_never_replaced(path: str, expected: bool) -> None:
    """Being root, one could."""
    assert expected == is_special(Path(path))


def test_a_link_to_the_systems_is_the_systems(tmp_path: Path) -> None:
    """Over several steps."""
    (tmp_path / "a").symlink_to("/dev/stdout")
    (tmp_path / "b").symlink_to("a")

    assert is_special(tmp_path / "b")


def test_an_open_file_is_written_to_where_it_is(tmp_path: Path) -> None:
    """``--report /dev/stdout >> all.txt`` keeps what is there, and what follows comes after it."""
    with (tmp_path / "all.txt").open("wb", buffering=0) as file:
        file.write(b"before ")
        write_atomic(Path(f"/dev/fd/{file.fileno()}"), b"report")
        file.write(b" after")

    assert "before report after" == (tmp_path / "all.txt").read_text()


def test_a_folder_that_can_not_be_read_is_no_error() -> None:
    """The rename has happened."""
    sync_folder(Path("/nowhere"))


def test_a_long_name_in_letters_of_several_bytes_has_room_beside_it(tmp_path: Path) -> None:
    """Names are limited in bytes, not in letters."""
    target = tmp_path / ("\u65e5" * 80 + ".json")

    write_atomic(target, b"new")

    assert [target] == list(tmp_path.iterdir())


def test_no_path_is_too_odd_to_be_looked_at(tmp_path: Path) -> None:
    """Nothing raises, and nothing waits."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "file").touch()
    odd = {
        tmp_path / "pipe": "is not a regular file",
        tmp_path: "is not a regular file",
        tmp_path / "nowhere": "doesn't exist",
        tmp_path / "file" / "below": "doesn't exist",
        tmp_path / ("x" * 300): "can't be read: File name too long",
        tmp_path / "circle": "can't be read: Too many levels of symbolic links",
        Path("a\0b"): "can't be read: there is a null byte in its name",
        tmp_path / "file": None,
    }

    assert odd == {path: why_unreadable(path) for path in odd}
    assert [tmp_path / "file"] == [path for path in odd if is_regular_file(path)]
    assert [tmp_path] == [path for path in odd if is_folder(path)]
    assert [tmp_path / "circle"] == [path for path in odd if is_link(path)]
    assert [tmp_path / "pipe", tmp_path, tmp_path / "file"] == [path for path in odd if is_there(path)]
    assert [tmp_path / "pipe", tmp_path] == [path for path in odd if is_special(path)]


def test_a_folder_that_can_not_be_entered_hides_what_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sees whether anything is there; that is no error."""

    def refuse(_: Path, **__: bool) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    monkeypatch.setattr(Path, "lstat", refuse)
    path = Path("/locked/mix.mp4")

    assert [False] * 5 == [look(path) for look in (is_folder, is_link, is_regular_file, is_special, is_there)]
    assert "can't be read: Permission denied" == why_unreadable(path)
