"""Files that are never torn: a private work folder that always goes, and writing beside the target, then renaming."""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import trio

from clipcut.locks import lock_file, remove_lock, take
from clipcut.streams import write_all
from clipcut.working import PREFIX

LOCK = "lock"
_PART, _LONG_NAME = ".part", 100

_temporaries: set[Path] = set()
"""What this process has made and must remove; for whoever ends it without unwinding."""


def remove_temporaries() -> None:
    """Remove every temporary file and folder of this process, as well as that can be done at once."""
    for path in list(_temporaries):
        _remove_tree(path)
        with contextlib.suppress(OSError):
            path.unlink()


def file_mode(path: Path) -> int | None:
    """Return the mode of what is behind a path, links followed; None if nothing is, or nothing can be known."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return None


def is_regular_file(path: Path) -> bool:
    """Tell whether a path leads to a regular file. Never raises, and opens nothing: a pipe would wait."""
    mode = file_mode(path)
    return mode is not None and stat.S_ISREG(mode)


def is_folder(path: Path) -> bool:
    """Tell whether a path leads to a folder. Never raises."""
    mode = file_mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def is_there(path: Path) -> bool:
    """Tell whether a path leads to anything that can be seen. Never raises."""
    return file_mode(path) is not None


def is_link(path: Path) -> bool:
    """Tell whether a path is a symbolic link, wherever it leads. Never raises; ``Path.is_symlink`` does."""
    try:
        return stat.S_ISLNK(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def why_unreadable(path: Path) -> str | None:
    """Say why a file can't be read, as the end of a sentence that begins with its name; None if it can."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return "is not a regular file"
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    except (FileNotFoundError, NotADirectoryError):
        return "doesn't exist"
    except OSError as exc:
        return f"can't be read: {exc.strerror}"
    except ValueError:
        return "can't be read: there is a null byte in its name"
    return None


def real_path(path: Path) -> Path:
    """Follow links, also those that lead nowhere (yet). Never raises."""
    return Path(os.path.realpath(path))


def _new_folder(parent: Path) -> tuple[Path, int | None]:
    """Make a folder with a lock in it, which tells others that it is in use; None where there are no locks."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        try:
            descriptor = lock_file(folder / LOCK)
        except FileNotFoundError:
            continue  # swept away before it had its lock
        except OSError:
            return folder, None
        if descriptor is not None:
            return folder, descriptor


def _remove_tree(folder: Path) -> None:
    for _ in range(3):  # a child that isn't gone yet may add a file meanwhile
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def work_folder(parent: Path) -> AsyncIterator[Path]:
    """Make a private folder in ``parent`` (mode 0700), and remove it with all that is in it, whatever the end.

    Raises:
        OSError: ``parent`` is no folder that can be written to.
    """
    folder, descriptor = await trio.to_thread.run_sync(_new_folder, parent)
    _temporaries.add(folder)
    try:
        yield folder
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(_remove_tree, folder)
        if descriptor is not None:
            os.close(descriptor)
        _temporaries.discard(folder)


def sweep_folders(parent: Path) -> None:
    """Remove the private folders of renders that have died; those at work are known by their locks. Never raises."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(parent)):
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False):
                _sweep_folder(Path(entry.path))


def _sweep_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        try:
            descriptor = lock_file(folder / LOCK, 0)
        except FileNotFoundError:
            folder.rmdir()  # just made, or died before it had its lock; if anything is in it, it isn't ours
            return
        if descriptor is not None:
            _remove_tree(folder)
            os.close(descriptor)


def _stem(target: Path) -> str:
    """Return how the names of a target's helpers begin; a name may have 255 bytes, not characters."""
    name = os.fsencode(target.name)
    tail = "" if len(name) <= _LONG_NAME else f".{hashlib.sha256(name).hexdigest()[:8]}"
    return f".{name[:_LONG_NAME].decode('utf-8', 'ignore')}{tail}"


def _new_file(target: Path) -> tuple[int, Path]:
    """Open and lock a new temporary file beside the target; the system gives it the mode of any new file."""
    while True:
        path = target.with_name(f"{_stem(target)}.{secrets.token_hex(4)}{_PART}")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        _temporaries.add(path)
        is_ours = True
        with contextlib.suppress(OSError):  # a file system without locks
            is_ours = take(descriptor)
        if is_ours and os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)  # swept away before it had its lock, or about to be
        _temporaries.discard(path)


