"""Locks that end with their holder, however that ends: flock, never a pid. Children do not inherit them."""

import contextlib
import fcntl
import os
from pathlib import Path


def _is_at(descriptor: int, path: Path) -> bool:
    """Tell whether an open file is the one that a path leads to: another process may have removed it meanwhile."""
    try:
        there, here = path.lstat(), os.fstat(descriptor)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def take(descriptor: int) -> bool:
    """Lock an open file; False if somebody else has it locked.

    Raises:
        OSError: The file system knows no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path, flags: int) -> int:
    """Open for writing, as NFS locks nothing else; where that isn't allowed, for reading."""
    try:
        return os.open(path, os.O_RDWR | flags, 0o666)
    except (PermissionError, IsADirectoryError):
        return os.open(path, os.O_RDONLY | flags, 0o666)


def lock_file(path: Path, flags: int = os.O_CREAT) -> int | None:
    """Open a file (and make it, unless ``flags`` say otherwise) and lock it, as long as it stays open.

    Returns:
        The open file; None if somebody else has it locked.

    Raises:
        OSError: It can't be opened, or the file system knows no locks.
    """
    while True:
        descriptor = _open(path, os.O_NOFOLLOW | os.O_NONBLOCK | flags)
        try:
            is_ours = take(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        if is_ours and _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)
        if not is_ours:
            return None


def remove_lock(path: Path, descriptor: int) -> None:
    """Remove a lock's file while it is held, so that whoever has opened it sees that it is gone, and unlock it."""
    if _is_at(descriptor, path):
        with contextlib.suppress(OSError):
            path.unlink()
    os.close(descriptor)
