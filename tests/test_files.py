"""Files that are never torn, and folders that always go."""

import os
from pathlib import Path

import pytest

from clipcut.files import replace, work_folder, write_atomic


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