def sweep_parts(target: Path) -> None:
    """Remove what a killed process left of a file that was to be in the target's place. Never raises."""
    target = real_path(target)
    pattern = re.compile(rf"{re.escape(_stem(target))}\.[0-9a-f]{{8}}{re.escape(_PART)}")
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(target.parent)):
            if pattern.fullmatch(entry.name):
                _sweep_part(Path(entry.path))


def _sweep_part(path: Path) -> None:
    with contextlib.suppress(OSError):
        if (descriptor := lock_file(path, 0)) is not None:
            remove_lock(path, descriptor)


def lock_output(target: Path) -> "OutputLock | None":
    """Lock an output, so that no other render writes it; None if another one has it locked.

    Raises:
        OSError: Its folder can't be written to, or knows no locks.
    """
    target = real_path(target)
    path = target.with_name(f"{_stem(target)}.{LOCK}")
    descriptor = lock_file(path)
    if descriptor is None:
        return None
    _temporaries.add(path)
    return OutputLock(path, descriptor)


@attrs.frozen
class OutputLock:
    """An output that is locked until it is given back, or the process ends."""

    path: Path
    descriptor: int

    def give_back(self) -> None:
        """Unlock it."""
        remove_lock(self.path, self.descriptor)
        _temporaries.discard(self.path)


def _forget(temporary: Path) -> None:
    with contextlib.suppress(OSError):
        temporary.unlink()
    _temporaries.discard(temporary)


@contextlib.asynccontextmanager
async def part_file(target: Path) -> AsyncIterator[Path]:
    """Make an empty temporary file beside the target, and see that it is gone in the end.

    Raises:
        OSError: The target's folder can't be written to.
    """
    descriptor, temporary = _new_file(target)
    try:
        yield temporary
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(_forget, temporary)
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut, where that can be had; the rename itself has happened."""
    with contextlib.suppress(OSError):  # a folder that can't be read, a file system that can't do it
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace(temporary: Path, target: Path, mode: int | None = None) -> None:
    """Put a finished file in the target's place: old or new, never torn. Both lie on one file system.

    A link is replaced, not followed: see ``real_path``.

    Args:
        temporary: The finished file.
        target: Its place.
        mode: Who may do what with it; None for what the old file allows, or if there is none, any new one.
    """
    with temporary.open("rb+") as file:
        if mode is None:
            mode = file_mode(target)
        if mode is not None:
            os.fchmod(file.fileno(), stat.S_IMODE(mode))
        os.fsync(file.fileno())
    temporary.replace(target)
    sync_folder(target.parent)


def _steps(path: Path) -> list[Path]:
    """Return a path and what it leads to, link by link, each in its real folder."""
    steps: list[Path] = []
    while len(steps) < 40:
        path = real_path(path.parent) / path.name
        steps.append(path)
        if not is_link(path):
            break
        path = path.parent / path.readlink()
    return steps


def is_special(path: Path) -> bool:
    """Tell whether a path is the system's, or is there and no regular file: written to as it is, never replaced.

    Being root, one could otherwise put a file in the place of ``/dev/stdout``, a link to what is open as number 1.
    """
    folders = {step.parts[1] for step in _steps(path) if len(step.parts) > 2 and step.parts[1:3] != ("dev", "shm")}
    mode = file_mode(path)
    return bool(folders & {"dev", "proc"}) or (mode is not None and not stat.S_ISREG(mode))


def _open_descriptor(path: Path) -> int | None:
    """Return the number of the open file that a path such as ``/dev/stdout`` stands for."""
    for step in _steps(path):
        if match := re.fullmatch(rf"(?:/dev|/proc/{os.getpid()})/fd/(\d+)", str(step)):
            return int(match[1])
    return None


def _write_through(target: Path, data: bytes) -> None:
    """Write to what is there; an open file goes on where it is."""
    if (number := _open_descriptor(target)) is not None:
        write_all(number, data)
        return
    descriptor = os.open(target, os.O_WRONLY)
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)


def write_atomic(target: Path, data: bytes, mode: int | None = None) -> None:
    """Write a small file so that readers see the old or the new one; a link stays, and the file behind it is replaced.

    Args:
        target: Where.
        data: What.
        mode: See ``replace``.

    Raises:
        OSError: It can't be written; an old file is as it was.
    """
    if is_special(target):
        _write_through(target, data)
        return
    target = real_path(target)
    descriptor, temporary = _new_file(target)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            replace(temporary, target, mode)
    finally:
        _forget(temporary)
